"""
Resize: other CPU and memory limits for the replicas of one service.

They are written down for the replicas to come, then changed on those that run, which
do not notice.  Less memory than a replica may need at this moment cannot be forced on
it: such a one is replaced by a new one, that begins small.
"""

from __future__ import annotations

from dataclasses import asdict, replace

from console.capabilities import HasSettings, SetsLimits
from console.domain.amounts import cores_text, parse_cores, parse_size, size_text
from console.domain.plans import Json, Plan, Risk, Step
from console.domain.services import Limits, Replica, Role, Service
from console.errors import Refused, UsageError
from console.operations.capacity import check_limits
from console.operations.making import WRITE_STEP, former_values, not_supported, write_step
from console.operations.replacing import replace_replicas, require_replaceable
from console.operations.request import PlanRequest
from console.operations.scale import check_seen
from console.operations.world import present_names, present_replicas

LIMIT_TIMEOUT_SECONDS = 60.0
#: A running replica's memory is lowered only if it uses less than this of the new limit:
#: where there is no room the kernel refuses, or kills.
LIVE_SHARE = 0.8
#: No container can be given less.
LEAST_MEMORY_BYTES = 6 * 1024**2
LEAST_CORES = 0.01

#: Option of the command, by field of Limits.
_OPTIONS = {
    "cpu_cores": "cpus",
    "memory_bytes": "memory",
    "cpu_reserved_cores": "reserve-cpus",
    "memory_reserved_bytes": "reserve-memory",
}


def plan_resize(request: PlanRequest) -> Plan:
    """
    Plan other limits for all replicas of one service.

    Args:
        request: Its wish is ``{"service": "app", "cpus": "1.5", "memory": "2G"}``, with
            ``reserve-cpus`` and ``reserve-memory``; at least one of these four.

    Returns:
        A plan without steps when everything is already as wished.

    Raises:
        UsageError: When the service or an amount makes no sense.
        Refused: When the host, what is in use, or the runtime forbid it.
        Unreachable: When the present replicas cannot be seen.
    """
    check_seen(request)
    runtime = request.runtime
    if not isinstance(runtime, SetsLimits) or not isinstance(runtime, HasSettings):
        raise not_supported(request, "change limits of processor and memory")
    service = _read_service(request)
    wanted = _read_wanted(request, service)
    values = _values_to_write(service, wanted, runtime)
    changing = [
        r for r in present_replicas(service) if r.limits is None or not r.limits.meets(wanted)
    ]
    words = f"{service.name} {_words(service.limits or Limits(), wanted)}"
    if not values and not changing:
        return Plan("resize", f"{words}: it is so already", (), wish=dict(request.wish))
    warnings = _check(request, service, wanted)
    live = [r for r in changing if _can_live(r, wanted)]
    replaced = [r for r in changing if r not in live]
    if replaced:
        require_replaceable(
            request, service, _why_not_live(replaced[0], wanted), "choose a higher limit"
        )
    others = [n for n in runtime.concerned(values) if n != service.name] if values else []
    warnings += [f"{name} has the same setting: its next replicas too" for name in others]
    replacement = replace_replicas(request, service, replaced)
    steps, undo = [], []
    if values:
        steps.append(write_step(request, values))
        undo.append(write_step(request, former_values(request, values), undoes=WRITE_STEP))
    steps += [_limit_step(runtime, r, wanted) for r in live]
    steps += replacement.steps
    undo += replacement.undo
    undo += [_limit_step(runtime, r, _former(r, wanted), back=True) for r in reversed(live)]
    return Plan(
        verb="resize",
        summary=words,
        steps=tuple(steps),
        undo=tuple(undo),
        warnings=(*warnings, *replacement.warnings),
        expects={service.name: present_names(service)},
        wish=dict(request.wish),
    )


# The wish ---------------------------------------------------------------------


def _read_service(request: PlanRequest) -> Service:
    name = request.wish.get("service")
    service = request.snapshot.service(name) if isinstance(name, str) else None
    if service is None:
        raise UsageError(
            f"there is no service {name!r}",
            unchanged="nothing was changed",
            remedy=f"one of: {', '.join(s.name for s in request.snapshot.services)}",
        )
    return service


def _read_wanted(request: PlanRequest, service: Service) -> Limits:
    amounts: dict[str, Json] = {}
    for field, option in _OPTIONS.items():
        text = request.wish.get(option)
        if text is None:
            continue
        is_size = field.endswith("bytes")
        least = LEAST_MEMORY_BYTES if is_size else LEAST_CORES
        amount = (parse_size if is_size else parse_cores)(str(text))
        if amount is None or amount < least:
            example = "512M or 2G, at least 6M" if is_size else "1.5, in cores, at least 0.01"
            raise UsageError(
                f"--{option} {text} makes no sense: write {example}",
                unchanged="nothing was changed",
                remedy=f"fragrance resize {service.name} --cpus 1.5 --memory 2G",
            )
        amounts[field] = amount
    if not amounts:
        raise UsageError(
            "no limit is named",
            unchanged="nothing was changed",
            remedy=f"fragrance resize {service.name} --cpus 1.5 --memory 2G",
        )
    return Limits(**amounts)


def _values_to_write(
    service: Service, wanted: Limits, runtime: SetsLimits
) -> dict[str, str | None]:
    """Return the settings that new replicas will have the limits from, where they differ."""
    present = asdict(service.limits or Limits())
    values: dict[str, str | None] = {}
    for field, amount in asdict(wanted).items():
        if amount is None or amount == present[field]:
            continue
        name: str | None = getattr(runtime.limit_settings(service.name), field)
        if name is None:
            raise Refused(
                f"another {_OPTIONS[field]} of {service.name} would not last: its compose "
                "file has no variable for it",
                unchanged="nothing was changed",
                remedy="write it there, or a variable like ${LIMIT:-1.0} in its place",
            )
        values[name] = _text(field, amount)
    return values


# Checks -----------------------------------------------------------------------


def _check(request: PlanRequest, service: Service, wanted: Limits) -> list[str]:
    """Refuse what cannot be or would hurt; return warnings."""
    host, snapshot = request.snapshot.host, request.snapshot
    warnings = []
    target = _over(service.limits or Limits(), wanted)
    if wanted.cpu_cores is not None:
        if host is None:
            warnings.append("the host cannot be read: whether it has these cores is not known")
        elif wanted.cpu_cores > host.cores:
            raise _refusal(
                f"{wanted.cpu_cores:g} cores are more than this host has: {host.cores}",
                f"--cpus {host.cores} at most",
            )
    for field, reserved in (
        ("cpu_cores", "cpu_reserved_cores"),
        ("memory_bytes", "memory_reserved_bytes"),
    ):
        most, kept = getattr(target, field), getattr(target, reserved)
        if most is not None and kept is not None and kept > most:
            raise _refusal(
                f"{_OPTIONS[field]} {_text(field, most)} of {service.name} is below its "
                f"reservation of {_text(reserved, kept)}",
                f"add --{_OPTIONS[reserved]} {_text(field, most)}, or choose a higher limit",
            )
    if wanted.memory_bytes is not None:
        _check_in_use(request, service, wanted.memory_bytes)
        warnings += check_limits(request, service, wanted.memory_bytes)
    if snapshot.environment in {"prod", "production"}:
        warnings.append(f"this is {snapshot.environment}")
    return warnings


def _check_in_use(request: PlanRequest, service: Service, memory_bytes: int) -> None:
    """Refuse less memory than is in use, or than a broker was told that it may use."""
    used = max((r.memory_bytes or 0 for r in service.replicas), default=0)
    if memory_bytes < used:
        raise _refusal(
            f"{size_text(memory_bytes)} is less than {service.name} uses now: "
            f"{used / 1024**2:.0f} MiB in one replica",
            "choose a higher limit",
        )
    setting = request.snapshot.settings.get("REDIS_MAXMEMORY", "")
    allowed = parse_size(setting) if service.role is Role.BROKER else None
    if allowed is not None and memory_bytes < allowed:
        raise _refusal(
            f"{size_text(memory_bytes)} is less than {service.name} lets its data take: "
            f"REDIS_MAXMEMORY is {setting}",
            "choose a higher limit",
        )


def _refusal(message: str, remedy: str) -> Refused:
    return Refused(message, unchanged="nothing was changed", remedy=remedy)


# One replica ------------------------------------------------------------------


def _can_live(replica: Replica, wanted: Limits) -> bool:
    """Whether the limits can be changed while it runs, and changed back."""
    present = replica.limits or Limits()
    for field in ("cpu_cores", "memory_bytes", "memory_reserved_bytes"):
        # What is without a limit cannot be made so again while it runs.
        if getattr(wanted, field) is not None and getattr(present, field) is None:
            return False
    return not _is_tight(replica, wanted)


def _is_tight(replica: Replica, wanted: Limits) -> bool:
    present = replica.limits or Limits()
    memory = wanted.memory_bytes
    if memory is None or present.memory_bytes is None or memory >= present.memory_bytes:
        return False
    return replica.memory_bytes is None or replica.memory_bytes > LIVE_SHARE * memory


def _why_not_live(replica: Replica, wanted: Limits) -> str:
    if not _is_tight(replica, wanted):
        return f"{replica.name} runs without such a limit, and is given one by a new start only"
    if replica.memory_bytes is None:
        return f"how much memory {replica.name} uses is not known"
    return (
        f"{replica.name} uses {replica.memory_bytes / 1024**2:.0f} MiB, too much to lower its "
        f"limit to {size_text(wanted.memory_bytes or 0)} while it runs"
    )


def _limit_step(
    runtime: SetsLimits, replica: Replica, limits: Limits, *, back: bool = False
) -> Step:
    name = f"limit-{replica.name}"
    enforced = replace(limits, cpu_reserved_cores=None)
    return Step(
        name=name,
        kind="limit_replica",
        arguments={"replica": replica.name, "limits": asdict(enforced)},
        command=runtime.limits_command(replica.name, enforced),
        risk=Risk.LOW,
        timeout_seconds=LIMIT_TIMEOUT_SECONDS,
        undoes=name if back else None,
    )


def _former(replica: Replica, wanted: Limits) -> Limits:
    """Return the present limits of those kinds that *wanted* changes."""
    present = asdict(replica.limits or Limits())
    return Limits(
        **{f: present[f] if amount is not None else None for f, amount in asdict(wanted).items()}
    )


def _over(present: Limits, wanted: Limits) -> Limits:
    """Return *present* with what *wanted* names in its place."""
    return replace(present, **{f: v for f, v in asdict(wanted).items() if v is not None})


def _words(present: Limits, wanted: Limits) -> str:
    old = asdict(present)
    return ", ".join(
        f"{_OPTIONS[f]} {_text(f, old[f]) if old[f] is not None else 'unlimited'} → {_text(f, v)}"
        for f, v in asdict(wanted).items()
        if v is not None
    )


def _text(field: str, amount: float) -> str:
    return size_text(int(amount)) if field.endswith("bytes") else cores_text(amount)
