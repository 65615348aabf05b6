"""
Settings: other values, and new replicas wherever they count.

A value takes effect in what is started after it was written; so the replicas of all
services that it concerns are replaced, new ones first.  What cannot run twice (a
database, a broker, the proxy) is stopped before: an outage, and its name is typed.
"""

from __future__ import annotations

import difflib

from console.capabilities import HasSettings, RemovesReplica, StartsReplicas
from console.domain.plans import Plan, Step
from console.domain.services import Role, Service
from console.domain.text import plain_text
from console.domain.tunables import Setting, wrong_with
from console.errors import Refused, UsageError
from console.operations.making import WRITE_STEP, former_values, not_supported, write_step
from console.operations.replacing import (
    replace_alone,
    replace_replicas,
    require_replaceable,
    why_alone,
)
from console.operations.request import PlanRequest
from console.operations.scale import check_seen
from console.operations.world import present_names, present_replicas

_ORDER = (Role.APP, Role.WORKER)


def plan_settings(request: PlanRequest) -> Plan:
    """
    Plan other values of some settings.

    Args:
        request: Its wish is ``{"values": {"LOG_LEVEL": "DEBUG"}}``; an empty value
            stands for the default.

    Returns:
        A plan without steps when everything is already as wished.

    Raises:
        UsageError: When a setting is not known, is not set here, or the value is none.
        Refused: When a service that it concerns can neither be replaced while it serves
            nor be stopped and made anew without loss.
        Unreachable: When the present replicas cannot be seen.
    """
    check_seen(request)
    runtime = request.runtime
    if not isinstance(runtime, HasSettings):
        raise not_supported(request, "change settings of a stack that runs")
    wanted = _read_wish(request, runtime)
    values = {n: v for n, (_, v) in wanted.items() if request.snapshot.settings.get(n) != v}
    words = ", ".join(
        f"{n} {_shown(s, request.snapshot.settings.get(n))} → {_shown(s, v)}"
        for n, (s, v) in wanted.items()
    )
    if not values:
        return Plan("settings", f"{words}: it is so already", (), wish=dict(request.wish))
    concerned = set(runtime.concerned(values))
    services = sorted(
        (s for s in request.snapshot.services if s.name in concerned and present_replicas(s)),
        key=lambda s: _ORDER.index(s.role) if s.role in _ORDER else len(_ORDER),
    )
    steps: list[Step] = [write_step(request, values)]
    undo: list[Step] = []
    warnings: list[str] = []
    stopped = [s for s in services if why_alone(s)]
    for service in services:
        if service in stopped:
            _require_anew(runtime, service, values)
            replacement = replace_alone(request, service, present_replicas(service))
        else:
            require_replaceable(request, service, "it takes effect in new replicas only", "")
            replacement = replace_replicas(request, service, present_replicas(service))
        steps += replacement.steps
        undo = [*replacement.undo, *undo]
        warnings += [w for w in replacement.warnings if w not in warnings]
    if not services:
        warnings.append("no replica that runs is replaced for it")
    if request.snapshot.environment in {"prod", "production"}:
        warnings.append(f"this is {request.snapshot.environment}")
    names = ", ".join(s.name for s in services)
    return Plan(
        verb="settings",
        summary=f"{words} ({names})" if names else words,
        steps=tuple(steps),
        undo=(write_step(request, former_values(request, values), undoes=WRITE_STEP), *undo),
        warnings=tuple(warnings),
        expects={service.name: present_names(service) for service in services},
        wish=dict(request.wish),
        typed=" ".join(s.name for s in stopped),
    )


def find_setting(known: tuple[Setting, ...], name: str) -> Setting:
    """
    Return the setting called *name*.

    Raises:
        UsageError: If there is none; names those that it may have been meant for.
    """
    found = next((s for s in known if s.name == name), None)
    if found is not None:
        return found
    near = difflib.get_close_matches(name.upper(), [s.name for s in known], n=3, cutoff=0.5)
    raise UsageError(
        f"there is no setting {plain_text(name, 60)!r}",
        unchanged="nothing was changed",
        remedy=f"did you mean {' or '.join(near)}?" if near else "fragrance settings list",
    )


def _read_wish(request: PlanRequest, runtime: HasSettings) -> dict[str, tuple[Setting, str | None]]:
    """Return the settings with their new values, None for the default."""
    wished = request.wish.get("values")
    if not isinstance(wished, dict) or not wished:
        raise UsageError(
            "no setting is named",
            unchanged="nothing was changed",
            remedy="fragrance settings set LOG_LEVEL=DEBUG",
        )
    known = runtime.settings()
    wanted: dict[str, tuple[Setting, str | None]] = {}
    for name, value in wished.items():
        setting = find_setting(known, str(name))
        if setting.secret:
            raise UsageError(
                f"{setting.name} is a secret, and no secret is given on a command line",
                unchanged="nothing was changed",
                remedy=setting.explanation or "write it where your project has its secrets",
            )
        if setting.instead:
            raise UsageError(
                f"{setting.name} is not changed as a setting: {setting.instead}",
                unchanged="nothing was changed",
                remedy=setting.instead
                if setting.instead.startswith("fragrance ")
                else "fragrance settings list",
            )
        text = str(value)
        if wrong := wrong_with(setting.name, text):
            raise UsageError(
                f"{setting.name}={plain_text(text, 60)} {wrong}",
                unchanged="nothing was changed",
                remedy=f"fragrance settings get {setting.name}",
            )
        wanted[setting.name] = (setting, text or None)
    return wanted


def _require_anew(runtime: HasSettings, service: Service, values: dict[str, str | None]) -> None:
    """Raise unless what cannot run twice can be stopped, and made anew without loss."""
    why = runtime.why_not_anew(service.name)
    able = isinstance(runtime, StartsReplicas) and isinstance(runtime, RemovesReplica)
    if able and not why:
        return
    own = [n for n, v in values.items() if service.name in runtime.concerned({n: v})]
    raise Refused(
        f"{', '.join(own)} takes effect in a new {service.name} only, and a second one cannot "
        f"run beside the first: {why_alone(service)}; nor can it be made anew: "
        f"{why or 'this runtime does not remove single replicas'}",
        unchanged="nothing was changed",
        remedy="in a quiet hour: fragrance stop; "
        f"{runtime.settings_command({n: values[n] for n in own})}; fragrance start",
    )


def _shown(setting: Setting, value: str | None) -> str:
    if value is not None:
        return plain_text(value, 80)
    return f"default ({setting.default})" if setting.default else "default"
