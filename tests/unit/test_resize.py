"""Planning other limits: live where that can be, by replacement where not, else refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from console.domain.amounts import parse_cores, parse_size, size_text
from console.domain.operations import OperationState
from console.domain.policy import Policy
from console.domain.services import Limits, Role
from console.errors import ConsoleError, NotSupported, Refused, UsageError
from console.operations.request import PlanRequest
from console.operations.resize import plan_resize
from console.runtimes.compose.resources import update_of
from tests.fakes.clock import FakeClock
from tests.fakes.stack import MIB, ModelStack
from tests.unit.test_runner import Bench


@pytest.fixture
def stack() -> ModelStack:
    return ModelStack(FakeClock())


def test_every_replica_is_changed_while_it_runs_and_new_ones_too(stack: ModelStack) -> None:
    plan = stack.plan("resize", {"service": "app", "cpus": "2", "memory": "1G"})

    assert [s.name for s in plan.steps] == ["write-settings", "limit-app-1", "limit-app-2"]
    assert plan.steps[0].arguments["values"] == {
        "APP_CPU_LIMIT": "2",
        "APP_MEMORY_LIMIT": "1G",
    }
    assert [s.name for s in plan.undo] == ["write-settings", "limit-app-2", "limit-app-1"]
    assert plan.undo[0].arguments["values"] == {"APP_CPU_LIMIT": None, "APP_MEMORY_LIMIT": None}
    assert plan.undo[1].arguments["limits"] == {
        "cpu_cores": 1.0,
        "memory_bytes": 512 * MIB,
        "cpu_reserved_cores": None,
        "memory_reserved_bytes": None,
    }
    assert plan.summary == "app cpus 1 → 2, memory 512M → 1G"
    assert plan.expects == {"app": ["app-1", "app-2"]}


def test_what_uses_nearly_as_much_as_it_is_to_have_is_replaced(stack: ModelStack) -> None:
    stack.memory = {"app-2": 240 * MIB}
    stack.routed, stack.members = {"app"}, {"app-1", "app-2"}

    plan = stack.plan("resize", {"service": "app", "memory": "256M"})

    assert [s.name for s in plan.steps] == [
        "write-settings",
        "limit-app-1",
        "start-app-3",
        "gate-app-3",
        "route-app-3",
        "unroute-app-2",
        "stop-app-2",
    ]
    assert [s.name for s in plan.undo] == [
        "write-settings",
        "start-app-2",
        "gate-app-2",
        "route-app-2",
        "unroute-app-3",
        "stop-app-3",
        "limit-app-1",
    ]


def test_a_worker_finishes_its_work_before_it_is_replaced(stack: ModelStack) -> None:
    stack.memory = {"worker-llm-1": None}

    plan = stack.plan("resize", {"service": "worker-llm", "memory": "128M"})

    assert [s.name for s in plan.steps] == [
        "write-settings",
        "start-worker-llm-2",
        "gate-worker-llm-2",
        "drain-worker-llm-1",
        "stop-worker-llm-1",
    ]


def test_what_is_so_already_needs_nothing(stack: ModelStack) -> None:
    assert stack.plan("resize", {"service": "app", "memory": "512M", "cpus": "1"}).steps == ()


def test_a_replica_that_differs_is_brought_into_line(stack: ModelStack) -> None:
    stack.limits["app-2"] = Limits(1.0, 256 * MIB)

    plan = stack.plan("resize", {"service": "app", "memory": "512M"})

    assert [s.name for s in plan.steps] == ["limit-app-2"]


@pytest.mark.parametrize(
    "wish",
    [
        {"service": "nonsense", "cpus": "1"},
        {"service": "app"},
        {"cpus": "1"},
        {"service": "app", "cpus": "0"},
        {"service": "app", "cpus": "-1"},
        {"service": "app", "cpus": "1,5"},
        {"service": "app", "cpus": "nan"},
        {"service": "app", "memory": "512"},
        {"service": "app", "memory": "1M"},
        {"service": "app", "memory": "2T"},
        {"service": "app", "memory": "lots"},
    ],
)
def test_a_wish_that_makes_no_sense_is_a_usage_error(
    stack: ModelStack, wish: dict[str, object]
) -> None:
    with pytest.raises(UsageError) as error:
        stack.plan("resize", wish)

    assert error.value.remedy


@pytest.mark.parametrize(
    ("wish", "why"),
    [
        ({"service": "app", "cpus": "4.5"}, "more than this host has: 4"),
        ({"service": "app", "memory": "16G"}, "do not fit this host"),
        ({"service": "app", "memory": "99M"}, "uses now: 100 MiB"),
        ({"service": "postgres", "memory": "110M"}, "a second postgres cannot run"),
        ({"service": "app", "memory": "256M", "reserve-memory": "300M"}, "below its reservation"),
        ({"service": "app", "reserve-cpus": "0.5"}, "no variable for it"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_changes(
    stack: ModelStack, wish: dict[str, object], why: str
) -> None:
    with pytest.raises(Refused, match=why) as error:
        stack.plan("resize", wish)

    assert error.value.remedy
    assert stack.commands == []


def test_a_broker_keeps_what_its_data_may_take(stack: ModelStack) -> None:
    stack.values["REDIS_MAXMEMORY"] = "300mb"

    with pytest.raises(Refused, match="REDIS_MAXMEMORY is 300mb"):
        stack.plan("resize", {"service": "redis", "memory": "256M"})
    assert stack.plan("resize", {"service": "redis", "memory": "1G"}).steps


def test_a_host_that_cannot_be_read_is_said_so_and_one_that_is_tight_too(
    stack: ModelStack,
) -> None:
    assert stack.host is not None
    stack.host = replace(stack.host, memory_available_bytes=1024 * MIB, memory_ratio=0.875)
    tight = stack.plan("resize", {"service": "app", "memory": "2G"})
    assert any("grow by" in w for w in tight.warnings)
    stack.host = None
    unseen = stack.plan("resize", {"service": "app", "memory": "2G", "cpus": "2"})
    assert sum("not known" in w for w in unseen.warnings) == 2


def test_a_runtime_without_the_capability_refuses(stack: ModelStack) -> None:
    class Poor:
        name = "embedded"

    with pytest.raises(NotSupported, match="embedded cannot change limits"):
        plan_resize(
            PlanRequest(
                stack.snapshot(),
                Policy(),
                Poor(),  # type: ignore[arg-type]  # a runtime that can do next to nothing
                {"service": "app", "cpus": "1"},
            )
        )


def test_what_the_engine_declines_goes_back(tmp_path: object) -> None:
    bench = Bench(tmp_path)  # type: ignore[arg-type]
    before = bench.stack.world()
    bench.stack.refuse_limits = ConsoleError("the Docker Engine declined: in use")

    ended = bench.run(bench.stack.plan("resize", {"service": "app", "cpus": "2"}))

    assert (ended.state, ended.exit_code) == (OperationState.REVERTED, 1)
    assert "in use" in ended.outcome_message
    assert bench.stack.world() == before


def test_a_service_without_replicas_only_has_it_written_down() -> None:
    stack = ModelStack(FakeClock(), (("app", Role.APP, 0),))

    plan = stack.plan("resize", {"service": "app", "cpus": "2"})

    assert [s.kind for s in plan.steps] == ["write_settings"]


@pytest.mark.parametrize(
    ("host", "swap"),
    [
        ({"Memory": 100, "MemorySwap": 200}, 128 * MIB),
        ({}, 128 * MIB),
        ({"Memory": 100, "MemorySwap": 100}, 64 * MIB),
        ({"Memory": 100, "MemorySwap": 150}, 64 * MIB + 50),
        ({"Memory": 100, "MemorySwap": -1}, -1),
    ],
)
def test_swap_goes_with_memory(host: dict[str, int], swap: int) -> None:
    assert update_of(host, Limits(memory_bytes=64 * MIB)) == {
        "Memory": 64 * MIB,
        "MemorySwap": swap,
    }
    assert update_of(host, Limits(cpu_cores=1.5)) == {"NanoCpus": 1_500_000_000}


@pytest.mark.parametrize(
    ("text", "size"),
    [("512M", 512 * MIB), ("2G", 2048 * MIB), ("1.5GiB", 1536 * MIB), ("640mb", 640 * MIB)],
)
def test_sizes_are_read_and_written(text: str, size: int) -> None:
    assert parse_size(text) == size
    assert parse_size(size_text(size)) == size


def test_cores_are_read() -> None:
    assert (parse_cores("1.5"), parse_cores(".5"), parse_cores("0")) == (1.5, 0.5, None)
