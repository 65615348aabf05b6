"""
The embedded runtime: the stack as plain processes of this machine.

Desired state is one spec file a replica, observed state one record a replica; a
supervisor of our own brings the one to the other (:mod:`.supervisor`).  Whatever
it needs to know stands in files, so that consoles, agent and supervisor share no
memory and each may die at any time.

Only :mod:`console.bootstrap` imports from here, and only ``EmbeddedRuntime``.
What the product consists of is data in :mod:`.product`; a further server gets a
module of its own beside :mod:`.postgres_server` and an entry there.
"""

from console.runtimes.embedded.runtime import EmbeddedRuntime

__all__ = ["EmbeddedRuntime"]
