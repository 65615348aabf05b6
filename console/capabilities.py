"""
Capabilities: what only some runtimes can do, each a protocol of its own.

A key, a command and a step exist only where the runtime in use has the capability;
asked for elsewhere, it is refused.  The common port is :class:`console.ports.Runtime`.
Every method that waits states a timeout or has one of its own, and raises
:class:`console.errors.Unreachable` when it passes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, runtime_checkable

from console.domain.description import RuntimeEvent, ServiceDescription
from console.domain.leftovers import Leftover
from console.domain.services import Limits, Role
from console.domain.tunables import LimitSettings, Setting


@runtime_checkable
class StartsReplicas(Protocol):
    """Capability: add a replica of a service."""

    def replica_names(self, service: str, count: int, taken: Sequence[str]) -> list[str]:
        """Return *count* names, stable and not among *taken*, for new replicas."""

    def start_replica(self, service: str, replica: str, labels: dict[str, str]) -> None:
        """Start *replica*; returns once it is created, not once it is healthy. Idempotent."""

    def start_command(self, service: str, replica: str) -> str:
        """Return the command that :meth:`start_replica` amounts to, for the operator."""


@runtime_checkable
class HasExternalStores(Protocol):
    """Capability: database or broker may be somebody else's server, known by its address."""

    def external_url(self, role: Role) -> str | None:
        """Return the URL, with credentials, None where there is no such server."""


@runtime_checkable
class RemovesReplica(Protocol):
    """Capability: remove one chosen replica."""

    def remove_replica(self, replica: str, grace_seconds: float) -> None:
        """Tell *replica* to stop for good; killed after the grace. Does not wait. Idempotent."""

    def remove_command(self, replica: str, grace_seconds: float) -> str:
        """Return the command that :meth:`remove_replica` amounts to."""


@runtime_checkable
class RestartsReplica(Protocol):
    """Capability: restart the process of one replica in place."""

    def restart_replica(self, replica: str, grace_seconds: float) -> None:
        """Stop and start *replica* under the same name. Does not wait."""

    def restart_command(self, replica: str, grace_seconds: float) -> str:
        """Return the command that :meth:`restart_replica` amounts to."""


@runtime_checkable
class Routes(Protocol):
    """
    Capability: say which replicas the proxy sends requests to.

    Where a replica stands is in its :attr:`console.domain.services.ReplicaFact.route`.
    """

    def routes(self, service: str) -> bool:
        """Whether the proxy's members of *service* are ours to set; pure."""

    def set_route(self, replica: str, *, member: bool) -> None:
        """
        Let *replica* get requests, or no new ones any more.

        Returns once the proxy answers with the new configuration; requests it had
        sent before may still be going on.  Idempotent.

        Raises:
            Unreachable: If the proxy does not answer.
            ConsoleError: If it declines; it goes on as before.
        """

    def route_command(self, replica: str, *, member: bool) -> str:
        """Return what :meth:`set_route` does, for the operator."""


@runtime_checkable
class HasMaintenance(Protocol):
    """
    Capability: show users a maintenance page in place of the application.

    Whether it is shown is in :attr:`console.domain.services.Topology.maintenance`.
    """

    def has_maintenance(self) -> bool:
        """Whether this stack's proxy has such a page."""

    def set_maintenance(self, *, on: bool) -> None:
        """Have every proxy show it from the next request on, or no more.  Idempotent."""

    def maintenance_command(self, *, on: bool) -> str:
        """Return what :meth:`set_maintenance` does, for the operator."""


@runtime_checkable
class HasSettings(Protocol):
    """Capability: change settings (Topology.settings) for replicas started from then on."""

    def settings(self) -> tuple[Setting, ...]:
        """Return every setting that is known, with its value unless it is a secret."""

    def concerned(self, values: Mapping[str, str | None]) -> tuple[str, ...]:
        """
        Return the services whose configuration these values (None: the default) would change.

        Raises:
            UsageError: If the stack would not be understood with them.
        """

    def write_settings(self, values: Mapping[str, str | None]) -> None:
        """Set them, None removing what was set; what runs goes on as it is.  Idempotent."""

    def why_not_anew(self, service: str) -> str:
        """Return why its replica cannot be removed and made anew without loss; "" if it can."""

    def settings_command(self, values: Mapping[str, str | None]) -> str:
        """Return what :meth:`write_settings` does, for the operator; pure."""


@runtime_checkable
class SetsLimits(Protocol):
    """Capability: change the limits (ReplicaFact.limits) of a replica while it runs."""

    def limit_settings(self, service: str) -> LimitSettings:
        """Return which settings a new replica of *service* has its limits from."""

    def set_limits(self, replica: str, limits: Limits) -> None:
        """
        Set the limits that are not None; idempotent.

        Raises:
            ConsoleError: If the engine declines; they are as before then.
        """

    def limits_command(self, replica: str, limits: Limits) -> str:
        """Return the command that :meth:`set_limits` amounts to."""


@runtime_checkable
class Describes(Protocol):
    """Capability: tell everything about one service; asked for now and then, never often."""

    def describe(self, service: str) -> ServiceDescription:
        """
        Return what *service* is made of, secrets left out, and where it differs from that.

        Raises:
            UsageError: If there is no such service.
            Unreachable: If it does not answer in time.
        """


@runtime_checkable
class TellsEvents(Protocol):
    """Capability: tell what happened, as it happens; for the one who keeps it, the agent."""

    def events(self) -> tuple[RuntimeEvent, ...]:
        """Return what happened since the last call, the oldest first; never waits."""


@runtime_checkable
class HasImages(Protocol):
    """Capability: know which images the product no longer needs, and remove them."""

    def removable_images(self, kept: int) -> list[Leftover]:
        """
        Return images of older releases, and of our builds that lost their name.

        Never one that any container has.

        Args:
            kept: How many releases before the present one stay.
        """

    def image_exists(self, image: str) -> bool:
        """Whether there is an image of that name or id."""

    def remove_image(self, image: str) -> None:
        """Remove it; declined while a container has it.  Idempotent."""

    def old_build_cache(self) -> int:
        """Return the bytes of the builder's cache that nothing has used for a week."""

    def remove_build_cache(self) -> None:
        """Remove these.  Idempotent."""


@runtime_checkable
class HasLogFiles(Protocol):
    """Capability: know the rotated logs in the state directory, and remove them."""

    def old_logs(self, days: float) -> list[Leftover]:
        """Return those that are older; never one that is being written."""

    def remove_log(self, name: str) -> None:
        """Remove one of them.  Idempotent."""


@runtime_checkable
class StartsStack(Protocol):
    """Capability: bring the whole stack up from nothing, and down again."""

    def bring_up(self, progress: Callable[[str], None]) -> None:
        """
        Make what is missing and start every replica that should run.

        Directories, secrets, database, migrations, supervision.  Idempotent, and
        returns once everything was asked to run, not once it is healthy.

        Args:
            progress: Called with one line per thing done.
        """

    def wanted(self) -> bool:
        """Whether it was started and not stopped since, whatever runs now."""

    def take_down(self, progress: Callable[[str], None], timeout_seconds: float) -> None:
        """Stop every replica and the supervision; data stays.  Idempotent."""

    def revive(self) -> bool:
        """Start the supervision again if it died though the stack should run; True if so."""
