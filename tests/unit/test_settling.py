"""After a scaling: followed for some minutes, judged once, found again by another agent."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from console.domain.alerts import Alert, AlertSeverity, AlertState
from console.domain.metrics import Metrics
from console.domain.operations import Actor, Operation, OperationState
from console.domain.plans import Plan, Step
from console.domain.policy import MaintenancePolicy, Policy
from console.domain.services import Health
from console.domain.snapshot import Snapshot
from console.duties.settling import SettleDuty, settling
from tests.fakes.clock import FakeClock
from tests.fakes.journal import FakeJournal
from tests.unit.test_advice import picture, queue, worker

POLICY = Policy(settle_minutes=5, maintenance=MaintenancePolicy(watch_minutes=30))
BEFORE: dict[str, float | None] = {
    "replicas": 1.0, "queue_depth": 120.0, "wait_seconds": 48.0, "cpu_ratio": 0.91,
}  # fmt: skip


class Setting:
    """A journal, a clock, and an agent's duty that can be lost and begun anew."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.journal = FakeJournal(self.clock)
        self.duty = self.another_agent()

    def another_agent(self) -> SettleDuty:
        return SettleDuty(self.journal, POLICY, self.clock)

    def scaled(self, state: OperationState = OperationState.DONE, verb: str = "scale") -> Operation:
        plan = Plan(
            verb,
            "worker-llm 1 → 3",
            (Step("start-worker-llm-2", "start_replica"),),
            expects={"worker-llm": ["worker-llm-1"]},
            before={"worker-llm": BEFORE} if verb == "scale" else {},
        )
        operation = self.journal.submit(plan, Actor("anna", 1), "backlog")
        self.journal.set_state(operation.id, state, ended_at=self.clock.now(), exit_code=0)
        return self.journal.operation(operation.id)

    def maintained(self, *, on: bool = False) -> Operation:
        word = "on" if on else "off"
        step = Step(f"maintenance-{word}", "switch_maintenance", {"on": on})
        plan = Plan("maintenance", word, (step,), wish={"on": on})
        operation = self.journal.submit(plan, Actor("anna", 1), "upgrade")
        self.journal.set_state(
            operation.id, OperationState.DONE, ended_at=self.clock.now(), exit_code=0
        )
        return self.journal.operation(operation.id)

    def pass_by(self, seconds: float, snapshot: Snapshot, every: float = 10.0) -> None:
        for _ in range(int(seconds / every)):
            self.clock.advance(every)
            self.duty.attend(snapshot)

    def verdicts(self) -> list[str]:
        return [
            f"{c.actor}: {c.what} {c.outcome}: {c.reason}"
            for c in self.journal.changes(50)
            if c.actor == "agent"
        ]

    def told(self, operation: Operation) -> str:
        found = settling(self.journal, operation, POLICY, self.clock)
        return "" if found is None else found.words


@pytest.fixture
def setting() -> Setting:
    return Setting()


CALM = picture(worker(3), queues=(queue(3, 0.8),))
FLOODED = picture(worker(3), queues=(queue(400, 90.0),))


def test_it_is_followed_and_then_judged_once_with_the_figures_before_and_after(
    setting: Setting,
) -> None:
    operation = setting.scaled()
    assert setting.told(operation) == "settling, 5 min left"

    setting.pass_by(120, CALM)
    assert setting.told(operation) == "settling, 3 min left"
    assert setting.verdicts() == []

    setting.pass_by(300, CALM)
    words = "settled: queue 120 → 3, wait 48 s → 800 ms, CPU 91 % → 30 %"
    assert setting.verdicts() == [f"agent: scale worker-llm 1 → 3 {words}"]
    assert setting.told(operation) == words


def test_what_still_fires_has_not_settled(setting: Setting) -> None:
    setting.scaled()
    setting.pass_by(320, FLOODED)

    [verdict] = setting.verdicts()
    assert "not settled: queue 120 → 400" in verdict
    assert "2 of 3 triggers fire" in verdict


def test_what_is_not_ready_or_cannot_be_told_has_not_settled(setting: Setting) -> None:
    setting.scaled()
    broken = replace(worker(3), ready=2, health=Health.UNHEALTHY)
    setting.pass_by(320, picture(broken, queues=(queue(3, 0.8),)))
    setting.scaled()
    setting.pass_by(320, picture(worker(3, cpu=None), queues=(queue(3, 0.8),)))

    unknown, short = setting.verdicts()
    assert "2 of 3 ready" in short
    assert "cannot be told: CPU unknown" in unknown


def test_an_agent_that_was_lost_finds_the_watch_again(setting: Setting) -> None:
    setting.scaled()
    setting.pass_by(200, CALM)
    setting.duty = setting.another_agent()
    setting.pass_by(200, CALM)
    setting.duty = setting.another_agent()
    setting.pass_by(60, CALM)

    assert len(setting.verdicts()) == 1


def test_what_nobody_followed_is_not_judged_from_figures_of_later(setting: Setting) -> None:
    operation = setting.scaled()
    setting.clock.advance(1000)
    setting.pass_by(60, CALM)

    assert setting.verdicts() == []
    assert setting.told(operation).startswith("not followed: no agent ran at 12:05")


def test_a_later_scaling_of_the_same_service_ends_the_following(setting: Setting) -> None:
    first = setting.scaled()
    setting.pass_by(100, CALM)
    second = setting.scaled()
    setting.pass_by(400, CALM)

    assert len(setting.verdicts()) == 1
    assert second.id in setting.told(first)
    assert setting.told(second).startswith("settled")


def test_unseen_replicas_are_waited_for_a_little(setting: Setting) -> None:
    setting.scaled()
    setting.pass_by(330, replace(CALM, sources=()))
    assert setting.verdicts() == []

    setting.pass_by(30, CALM)
    assert len(setting.verdicts()) == 1


@pytest.mark.parametrize("state", [OperationState.REVERTED, OperationState.CANCELLED])
def test_what_was_not_done_is_not_followed(setting: Setting, state: OperationState) -> None:
    operation = setting.scaled(state)
    setting.pass_by(400, CALM)

    assert setting.verdicts() == []
    assert setting.told(operation) == ""
    assert setting.told(setting.scaled(verb="restart")) == ""


# After maintenance ----------------------------------------------------------------

ASKED = Metrics(request_rate=12.0, error_ratio=0.001, p95_seconds=0.1, requests_in_flight=1.0)
WELL = picture(worker(3), queues=(queue(3, 0.8),), metrics=ASKED)


def firing(name: str, since: datetime) -> Alert:
    return Alert(name, AlertSeverity.CRITICAL, AlertState.FIRING, since, "x", "it is so")


def test_after_maintenance_the_stack_is_watched_and_judged_at_the_end(setting: Setting) -> None:
    operation = setting.maintained()
    setting.pass_by(60, WELL)
    told = setting.told(operation)
    assert told.startswith("watched after maintenance, 29 min left; look at fragrance status")

    setting.pass_by(28 * 60, WELL)
    assert setting.verdicts() == []
    setting.duty = setting.another_agent()
    setting.pass_by(300, WELL)

    words = "settled: 1 of 1 core services ready, 5xx 0 % of 12.0/s, no critical alert"
    assert setting.verdicts() == [f"agent: maintenance off {words}"]
    assert setting.told(operation) == words


def test_what_breaks_meanwhile_is_told_at_once(setting: Setting) -> None:
    operation = setting.maintained()
    setting.pass_by(600, WELL)
    broken = replace(WELL, alerts=(firing("HighErrorRate", setting.clock.now()),))
    setting.clock.advance(10)
    setting.duty.attend(replace(broken, taken_at=setting.clock.now()))

    words = "not settled: 10 min after maintenance HighErrorRate fires: it is so"
    assert setting.told(operation) == words
    setting.pass_by(1800, WELL)
    assert setting.verdicts() == [f"agent: maintenance off {words}"]


def test_what_was_broken_before_has_until_the_end(setting: Setting) -> None:
    already = replace(WELL, alerts=(firing("ApiDown", setting.clock.now() - timedelta(minutes=5)),))
    setting.maintained()
    setting.pass_by(600, already)
    assert setting.verdicts() == []
    setting.pass_by(1260, already)

    [verdict] = setting.verdicts()
    assert "not settled" in verdict
    assert "ApiDown fires" in verdict


@pytest.mark.parametrize(
    ("snapshot", "words"),
    [
        (replace(WELL, services=(replace(worker(3), ready=2),)), "worker-llm 2/3 ready"),
        (replace(WELL, metrics=replace(ASKED, error_ratio=0.02)), "error spike"),
        (replace(WELL, metrics=Metrics()), "requests cannot be seen"),
        (replace(FLOODED, metrics=ASKED), "400 tasks wait"),
        (picture(worker(3), queues=(queue(3, 0.8),), metrics=ASKED, stale=("broker",)), "broker"),
        (replace(WELL, services=()), "0 of 0 core services ready"),
    ],
    ids=["short", "errors", "unmeasured", "queue", "stale", "nothing"],
)
def test_what_is_not_well_after_maintenance_has_not_settled(
    setting: Setting, snapshot: Snapshot, words: str
) -> None:
    setting.maintained()
    setting.pass_by(1830, snapshot)

    [verdict] = setting.verdicts()
    assert "not settled: " in verdict
    assert words in verdict


def test_maintenance_again_ends_the_watch_and_other_changes_do_not(setting: Setting) -> None:
    operation = setting.maintained()
    setting.scaled()
    assert setting.told(operation).startswith("watched after maintenance, 30 min left")

    setting.clock.advance(10)
    again = setting.maintained(on=True)

    assert setting.told(operation) == f"{again.id} (maintenance on) came before it had settled"
    assert setting.told(again) == ""
    setting.pass_by(1860, WELL)
    assert [v for v in setting.verdicts() if "maintenance" in v] == []
