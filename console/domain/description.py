"""
Everything a runtime knows of one service, asked for once and not at every picture.

A snapshot says how it is; this says why, and what it is made of.  No secret is in it:
values that are one are left out where they are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from console.domain.secrecy import why_hidden
from console.domain.services import Drift


@dataclass(frozen=True, slots=True)
class Variable:
    """
    One variable of a replica's environment.

    Args:
        value: None where it is not to be shown.
        hidden: Why it is not, else "".
    """

    name: str
    value: str | None
    hidden: str = ""


@dataclass(frozen=True, slots=True)
class CheckRun:
    """One run of the runtime's own health check; ``at`` is when it began."""

    at: datetime | None
    passed: bool
    output: str


@dataclass(frozen=True, slots=True)
class RuntimeEvent:
    """Something that the runtime tells of a replica, in words."""

    at: datetime
    replica: str
    words: str
    grave: bool = False


@dataclass(frozen=True, slots=True)
class ReplicaDescription:
    """
    One replica as it was made and as it runs.

    Args:
        name: ``app-1``.
        image: What it was made from, "" where there are no images.
        image_id: Which one that was, "" where there are none.
        command: What it runs.
        user: As whom, "" where nothing says.
        addresses: Where it is reached, each with its network.
        ports: What is published of it.
        mounts: What it sees of the host, and of volumes.
        environment: Its variables, secrets hidden, by name.
        checks: Last runs of the runtime's own health check, the newest first.
        failures: How often in a row that has failed; None where there is none.
        out_of_memory: Whether the kernel ended its last process for its memory; None
            where that is not told.
        exit_code: Of its last process while none runs.
    """

    name: str
    image: str = ""
    image_id: str = ""
    command: str = ""
    user: str = ""
    addresses: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()
    environment: tuple[Variable, ...] = ()
    checks: tuple[CheckRun, ...] = ()
    failures: int | None = None
    out_of_memory: bool | None = None
    exit_code: int | None = None


@dataclass(frozen=True, slots=True)
class ServiceDescription:
    """
    One service.

    Args:
        replicas: In the order of the topology.
        events: What the runtime tells of it, the newest first.
        drift: Where what runs differs from what is written down, in full.
        notes: What else is worth knowing of the difference between the two.
    """

    service: str
    replicas: tuple[ReplicaDescription, ...] = ()
    events: tuple[RuntimeEvent, ...] = ()
    drift: tuple[Drift, ...] = ()
    notes: tuple[str, ...] = field(default=())

    def replica(self, name: str) -> ReplicaDescription | None:
        """Return the replica called *name*, or None."""
        return next((r for r in self.replicas if r.name == name), None)


def variables_of(
    environment: Mapping[str, str], contents: Mapping[str, str]
) -> tuple[Variable, ...]:
    """Return an environment by name, without the values that are secrets."""
    found = []
    for name, value in sorted(environment.items()):
        why = why_hidden(name, value, contents)
        found.append(Variable(name, None if why else value, why))
    return tuple(found)


def grouped(found: Iterable[tuple[str, str, str]]) -> tuple[Drift, ...]:
    """
    Return differences of single replicas as one each, with all replicas that have it.

    Args:
        found: Name of the replica, what differs, what mends it.
    """
    names: dict[tuple[str, str], list[str]] = {}
    for name, what, mend in found:
        names.setdefault((what, mend), []).append(name)
    return tuple(
        Drift(f"{_listed(replicas)}: {what}", mend) for (what, mend), replicas in names.items()
    )


def _listed(names: list[str]) -> str:
    """Return a few names, and how many more there are."""
    most = 3
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {len(names) - most} more"
