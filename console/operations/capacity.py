"""Does the host have room for more replicas: memory refuses, too little processor warns."""

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


def cpu_warnings(request: PlanRequest, added: dict[str, int]) -> list[str]:
    """
    Warn when the replicas may use more processor than there is; the engine shares it out.

    Limits are counted where there are any, else what a replica was measured to use.
    """
    host = request.snapshot.host
    if not added or host is None:
        return []
    limited = {
        service.name: service.replica_cpu_limit_cores
        for service in request.snapshot.services
        if service.replica_cpu_limit_cores is not None
    }
    allowed = sum(
        limited.get(service.name, 0.0) * (len(service.replicas) + added.get(service.name, 0))
        for service in request.snapshot.services
    )
    if allowed > host.cores and limited.keys() & added.keys():
        return [f"cpu is overcommitted: {allowed:g} cores of limits on {host.cores} cores"]
    measured = sum(
        count * (_cores_each(request, name) or 0.0)
        for name, count in added.items()
        if name not in limited
    )
    free = None if host.cpu_ratio is None else host.cores * (1.0 - host.cpu_ratio)
    if free is not None and measured > max(0.0, free):
        return [
            f"the processor is {100 * (host.cpu_ratio or 0.0):.0f} % used: "
            f"what is added would use about {measured:.1f} cores, and {max(0.0, free):.1f} are free"
        ]
    return []


def capacity_lines(request: PlanRequest, service: Service) -> list[str]:
    """Return what one more replica of *service* needs against what the host has."""
    host = request.snapshot.host
    memory, cores = _each(request, service), _cores_each(request, service.name)
    needs = [
        "memory not known yet" if memory is None else f"about {_gib(memory)} of memory",
        "cores not known yet"
        if cores is None
        else f"{'up to' if service.replica_cpu_limit_cores else 'about'} {cores:.1f} cores",
    ]
    if host is None:
        return [f"one more needs {', '.join(needs)}; the host cannot be read"]
    free = "unknown" if host.cpu_ratio is None else f"{host.cores * (1 - host.cpu_ratio):.1f}"
    lines = [
        f"one more needs {', '.join(needs)}",
        f"the host has {_gib(host.memory_available_bytes)} of memory available, "
        f"{free} of {host.cores} cores idle",
    ]
    try:
        lines += check_memory(request, {service.name: 1})
    except Refused as refusal:
        lines.append(f"refused: {refusal.message}")
    return [*lines, *cpu_warnings(request, {service.name: 1})]


def _cores_each(request: PlanRequest, name: str) -> float | None:
    """Return what one replica may use, or where it has no limit what one uses now."""
    service = request.snapshot.service(name)
    if service is None:
        return None
    if service.replica_cpu_limit_cores is not None:
        return service.replica_cpu_limit_cores
    if service.cpu_cores is None or not service.replicas:
        return None
    return service.cpu_cores / len(service.replicas)


def check_limits(request: PlanRequest, service: Service, memory_bytes: int) -> list[str]:
    """
    Refuse a limit that the host can never give; return warnings about what is tight.

    Args:
        request: Its snapshot tells the host's memory.
        service: Whose replicas are to have it.
        memory_bytes: New limit of each.

    Raises:
        Refused: When one replica alone could take more than the host has.
    """
    host = request.snapshot.host
    if host is None:
        return ["the host's memory cannot be read: whether it fits is not known"]
    total = host.memory_available_bytes / max(1e-6, 1.0 - min(host.memory_ratio, 1.0 - 1e-6))
    reserve = int(total * request.policy.memory_reserve_ratio)
    if memory_bytes > total - reserve:
        raise Refused(
            f"{_gib(memory_bytes)} for each {service.name} do not fit this host: it has "
            f"{_gib(total)}, of which {_gib(reserve)} are kept in reserve",
            unchanged="nothing was changed",
            remedy="choose a smaller limit",
        )
    growth = sum(max(0, memory_bytes - (r.memory_bytes or 0)) for r in service.replicas)
    room = max(0, host.memory_available_bytes - reserve)
    if growth <= room:
        return []
    return [
        f"{service.name} may then grow by {_gib(growth)} in all, and {_gib(room)} are left "
        "on this host: what grows last is killed"
    ]


def _each(request: PlanRequest, service: Service) -> int | None:
    measured = [r.memory_bytes for r in service.replicas if r.memory_bytes is not None]
    if measured:
        return max(measured)
    policy = request.policy.scale.get(service.name)
    return None if policy is None else policy.memory_bytes_per_replica


def _gib(size_bytes: float) -> str:
    return f"{size_bytes / 1024**3:.1f} GiB"
