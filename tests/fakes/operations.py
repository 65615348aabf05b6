"""Plans, operations and audit entries, worded as the real ones are."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from console.domain.operations import Actor, Operation, OperationState, StepPhase, StepRecord
from console.domain.plans import Plan, Risk, Step
from console.errors import Refused
from tests.fakes.pictures import NOW, OPERATION_ID


def scale_plan(name: str = "worker-llm", now: int = 2, target: int = 4) -> Plan:
    """The plan of a scaling, as the real planner words it."""
    adding = target > now
    numbers = range(now + 1, target + 1) if adding else range(now, target, -1)
    verb, other = ("start", "stop") if adding else ("stop", "start")
    steps = tuple(
        Step(
            name=f"{verb}-{name}-{number}",
            kind=f"{verb}_replica",
            arguments={"service": name, "replica": f"{name}-{number}"},
            command=f"python -m workers llm   # as {name}-{number}",
            risk=Risk.LOW if adding else Risk.MEDIUM,
        )
        for number in numbers
    )
    undo = tuple(
        Step(name=f"{other}-{name}-{n}", kind=f"{other}_replica", command=f"{other} {name}-{n}")
        for n in reversed(numbers)
    )
    return Plan(
        verb="scale",
        summary=f"{name} {now} → {target}",
        steps=steps,
        undo=undo,
        warnings=("cpu is overcommitted: 16 cores of limits on 8 cores",) if adding else (),
        expects={name: [f"{name}-{number}" for number in range(1, now + 1)]},
        wish={"targets": {name: target}},
    )


def restart_plan(*replicas: str, service: str = "app", risk: Risk = Risk.LOW) -> Plan:
    """The plan of a restart, as the real planner words it."""
    return Plan(
        verb="restart",
        summary=f"{service} ×{len(replicas)}" if len(replicas) > 1 else replicas[0],
        steps=tuple(
            Step(
                name=f"{verb}-{replica}",
                kind=f"{verb}_replica",
                command=f"{verb} {replica}",
                risk=risk if verb == "restart" else Risk.NONE,
            )
            for replica in replicas
            for verb in ("restart", "gate")
        ),
        undo=tuple(Step(f"recover-{r}", "gate_replica", command=f"gate {r}") for r in replicas),
        warnings=() if len(replicas) > 1 else (f"{service} answers with one replica less",),
        expects={service: list(replicas)},
        wish={"services": [service]},
    )


def operation(
    state: OperationState,
    *,
    operation_id: str = OPERATION_ID,
    plan: Plan | None = None,
    phases: tuple[StepPhase, ...] = (),
    **changes: Any,
) -> Operation:
    """One operation in *state*, its first steps in *phases*."""
    plan = plan or scale_plan()
    begun = NOW - timedelta(minutes=4)
    steps = tuple(
        StepRecord(place, step.name, phase, begun, "healthy" if phase is StepPhase.DONE else "")
        for place, (step, phase) in enumerate(zip(plan.steps, phases, strict=False), 1)
    )
    made = Operation(
        id=operation_id,
        verb=plan.verb,
        actor=Actor("ana", 1000),
        reason="queue growing",
        state=state,
        plan=plan,
        submitted_at=begun,
        started_at=begun,
        steps=steps,
    )
    return replace(made, **changes)


#: A refusal as the real planner words it.
TOO_MANY = Refused(
    "worker-llm cannot run 9 replicas: 27 GiB more are needed, 17 GiB are free",
    unchanged="nothing was changed",
    remedy="scale to 4, or free memory on this host",
)


def audit_entries() -> list[dict[str, Any]]:
    """Entries of the audit as they are written, newest first."""
    ana: dict[str, Any] = {"user": "ana", "uid": 1000, "origin": "local"}
    ben: dict[str, Any] = {"user": "ben", "uid": 1001, "origin": "ssh 192.0.2.7"}
    rows: list[tuple[int, str, dict[str, Any], str, str, str, str | None]] = [
        (5, "access", ana, "write access until 03:20 UTC", "granted", "queue grows", None),
        (14, "operation", ben, "scale worker-llm 2 → 4", "done", "queue growing", OPERATION_ID),
        (90, "operation", ana, "restart app ×2", "refused", "", "op-0006"),
        (1500, "change", ana, "start", "done", "", None),
    ]
    return [
        {
            "seq": len(rows) - place,
            "at": (NOW - timedelta(minutes=minutes)).isoformat(),
            "kind": kind,
            "actor": actor,
            "what": what,
            "outcome": outcome,
            "reason": reason,
            "operation_id": operation_id,
            "details": {"verified": "yes"} if kind == "operation" else {},
            "hash": f"{place}" * 64,
        }
        for place, (minutes, kind, actor, what, outcome, reason, operation_id) in enumerate(rows)
    ]
