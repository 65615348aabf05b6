"""
The compose runtime: replicas as containers of one Docker Compose project.

What should be stands in the compose file (read by ``docker compose config``) and,
for the number of replicas, in ``STATE/compose/desired.json``; what is, the engine
says.  Nothing else is remembered.  Compose itself brings projects up; single
replicas come and go through the engine's API, because ``compose up --scale``
chooses by itself which ones to remove.

Only :mod:`console.bootstrap` imports from here, and only ``ComposeRuntime``.
"""

from console.runtimes.compose.runtime import ComposeRuntime

__all__ = ["ComposeRuntime"]
