"""Maintenance: users are shown a page while something is worked on."""

from __future__ import annotations

from console.capabilities import HasMaintenance
from console.domain.maintenance import checklist, confirmed, open_words, outside_words
from console.domain.plans import Json, ListItem, Plan, Question, Risk, Step
from console.domain.questions import NO, WAIT, YES
from console.domain.services import Role
from console.domain.snapshot import AgentState
from console.errors import NotSupported, UsageError
from console.operations.request import PlanRequest
from console.operations.scale import answer_seconds, check_seen

SWITCH_TIMEOUT_SECONDS = 30.0
#: How long requests that were under way are waited for.
LIMIT_SECONDS = 60.0
LONGEST_LIMIT_SECONDS = 3600.0
#: How long somebody is given to say what to do about those that did not end.
ANSWER_SECONDS = 120.0


def plan_maintenance(request: PlanRequest) -> Plan:
    """
    Plan to show the page, or to take it away.

    Args:
        request: Its wish is ``{"on": true}`` or ``{"on": false}``, with ``emergency``
            (no notice; requests that do not end are left to themselves), ``confirmed``
            (ids of the list that a person answers for), ``limit_seconds``
            to wait for requests under way (60) and
            ``answer_seconds`` for what a person decides about those that did not end.

    Raises:
        UsageError: When the wish makes no sense.
        NotSupported: Where there is no page.
        Unreachable: When the stack cannot be seen.
    """
    check_seen(request)
    on = request.wish.get("on")
    if not isinstance(on, bool):
        raise UsageError(
            "it is not said whether maintenance is to be on or off",
            unchanged="nothing was changed",
            remedy="fragrance maintenance on, or off",
        )
    if not has_page(request):
        raise NotSupported(
            f"this stack on {request.snapshot.runtime} has no maintenance page: "
            "no proxy of ours stands before it",
            unchanged="nothing was changed",
            remedy="fragrance start --runtime compose has one",
        )
    if request.snapshot.maintenance is on:
        return Plan("maintenance", f"is {'on' if on else 'off'} already", (), wish=request.wish)
    warnings = _before(request) if on else _not_ready(request)
    if request.snapshot.environment in {"prod", "production"} and on:
        warnings.append(f"this is {request.snapshot.environment}: users get 503 until it is off")
    first = switch_step(request, on=on)
    return Plan(
        verb="maintenance",
        summary="on" if on else "off",
        steps=(first, _drain(request)) if on else (first,),
        undo=(switch_step(request, on=not on, undoes=first.name),),
        warnings=tuple(warnings),
        wish=dict(request.wish),
        checklist=_checklist(request) if on and not request.wish.get("emergency") else (),
    )


def has_page(request: PlanRequest) -> bool:
    """Whether there is a page, and a proxy that shows it."""
    return isinstance(request.runtime, HasMaintenance) and request.runtime.has_maintenance()


def switch_step(
    request: PlanRequest,
    *,
    on: bool,
    undoes: str | None = None,
    until: list[dict[str, Json]] | None = None,
) -> Step:
    """Return the step that shows the page or takes it away."""
    assert isinstance(request.runtime, HasMaintenance)  # noqa: S101 -- see has_page
    arguments: dict[str, Json] = {"on": on}
    if until is not None:
        arguments["until"] = until
    return Step(
        name=f"maintenance-{'on' if on else 'off'}",
        kind="switch_maintenance",
        arguments=arguments,
        command=request.runtime.maintenance_command(on=on),
        risk=Risk.HIGH if on else Risk.LOW,
        timeout_seconds=SWITCH_TIMEOUT_SECONDS,
        undoes=undoes,
    )


def drain_requests_step(limit_seconds: float, until: list[dict[str, Json]] | None = None) -> Step:
    """Return the step that waits for the requests that were under way."""
    arguments: dict[str, Json] = {"limit_seconds": limit_seconds}
    if until is not None:
        arguments["until"] = until
    return Step(
        name="drain-requests",
        kind="drain_requests",
        arguments=arguments,
        command=f"wait until no request is under way, {limit_seconds:g} s at most",
        risk=Risk.NONE,
        timeout_seconds=limit_seconds + SWITCH_TIMEOUT_SECONDS,
    )


def _before(request: PlanRequest) -> list[str]:
    """Return what speaks against beginning it now."""
    policy = request.policy.maintenance
    outside = outside_words(policy.windows, request.snapshot.taken_at)
    if request.wish.get("emergency"):
        return [
            "emergency, without notice: announce it now, fix, verify, publish the resolution",
            *([outside] if outside else []),
        ]
    open_ = open_words(_checklist(request))
    return [words for words in (outside, open_) if words]


def _checklist(request: PlanRequest) -> tuple[ListItem, ...]:
    """Return what is to be seen to before, as far as it is answered."""
    said = request.wish.get("confirmed", [])
    items = checklist(request.policy.maintenance.notice_hours)
    try:
        return confirmed(items, said if isinstance(said, list) else [said])
    except ValueError as error:
        raise UsageError(
            str(error),
            unchanged="nothing was changed",
            remedy="fragrance maintenance on --dry-run shows the list",
        ) from error


def _drain(request: PlanRequest) -> Step:
    """Return the step that waits for them, and asks what to do about those that do not end."""
    limit = _limit(request)
    if request.wish.get("emergency"):
        return drain_requests_step(limit)
    return Step(
        name="drain-requests",
        kind="drain_requests",
        command=f"wait until no request is under way; after {limit:g} s ask what to do",
        risk=Risk.NONE,
        timeout_seconds=limit,
        question=Question(
            text=f"requests did not end within {limit:g} s; is maintenance begun all the same?",
            choices={
                YES: "begin it; they are left to themselves",
                NO: "go back: users get the application again",
                WAIT: f"wait for {limit:g} s more",
            },
            wait_seconds=answer_seconds(request, ANSWER_SECONDS),
        ),
    )


def _limit(request: PlanRequest) -> float:
    limit = request.wish.get("limit_seconds", LIMIT_SECONDS)
    if isinstance(limit, bool) or not isinstance(limit, int | float):
        limit = -1
    if not 0 <= limit <= LONGEST_LIMIT_SECONDS:
        raise UsageError(
            f"requests cannot be waited for that long: {request.wish.get('limit_seconds')}",
            unchanged="nothing was changed",
            remedy=f"0 to {LONGEST_LIMIT_SECONDS:g} seconds",
        )
    return float(limit)


def _not_ready(request: PlanRequest) -> list[str]:
    absent = request.snapshot.agent is AgentState.ABSENT
    return (["no agent is running: nobody watches afterwards"] if absent else []) + [
        f"{service.name} has {service.ready} of {service.desired} ready: users get what it answers"
        for service in request.snapshot.services
        if service.role is Role.APP and service.ready < service.desired
    ]
