"""
Fitting the stack to the host: an engine refuses a CPU limit above its own cores, and
memory that is not there kills whoever needs it first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from console.domain.amounts import parse_cores, parse_size
from console.errors import Refused

#: Share of the host's memory that all limits together may take.
MEMORY_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class Need:
    """
    What one service is given.

    Args:
        cpus: Limit in cores where the host has them.
        memory_mib: Limit where the host has it.
        least_mib: Below this it does not work.
        reserved_cpus: Reservation; 0 for none.
        reserved_mib: Reservation; 0 for none.
        replicas_variable: Variable with the number of replicas; empty for one.
        replicas: Where that is not set.
    """

    cpus: float
    memory_mib: int
    least_mib: int
    reserved_cpus: float = 0.0
    reserved_mib: int = 0
    replicas_variable: str = ""
    replicas: int = 1


#: By prefix of the variables, as in ``compose/docker-compose.production.yml``.
NEEDS: Mapping[str, Need] = {
    "APP": Need(2.0, 2048, 384, 0.5, 512, "APP_REPLICAS", 2),
    "LLM_WORKER": Need(4.0, 8192, 1536, 1.0, 2048, "LLM_WORKER_REPLICAS", 2),
    "RL_WORKER": Need(4.0, 8192, 1536, 1.0, 2048, "RL_WORKER_REPLICAS", 1),
    "POSTGRES": Need(2.0, 2048, 512, 0.5, 512),
    "REDIS": Need(1.0, 1024, 256, 0.25, 256),
    "NGINX": Need(1.0, 512, 128),
    "PROMETHEUS": Need(1.0, 1024, 512),
    "GRAFANA": Need(1.0, 512, 256),
}


def fitted_limits(
    cores: int,
    memory_mib: int,
    given: Mapping[str, str],
    progress: Callable[[str], None],
) -> dict[str, str]:
    """
    Return the variables with limits that fit a host.

    Args:
        cores: Of the engine's host.
        memory_mib: Of the engine's host.
        given: Variables that the operator has set; theirs are kept and not returned.
        progress: Told what had to be made smaller.

    Raises:
        Refused: If even the least that each replica needs is more memory than there is,
            or the operator's own limits are.
    """
    counts = {name: replica_count(name, given) for name in NEEDS}
    asked = {
        name: math.ceil(size / 1024**2)
        for name in NEEDS
        if (size := parse_size(given.get(f"{name}_MEMORY_LIMIT", ""))) is not None
    }
    budget = math.floor(memory_mib * MEMORY_SHARE)
    sizes = {name: need.memory_mib for name, need in NEEDS.items()} | asked
    wanted = sum(sizes[name] * counts[name] for name in NEEDS)
    if wanted > budget:
        sizes = _shrunk(budget, counts, asked)
        progress(
            f"memory limits of {_gib(wanted)} do not fit a host of {_gib(memory_mib)}, lowered: "
            + ", ".join(
                f"{name.lower().replace('_', '-')} {_gib(size)}" for name, size in sizes.items()
            )
        )
    if any(need.cpus > cores for need in NEEDS.values()):
        progress(f"CPU limits above this host's {cores} cores are lowered to {cores}")
    variables: dict[str, str] = {}
    for name, need in NEEDS.items():
        variables |= _variables(name, need, min(need.cpus, float(cores)), sizes[name])
    total = memory_of_limits({**variables, **given})
    if total > budget:
        raise Refused(
            f"memory limits of {_gib(total)} in all do not fit a host of {_gib(memory_mib)}, "
            f"{sum(counts.values())} replicas counted",
            unchanged="nothing was made or started",
            remedy="fewer replicas, for example LLM_WORKER_REPLICAS=1 API_WORKERS=1 "
            "fragrance start --runtime compose; or a host with more memory",
        )
    cpus = cores_of_limits({**variables, **given})
    if cpus > cores:
        progress(f"CPU limits of {cpus:g} cores in all on {cores}: busy replicas share them")
    return {name: value for name, value in variables.items() if name not in given}


def replica_count(name: str, variables: Mapping[str, str]) -> int:
    """Return how many replicas of a service *variables* ask for; *name* is one of NEEDS."""
    need = NEEDS[name]
    asked = variables.get(need.replicas_variable)
    if name == "APP":
        asked = asked or variables.get("API_WORKERS")
    return int(asked) if asked and asked.isdecimal() else need.replicas


def memory_of_limits(variables: Mapping[str, str]) -> int:
    """Return the memory limits of all replicas together, MiB; what is not set has its default."""
    total = 0.0
    for name, need in NEEDS.items():
        size = parse_size(variables.get(f"{name}_MEMORY_LIMIT", ""))
        one = need.memory_mib if size is None else size / 1024**2
        total += one * replica_count(name, variables)
    return math.ceil(total)


def cores_of_limits(variables: Mapping[str, str]) -> float:
    """Return the CPU limits of all replicas together; what is not set has its default."""
    return sum(
        (parse_cores(variables.get(f"{name}_CPU_LIMIT", "")) or need.cpus)
        * replica_count(name, variables)
        for name, need in NEEDS.items()
    )


def _shrunk(budget: int, counts: Mapping[str, int], asked: Mapping[str, int]) -> dict[str, int]:
    """Share in proportion what *asked* leaves; what would fall below its least gets that first."""
    fixed = dict(asked)
    while True:
        free = {name: need for name, need in NEEDS.items() if name not in fixed}
        left = budget - sum(size * counts[name] for name, size in fixed.items())
        share = left / (sum(n.memory_mib * counts[name] for name, n in free.items()) or 1)
        sizes = {name: math.floor(need.memory_mib * share) for name, need in free.items()}
        low = {name: NEEDS[name].least_mib for name in free if sizes[name] < NEEDS[name].least_mib}
        if not low:
            return {name: {**fixed, **sizes}[name] for name in NEEDS}
        fixed |= low


def _variables(name: str, need: Need, cpus: float, memory_mib: int) -> dict[str, str]:
    variables = {f"{name}_CPU_LIMIT": f"{cpus:g}", f"{name}_MEMORY_LIMIT": f"{memory_mib}M"}
    if need.reserved_cpus:
        variables[f"{name}_CPU_RESERVATION"] = f"{min(need.reserved_cpus, cpus):g}"
    if need.reserved_mib:
        reserved = min(need.reserved_mib, memory_mib)
        variables[f"{name}_MEMORY_RESERVATION"] = f"{reserved}M"
    if name == "REDIS":
        # Below the limit: a rewrite of the append-only file copies what changes meanwhile.
        variables["REDIS_MAXMEMORY"] = f"{memory_mib * 5 // 8}mb"
    if name == "POSTGRES":
        variables["POSTGRES_SHARED_BUFFERS"] = f"{memory_mib // 8}MB"
    return variables


def _gib(mib: int) -> str:
    return f"{mib / 1024:.1f} GiB"
