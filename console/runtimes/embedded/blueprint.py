"""What a stack consists of, as the embedded runtime wants to know it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from console.runtimes.embedded.layout import Layout
from console.runtimes.embedded.specs import ServiceDefinition

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Site:
    """
    Where and how a stack is set up.

    Args:
        ports: Chosen port by purpose.
        environ: The operator's environment variables.
        environment: ``APP_ENV``.
        check: Raises when the stack is not wanted any more; for loops that wait.
    """

    layout: Layout
    ports: Mapping[str, int]
    environ: Mapping[str, str]
    environment: str
    check: Callable[[], None] = lambda: None


class Blueprint(Protocol):
    """
    A stack that can be set up from nothing.

    The product's is :class:`console.runtimes.embedded.product.ProductBlueprint`;
    the contract suite brings a small one of its own.
    """

    @property
    def release(self) -> str:
        """Version that replicas made now run."""

    @property
    def preferred_ports(self) -> Mapping[str, int]:
        """Usual port by purpose."""

    @property
    def free_bytes_needed(self) -> int:
        """Disk space below which starting is refused."""

    def endpoints(self, site: Site) -> dict[str, str]:
        """Return the public addresses."""

    def services(self, site: Site) -> tuple[ServiceDefinition, ...]:
        """Return the catalogue, in the order it is shown."""

    def prepare(self, site: Site, progress: Progress) -> None:
        """Make what processes need before any of them starts; quick and idempotent."""

    def complete(self, site: Site, progress: Progress) -> None:
        """Make the rest while processes start: data directory, schema; idempotent."""
