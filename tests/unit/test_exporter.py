"""What the Celery exporter shows, apart from a broker."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import redis
from prometheus_client import CollectorRegistry

from backend.contracts.tasks import Queue, TaskName
from backend.contracts.traffic import NetworkTraffic
from backend.exporter.broker import COUNTERS, BrokerState, QueueState, WorkerState
from backend.exporter.events import OTHER, UNKNOWN, TaskFigures
from backend.exporter.watch import (
    FORGET_LOST_AFTER_SECONDS,
    STALE_AFTER_SECONDS,
    BrokerWatch,
    WorkerRegister,
)

NAME = TaskName.COMPOSE_FORMULA.value
QUEUE = {"queue_name": "llm"}
STATE = WorkerState(Queue.LLM, 0.0, 0)
TASK = {"name": NAME, "queue_name": "llm"}


def hostname(name: str) -> dict[str, str]:
    return {"hostname": name, **QUEUE}


class Broker:
    """A broker that answers, or not, at a time the test chooses."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.is_up = True
        self.queue = QueueState(0, 0, None, dict.fromkeys(COUNTERS, 0))
        self.workers: dict[str, WorkerState] = {}
        self.watch = BrokerWatch(self.read, clock=lambda: self.now, now=lambda: self.now)
        self.registry = CollectorRegistry()
        self.registry.register(self.watch)

    def read(self) -> BrokerState:
        if not self.is_up:
            raise redis.ConnectionError
        return BrokerState(dict.fromkeys(Queue, self.queue), dict(self.workers))

    def value(self, name: str, labels: dict[str, str] | None = None) -> float | None:
        return self.registry.get_sample_value(name, labels or {})

    def series(self) -> set[str]:
        return {sample.name for family in self.registry.collect() for sample in family.samples}


def test_a_queue_shows_what_waits_what_is_in_hand_and_for_how_long() -> None:
    broker = Broker()
    broker.queue = QueueState(7, 2, 988.0, dict(zip(COUNTERS, (30, 20, 1), strict=True)))
    broker.watch.look()

    assert broker.value("celery_broker_up") == 1
    assert broker.value("celery_queue_length", QUEUE) == 7
    assert broker.value("celery_queue_in_flight", QUEUE) == 2
    assert broker.value("celery_queue_oldest_age_seconds", QUEUE) == 12
    assert broker.value("fragrance_jobs_failed_total", QUEUE) == 1


def test_an_empty_queue_has_age_zero_and_one_without_times_has_none() -> None:
    broker = Broker()
    broker.watch.look()
    assert broker.value("celery_queue_oldest_age_seconds", QUEUE) == 0

    broker.queue = QueueState(3, 0, None, dict.fromkeys(COUNTERS, 0))
    broker.watch.look()
    assert broker.value("celery_queue_length", QUEUE) == 3
    assert broker.value("celery_queue_oldest_age_seconds", QUEUE) is None


def test_a_broker_that_is_away_is_down_and_its_queues_are_not_shown() -> None:
    broker = Broker()
    assert broker.series() == {"celery_broker_up"}
    assert broker.value("celery_broker_up") == 0

    broker.workers = {"worker-llm-1": WorkerState(Queue.LLM, 1.0, 0)}
    broker.watch.look()
    assert "celery_queue_length" in broker.series()

    broker.is_up = False
    broker.watch.look()
    assert broker.series() == {"celery_broker_up"}
    assert broker.value("celery_broker_up") == 0
    assert broker.watch.outages == 1


def test_a_look_that_never_comes_back_is_not_shown_for_ever() -> None:
    broker = Broker()
    broker.watch.look()
    broker.now += STALE_AFTER_SECONDS + 1

    assert broker.series() == {"celery_broker_up"}
    assert broker.value("celery_broker_up") == 0


def test_a_worker_that_died_is_down_and_one_that_left_is_forgotten() -> None:
    broker = Broker()
    for second in range(3):
        beat = float(second)
        broker.workers = {
            "left": WorkerState(Queue.LLM, beat, 0),
            "died": WorkerState(Queue.LLM, beat, 1),
        }
        broker.now += 1
        broker.watch.look()
    assert broker.value("celery_worker_up", hostname("died")) == 1
    assert broker.value("celery_worker_tasks_active", hostname("died")) == 1

    del broker.workers["left"]  # takes its heartbeat away itself
    for _ in range(10):  # the other's stays in Redis until it expires
        broker.now += 1
        broker.watch.look()
    broker.workers = {}
    broker.now += 1
    broker.watch.look()

    assert broker.value("celery_worker_up", hostname("left")) is None
    assert broker.value("celery_worker_up", hostname("died")) == 0
    assert broker.value("celery_worker_tasks_active", hostname("died")) is None


def test_a_worker_that_died_is_forgotten_in_the_end_and_up_again_when_it_comes_back() -> None:
    register, seconds = WorkerRegister(), itertools.count()

    def watch(times: int, *names: str) -> None:
        for second in itertools.islice(seconds, times):
            register.note(dict.fromkeys(names, STATE), float(second))

    watch(10, "back", "gone")
    watch(1)
    assert register.states() == {"back": (STATE, False), "gone": (STATE, False)}
    watch(1, "back")
    assert register.states() == {"back": (STATE, True), "gone": (STATE, False)}
    watch(int(FORGET_LOST_AFTER_SECONDS) + 1, "back")
    assert register.states() == {"back": (STATE, True)}


def test_after_an_outage_of_the_broker_nothing_is_concluded_from_missing_heartbeats() -> None:
    register = WorkerRegister()
    for second in range(20):
        register.note({"worker": WorkerState(Queue.LLM, float(second), 0)}, float(second))
    register.note({}, 80.0)

    assert register.states() == {}


def figures() -> tuple[TaskFigures, CollectorRegistry]:
    registry = CollectorRegistry()
    return TaskFigures(registry), registry


def event(kind: str, task_id: str = "t", **fields: object) -> dict[str, object]:
    return {"type": f"task-{kind}", "uuid": task_id, "timestamp": 100.0, **fields}


def test_tasks_are_counted_timed_and_named_by_their_first_events() -> None:
    task_figures, registry = figures()
    task_figures.note(Queue.LLM, event("sent", name=NAME, timestamp=100.0))
    task_figures.note(Queue.LLM, event("received", name=NAME, timestamp=101.0))
    task_figures.note(Queue.LLM, event("started", timestamp=103.0))
    task_figures.note(Queue.LLM, event("succeeded", timestamp=104.0, runtime=1.0))

    for kind in ("sent", "received", "started", "succeeded"):
        assert registry.get_sample_value(f"celery_task_{kind}_total", TASK) == 1
    assert registry.get_sample_value("celery_task_failed_total", TASK) == 0
    assert registry.get_sample_value("celery_task_runtime_sum", TASK) == 1.0
    assert registry.get_sample_value("celery_task_queue_wait_time_sum", TASK) == 3.0


def test_a_task_that_starts_again_has_waited_only_once() -> None:
    task_figures, registry = figures()
    task_figures.note(Queue.LLM, event("sent", name=NAME))
    for moment in (101.0, 150.0):
        task_figures.note(Queue.LLM, event("started", timestamp=moment))

    assert registry.get_sample_value("celery_task_started_total", TASK) == 2
    assert registry.get_sample_value("celery_task_queue_wait_time_count", TASK) == 1


def test_names_nobody_knows_are_one_series_however_many_there_are() -> None:
    task_figures, registry = figures()
    for number in range(50):
        task_figures.note(Queue.RL, event("received", f"t{number}", name=f"hostile-{number}"))
    task_figures.note(Queue.RL, event("failed", "nobody-heard-of-it"))

    names = {
        sample.labels["name"]
        for family in registry.collect()
        for sample in family.samples
        if sample.name.startswith("celery_task_")
    }
    assert names == {OTHER, UNKNOWN, *(name.value for name in TaskName)}
    labels = {"name": OTHER, "queue_name": "rl"}
    assert registry.get_sample_value("celery_task_received_total", labels) == 50


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"type": None},
        {"type": "worker-heartbeat"},
        {"type": "task-invented", "uuid": "t"},
        {"type": "task-started", "timestamp": "now"},
        {"type": "task-succeeded", "uuid": ["t"], "runtime": float("nan")},
        {"type": "task-succeeded", "uuid": "t", "runtime": "1e9"},
    ],
)
def test_an_event_that_makes_no_sense_measures_nothing(odd: dict[str, object]) -> None:
    task_figures, registry = figures()
    task_figures.note(Queue.LLM, odd)

    assert registry.get_sample_value("celery_task_runtime_count", TASK) == 0
    assert registry.get_sample_value("celery_task_queue_wait_time_count", TASK) == 0


def test_traffic_is_what_goes_over_every_interface_but_loopback(tmp_path: Path) -> None:
    file = tmp_path / "dev"
    file.write_text(
        "Inter-| Receive | Transmit\n face |bytes packets\n"
        "    lo: 999 1 0 0 0 0 0 0 999 1 0 0 0 0 0 0\n"
        "  eth0: 100 1 0 0 0 0 0 0 10 1 0 0 0 0 0 0\n"
        "  eth1:  20 1 0 0 0 0 0 0  5 1 0 0 0 0 0 0\n"
    )
    registry = CollectorRegistry()
    registry.register(NetworkTraffic(file))

    assert registry.get_sample_value("process_network_receive_bytes_total") == 120
    assert registry.get_sample_value("process_network_transmit_bytes_total") == 15


def test_traffic_that_cannot_be_read_is_not_shown(tmp_path: Path) -> None:
    assert list(NetworkTraffic(tmp_path / "missing").collect()) == []
