"""Does the host have room for more replicas: measured memory against what is left."""

from __future__ import annotations

from dataclasses import dataclass

from console.domain.services import Service
from console.errors import Refused
from console.operations.request import PlanRequest


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """
    What added replicas will need.

    Args:
        bytes_needed: Sum over the added replicas whose need is known.
        unknown: Services whose need nothing tells.
    """

    bytes_needed: int
    unknown: tuple[str, ...]


def memory_need(request: PlanRequest, added: dict[str, int]) -> MemoryNeed:
    """
    Estimate the memory of added replicas.

    Args:
        request: Its snapshot tells what present replicas use, its policy what a
            replica needs where none is there to measure.
        added: Number of new replicas by service.
    """
    total, unknown = 0, []
    for name, count in added.items():
        service = request.snapshot.service(name)
        each = None if service is None else _each(request, service)
        if each is None:
            unknown.append(name)
        else:
            total += each * count
    return MemoryNeed(total, tuple(unknown))


def check_memory(request: PlanRequest, added: dict[str, int]) -> list[str]:
    """
    Refuse what does not fit; return warnings about what cannot be told.

    Raises:
        Refused: When the need is above what is available less the reserve.
    """
    if not added:
        return []
    need = memory_need(request, added)
    host = request.snapshot.host
    if host is None:
        return ["the host's memory cannot be read: whether it fits is not known"]
    total = host.memory_available_bytes / max(1e-6, 1.0 - min(host.memory_ratio, 1.0 - 1e-6))
    reserve = int(total * request.policy.memory_reserve_ratio)
    room = host.memory_available_bytes - reserve
    if need.bytes_needed > room:
        raise Refused(
            f"not enough memory: {', '.join(f'{n} more {s}' for s, n in added.items())} "
            f"need about {_gib(need.bytes_needed)}, and {_gib(max(0, room))} may be used "
            f"({_gib(host.memory_available_bytes)} available, {_gib(reserve)} kept in reserve)",
            unchanged="nothing was changed",
            remedy="choose a smaller number, or scale something else down first",
        )
    return [f"how much memory {name} needs is not known yet" for name in need.unknown]


def _each(request: PlanRequest, service: Service) -> int | None:
    measured = [r.memory_bytes for r in service.replicas if r.memory_bytes is not None]
    if measured:
        return max(measured)
    policy = request.policy.scale.get(service.name)
    return None if policy is None else policy.memory_bytes_per_replica


def _gib(size_bytes: float) -> str:
    return f"{size_bytes / 1024**3:.1f} GiB"
