"""The autoscaler: when it acts, when it holds and says why, and that it does not flap."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from console.domain.advice import advise
from console.domain.autoscaling import Past, Waiting, decide, past_of
from console.domain.decisions import Action, Decision
from console.domain.operations import Actor, Operation, OperationState
from console.domain.plans import Plan, Step
from console.domain.policy import AutoscalePolicy, Policy, ScalePolicy
from console.domain.services import Health, ReplicaState
from console.domain.snapshot import Snapshot
from console.duties.autoscale import AutoscaleDuty, switches, turn
from console.errors import Refused
from tests.arrivals import SERVICE, Day, Trace
from tests.fakes.clock import FakeClock
from tests.fakes.journal import FakeJournal
from tests.unit.test_advice import picture, queue, worker

ANNA = Actor("anna", 1000)
PATIENCE = AutoscalePolicy()
FLOODED = picture(worker(2), queues=(queue(120, 48.0),))
IDLE = picture(
    worker(3, active_tasks=0),
    queues=(queue(0, arrived_per_second=0.0, completed_per_second=0.0),),
)
STEADY = picture(worker(3), queues=(queue(0, arrived_per_second=1.5, completed_per_second=1.5),))


class Bench:
    """The duty on a journal of its own; scalings are recorded, and done at once."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.journal = FakeJournal(self.clock)
        self.asked: list[tuple[str, int, str]] = []
        self.refusal: Refused | None = None
        self.duty = AutoscaleDuty(self.journal, Policy(), self.clock, self.scale)

    def scale(self, service: str, target: int, reason: str) -> str:
        self.asked.append((service, target, reason))
        if self.refusal is not None:
            raise self.refusal
        return self.record(service, 2, target).id

    def record(
        self,
        service: str,
        now: int,
        target: int,
        state: OperationState = OperationState.DONE,
        **wish: bool,
    ) -> Operation:
        plan = Plan(
            "scale",
            f"{service} {now} → {target}",
            (Step("start", "start_replica"),),
            expects={service: [f"{service}-{n}" for n in range(now)]},
            wish={"targets": {service: target}} | wish,
        )
        operation = self.journal.submit(plan, ANNA, "")
        self.clock.advance(1)
        self.journal.set_state(operation.id, state, ended_at=self.clock.now())
        return self.journal.operation(operation.id)

    def on(self, *services: str) -> None:
        turn(self.journal, services or (SERVICE,), ANNA, "nights", self.clock.now(), on=True)

    def look(self, snapshot: Snapshot, seconds: float = 5.0) -> Decision:
        """Let time pass with the same picture, and return the last decision."""
        for _ in range(int(seconds / 5)):
            self.clock.advance(5)
            self.duty.attend(replace(snapshot, taken_at=self.clock.now()))
        [decision] = self.duty.decisions()
        return decision


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_it_is_off_until_it_is_turned_on_and_that_is_recorded(bench: Bench) -> None:
    bench.clock.advance(5)
    bench.duty.attend(FLOODED)
    assert bench.duty.decisions() == ()

    bench.on()
    assert turn(bench.journal, [SERVICE], ANNA, "", bench.clock.now(), on=True) == []
    [change] = bench.journal.changes()
    assert (change.actor, change.what, change.outcome, change.reason) == (
        "anna", "autoscale worker-llm", "on", "nights",
    )  # fmt: skip
    assert switches(bench.journal)[SERVICE].actor == "anna"

    turn(bench.journal, [SERVICE], ANNA, "done", bench.clock.now(), on=False)
    assert switches(bench.journal) == {}
    assert bench.journal.verify_audit().valid


def test_it_goes_up_when_the_triggers_have_fired_for_a_while(bench: Bench) -> None:
    bench.on()

    first = bench.look(FLOODED)
    assert first.action is Action.HOLD
    assert "for 0 of 30 s" in first.reason

    last = bench.look(FLOODED, 30)
    assert (last.action, last.target) == (Action.UP, 4)
    [(service, target, reason)] = bench.asked
    assert (service, target) == (SERVICE, 4)
    assert reason.startswith("autoscale: scale up: 120 tasks wait, wait 48 s")


def test_a_break_in_the_figures_begins_the_wait_anew(bench: Bench) -> None:
    bench.on()
    bench.look(FLOODED, 25)
    bench.look(STEADY, 15)
    bench.look(FLOODED, 25)
    assert bench.asked == []

    bench.look(STEADY, 5)
    bench.look(FLOODED, 10)
    assert len(bench.asked) == 1


def test_it_goes_down_slowly_and_one_at_a_time(bench: Bench) -> None:
    bench.on()
    held = bench.look(IDLE, 290)
    assert held.action is Action.HOLD
    assert bench.asked == []

    bench.look(IDLE, 60)
    assert [(s, n) for s, n, _ in bench.asked] == [(SERVICE, 2)]


def test_after_a_change_it_waits_for_the_figures_to_show_it(bench: Bench) -> None:
    bench.on()
    bench.record(SERVICE, 1, 2)

    held = bench.look(FLOODED, 60)
    assert held.action is Action.HOLD
    assert "the last change is to show first" in held.reason
    assert bench.look(FLOODED, 70).action is not Action.DOWN
    assert len(bench.asked) == 1


def test_a_turn_downwards_waits_longer_and_a_second_turn_longer_still(bench: Bench) -> None:
    now = bench.clock.now()

    def at(minutes: float, sign: int, turned: float | None = None) -> Past:
        return Past(
            now - timedelta(minutes=minutes),
            sign,
            None if turned is None else now - timedelta(minutes=turned),
        )

    def decided(snapshot: Snapshot, past: Past) -> Decision:
        advice = advise(SERVICE, snapshot, Policy())
        waiting = Waiting(advice.direction, now - timedelta(hours=1))
        return decide(advice, snapshot.service(SERVICE), waiting, past, PATIENCE, now)[1]

    assert decided(IDLE, at(9, +1)).action is Action.HOLD
    assert decided(IDLE, at(11, +1)).action is Action.DOWN
    assert decided(IDLE, at(6, -1, turned=6)).action is Action.DOWN
    assert decided(FLOODED, at(6, -1, turned=6)).action is Action.HOLD
    assert "turned around already" in decided(FLOODED, at(6, -1, turned=6)).reason
    assert decided(FLOODED, at(6, -1, turned=16)).action is Action.UP


def unseen(snapshot: Snapshot) -> Snapshot:
    return replace(snapshot, sources=())


def with_replicas(**changes: object) -> Snapshot:
    two = worker(2)
    other = replace(two.replicas[1], **changes)  # type: ignore[arg-type]
    return picture(replace(two, replicas=(two.replicas[0], other)), queues=(queue(120, 48.0),))


@pytest.mark.parametrize(
    ("snapshot", "says"),
    [
        (unseen(FLOODED), "cannot be seen"),
        (picture(worker(2, cpu=None), queues=(queue(3, 1.0),)), "CPU unknown"),
        (picture(worker(2), queues=()), "queue unknown"),
        (picture(worker(0), queues=(queue(9),)), "taken to 0 by hand"),
        (replace(FLOODED, maintenance=True), "maintenance is on"),
        (with_replicas(health=Health.STARTING), "not all of its replicas are healthy"),
        (with_replicas(state=ReplicaState.STOPPING), "still leaving"),
        (picture(worker(10), queues=(queue(900, 99.0),)), "at its maximum of 10"),
        (picture(worker(1, active_tasks=0), queues=(queue(0),)), "leave it"),
        (replace(FLOODED, services=()), "no service"),
    ],
)
def test_it_holds_and_says_why(bench: Bench, snapshot: Snapshot, says: str) -> None:
    bench.on()

    decision = bench.look(snapshot, 400)

    assert decision.action is Action.HOLD
    assert says in decision.reason
    assert bench.asked == []


def test_it_does_nothing_while_another_operation_is_unfinished(bench: Bench) -> None:
    bench.on()
    other = bench.journal.submit(Plan("restart", "app", ()), ANNA, "")
    bench.journal.set_state(other.id, OperationState.FROZEN)

    assert f"{other.id} by anna is frozen" in bench.look(FLOODED, 120).reason
    assert bench.asked == []


def test_it_does_not_decide_from_an_old_picture(bench: Bench) -> None:
    bench.on()
    taken = replace(FLOODED, taken_at=bench.clock.now())
    for _ in range(60):
        bench.clock.advance(5)
        bench.duty.attend(replace(taken, taken_at=taken.taken_at - timedelta(seconds=1)))

    assert bench.asked == []
    assert "s old" in bench.duty.decisions()[0].reason


def test_a_refusal_is_told_and_not_tried_again_at_once(bench: Bench) -> None:
    bench.on()
    bench.refusal = Refused("not enough memory: 2 more worker-llm")

    decision = bench.look(FLOODED, 60)
    assert decision.action is Action.HOLD
    assert "up to 4 was refused: not enough memory" in decision.reason
    assert len(bench.asked) == 1

    bench.look(FLOODED, 120)
    assert len(bench.asked) == 2


def test_what_did_not_succeed_is_not_repeated_at_once(bench: Bench) -> None:
    bench.on()
    failed = bench.record(SERVICE, 2, 4, OperationState.REVERTED)

    assert f"{failed.id} did not succeed" in bench.look(FLOODED, 500).reason
    assert bench.asked == []


def test_an_emergency_by_a_person_is_not_turned_back_until_it_is_turned_on_anew(
    bench: Bench,
) -> None:
    bench.on()
    bench.clock.advance(5)
    emergency = bench.record(SERVICE, 4, 1, emergency=True)

    decision = bench.look(FLOODED, 1800)
    assert f"emergency ({emergency.id} by anna)" in decision.reason
    assert bench.asked == []

    turn(bench.journal, [SERVICE], ANNA, "", bench.clock.now(), on=False)
    bench.on()
    bench.look(FLOODED, 60)
    assert len(bench.asked) == 1


def test_two_services_are_not_changed_at_the_same_time(bench: Bench) -> None:
    other = worker(1, "worker-rl", "rl")
    both = replace(
        FLOODED,
        services=(*FLOODED.services, other),
        queues=(*FLOODED.queues, queue(40, 900.0, name="rl")),
    )
    bench.on(SERVICE, "worker-rl")
    bench.clock.advance(5)
    for _ in range(8):
        bench.clock.advance(5)
        bench.duty.attend(replace(both, taken_at=bench.clock.now()))
        if bench.asked:
            break

    assert [s for s, _, _ in bench.asked] == [SERVICE]
    assert "another scaling" in bench.duty.decisions()[1].reason


def test_a_scaling_that_was_undone_is_a_turn(bench: Bench) -> None:
    bench.record(SERVICE, 1, 2)
    bench.clock.advance(60)
    undone = bench.record(SERVICE, 2, 3, OperationState.UNDONE)

    past = past_of(SERVICE, bench.journal.operations())

    assert past.sign == -1
    assert past.reversed_at == undone.ended_at
    assert past_of("app", bench.journal.operations()) == Past()


# No flapping ---------------------------------------------------------------------


POLICY = Policy(scale={SERVICE: ScalePolicy(minimum=1, maximum=8)})


def step(second: float) -> float:
    return 0.2 if second < 1200 or second > 4200 else 1.5


def spikes(second: float) -> float:
    return 3.0 if second % 900 < 60 else 0.1


def sinus(second: float) -> float:
    return 0.8 + 0.7 * math.sin(2 * math.pi * second / 1500)


def noise(second: float) -> float:
    return random.Random(int(second / 20)).uniform(0.0, 2.0)  # noqa: S311 -- chance, no secret


def at_the_limit(second: float) -> float:
    return 0.75


@pytest.mark.parametrize("trace", [step, spikes, sinus, noise, at_the_limit])
def test_it_never_turns_twice_in_ten_minutes(trace: Trace) -> None:
    day = Day(trace, POLICY)

    outcome = day.run(2 * 3600)

    assert outcome.most_reversals() <= 1, outcome.changes
    assert outcome.peak <= 8
    assert outcome.waits


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    rates=st.lists(st.floats(0, 3), min_size=4, max_size=12),
    seconds=st.sampled_from([60, 150, 400, 700]),
    seed=st.integers(0, 100),
)
def test_whatever_arrives_it_stays_within_bounds_and_does_not_flap(
    rates: list[float], seconds: int, seed: int
) -> None:
    def trace(second: float) -> float:
        return rates[int(second / seconds) % len(rates)]

    outcome = Day(trace, POLICY, seed=seed, replicas=2).run(2400)

    assert outcome.most_reversals() <= 1, outcome.changes
    assert outcome.peak <= 8


def test_a_step_up_is_followed_and_given_back_afterwards() -> None:
    day = Day(step, POLICY)

    outcome = day.run(3 * 3600)

    signs = [sign for _, sign in outcome.changes]
    assert signs == sorted(signs, reverse=True)  # up, up, …, then down, down, …
    assert outcome.peak >= 6
    assert len(day.snapshot(3 * 3600.0).services[0].replicas) <= 2


def test_every_change_is_an_operation_of_the_journal_with_its_reason() -> None:
    day = Day(step, POLICY)
    outcome = day.run(2400)

    operations = day.journal.operations(100)
    assert len(operations) == len(outcome.changes) > 0
    assert {o.actor.user for o in operations} == {"autoscaler"}
    assert all(o.reason.startswith("autoscale: ") for o in operations)
