"""Limits and settings, asked of the fake and of every runtime that has them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from console.capabilities import HasSettings, SetsLimits, StartsReplicas, StartsStack
from console.domain.services import Limits, ReplicaFact, ReplicaState, Role, ServiceFact
from console.errors import ConsoleError, Refused, UsageError
from console.ports import Runtime
from tests.contract.runtimes import compose, docker, embedded
from tests.fakes.runtime import FakeRuntime
from tests.stack import wait_for

SECONDS = 20.0
MIB = 1024**2

TOY = """
services:
  app:
    image: fragrance-base-python:local
    command: [sleep, infinity]
    init: true
    network_mode: none
    environment: {LOG_LEVEL: "${LOG_LEVEL:-}", TOKEN: "${APP_TOKEN:-}"}
    deploy:
      resources:
        limits: {cpus: "${APP_CPU_LIMIT:-1.0}", memory: "${APP_MEMORY_LIMIT:-512M}"}
    labels: {console.role: app}
  other:
    image: fragrance-base-python:local
    command: [python3, -c, "x = bytearray(50000000); import signal; signal.pause()"]
    init: true
    network_mode: none
    volumes: [/kept]
    labels: {console.role: other}
"""


class Subject(Runtime, SetsLimits, HasSettings, StartsReplicas, StartsStack, Protocol):
    """A runtime with limits and settings."""


@dataclass(frozen=True)
class Bench:
    """A runtime, and whether its replica really was started with a value."""

    runtime: Subject
    started_with: Callable[[str, str, str], bool]
    remove: Callable[[], None]

    def service(self, name: str = "app") -> ServiceFact:
        found = self.runtime.topology().service(name)
        assert found is not None
        return found

    def replica(self, name: str) -> ReplicaFact:
        facts = self.service(name.rpartition("-")[0]).replicas
        return next(r for r in facts if r.name == name)

    def limits(self, name: str) -> Limits:
        found = self.replica(name).limits
        assert found is not None
        return found


def on_fake(state: Path) -> Bench:
    runtime = FakeRuntime((("app", Role.APP, 1), ("other", Role.OTHER, 1)), up=False)
    runtime.lost_with["other"] = "what it has in /kept is in a volume without a name"

    def started_with(replica: str, name: str, value: str) -> bool:
        return runtime.started_with[replica].get(name, "") == value

    return Bench(runtime, started_with, lambda: None)


def on_compose(state: Path) -> Bench:
    made = compose(state, TOY)
    (state.parent / "project" / ".env").write_text("# mine\nAPP_TOKEN=s3cret\n")
    runtime = made.runtime

    def started_with(replica: str, name: str, value: str) -> bool:
        topology = runtime.topology()
        found = next(r for s in topology.services for r in s.replicas if r.name == replica)
        environment = docker("inspect", "-f", "{{json .Config.Env}}", found.id)
        return f'"{name}={value}"' in environment

    return Bench(runtime, started_with, made.remove)  # type: ignore[arg-type]  # it has both


@pytest.fixture(
    params=[on_fake, pytest.param(on_compose, marks=pytest.mark.docker)], scope="module"
)
def bench(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    make: Callable[[Path], Bench] = request.param
    made = make(tmp_path_factory.mktemp("limits") / "state")
    try:
        made.runtime.bring_up(lambda _: None)
        wait_for(lambda: made.replica("app-1").state is ReplicaState.RUNNING, SECONDS, "app-1 runs")
        yield made
        made.runtime.take_down(lambda _: None, 10)
    finally:
        made.remove()


def test_limits_are_changed_while_it_runs_and_seen(bench: Bench) -> None:
    before = bench.replica("app-1")
    assert bench.service().limits == bench.limits("app-1") == Limits(1.0, 512 * MIB)

    bench.runtime.set_limits("app-1", Limits(0.25, 128 * MIB))
    bench.runtime.set_limits("app-1", Limits(0.25, 128 * MIB))
    lowered = bench.limits("app-1")
    bench.runtime.set_limits("app-1", Limits(memory_bytes=1024 * MIB))
    raised = bench.limits("app-1")
    bench.runtime.set_limits("app-1", Limits(1.0, 512 * MIB))

    assert lowered == Limits(0.25, 128 * MIB)
    assert raised == Limits(0.25, 1024 * MIB), "what is not named stays"
    assert bench.replica("app-1").pid == before.pid, "its process noticed nothing"
    assert bench.service().limits == Limits(1.0, 512 * MIB), "new ones are another matter"
    assert "app-1" in bench.runtime.limits_command("app-1", Limits(0.25))
    with pytest.raises(UsageError):
        bench.runtime.set_limits("app-9", Limits(0.25))


def test_a_new_replica_has_what_was_written_and_the_others_do_not(bench: Bench) -> None:
    names = bench.runtime.limit_settings("app")
    assert (names.cpu_cores, names.memory_bytes) == ("APP_CPU_LIMIT", "APP_MEMORY_LIMIT")
    values = {"APP_CPU_LIMIT": "0.5", "APP_MEMORY_LIMIT": "96M", "LOG_LEVEL": "DEBUG"}
    assert bench.runtime.concerned(values) == ("app",)
    assert bench.runtime.topology().settings == {}, "asking changed nothing"
    assert "0.5" in bench.runtime.settings_command(dict(values))

    bench.runtime.write_settings(values)
    bench.runtime.write_settings(values)
    assert bench.runtime.topology().settings == values
    assert bench.runtime.concerned(values) == ()
    assert bench.service().limits == Limits(0.5, 96 * MIB)
    bench.runtime.start_replica("app", "app-2", {})
    wait_for(lambda: bench.replica("app-2").state is ReplicaState.RUNNING, SECONDS, "app-2 runs")

    assert bench.limits("app-2") == Limits(0.5, 96 * MIB)
    assert bench.started_with("app-2", "LOG_LEVEL", "DEBUG")
    assert bench.limits("app-1") == Limits(1.0, 512 * MIB)

    bench.runtime.write_settings(dict.fromkeys(values))
    assert bench.runtime.topology().settings == {}
    assert bench.service().limits == Limits(1.0, 512 * MIB)


def test_what_would_be_lost_with_a_replica_is_told(bench: Bench) -> None:
    assert bench.runtime.why_not_anew("app") == ""
    assert "/kept is in a volume without a name" in bench.runtime.why_not_anew("other")


def test_every_setting_is_listed_and_no_secret_shown(bench: Bench) -> None:
    known = {s.name: s for s in bench.runtime.settings()}

    assert known["LOG_LEVEL"].value is None
    assert known["APP_MEMORY_LIMIT"].instead.startswith("fragrance resize")
    secrets = [s for s in known.values() if s.secret]
    assert secrets
    assert all(s.value is None for s in secrets)
    assert "s3cret" not in repr((known, bench.runtime.topology()))


def test_what_is_declined_changes_nothing(bench: Bench) -> None:
    def grown() -> bool:
        topology = bench.runtime.topology()
        figures = bench.runtime.stats(topology)[bench.replica("other-1").id]
        return (figures.memory_bytes or 0) > 45 * MIB

    wait_for(grown, SECONDS, "other-1 uses its memory")
    before = bench.replica("other-1")
    for impossible in (Limits(4096.0), Limits(memory_bytes=20 * MIB)):
        with pytest.raises(ConsoleError):
            bench.runtime.set_limits("other-1", impossible)

    assert bench.replica("other-1") == before


def test_the_embedded_runtime_has_settings_that_last_and_no_limits(tmp_path: Path) -> None:
    subject = embedded(tmp_path / "state")
    runtime: Subject = subject.runtime  # type: ignore[assignment]  # it has settings alone
    assert isinstance(runtime, HasSettings)
    assert not isinstance(runtime, SetsLimits)
    with pytest.raises(Refused, match="nothing was started"):
        runtime.settings()

    def level(replica: str) -> str:
        code = "import os; print(os.environ.get('LOG_LEVEL'))"
        return runtime.exec(replica, ["python", "-c", code], SECONDS).output.strip()

    try:
        runtime.bring_up(lambda _: None)
        assert runtime.topology().settings == {}
        assert runtime.concerned({"LOG_LEVEL": "DEBUG"}) == ("job",)
        assert runtime.concerned({"LOG_LEVEL": None, "OTHER": "1"}) == ()
        runtime.write_settings({"LOG_LEVEL": "DEBUG"})
        runtime.write_settings({"LOG_LEVEL": "DEBUG"})
        assert runtime.topology().settings == {"LOG_LEVEL": "DEBUG"}
        known = {s.name: s for s in runtime.settings()}
        assert known["LOG_LEVEL"].value == "DEBUG"
        assert "DEBUG, INFO" in known["LOG_LEVEL"].explanation
        assert known["SECRET_KEY"].secret
        runtime.start_replica("job", "job-2", {})
        assert (level("job-1"), level("job-2")) == ("None", "DEBUG")

        runtime.take_down(lambda _: None, 10)
        runtime.bring_up(lambda _: None)
        assert runtime.topology().settings == {"LOG_LEVEL": "DEBUG"}
        assert level("job-1") == "DEBUG"
        runtime.write_settings({"LOG_LEVEL": None})
        assert runtime.topology().settings == {}
    finally:
        runtime.take_down(lambda _: None, 10)
