"""Judgement: from readings to a snapshot, with every rule that an operator relies on."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.domain.alerts import AlertSeverity, AlertState
from console.domain.assemble import Identity, absorb, assemble
from console.domain.observed import Failure, Observed
from console.domain.policy import Policy
from console.domain.readings import (
    BrokerReading,
    DatabaseReading,
    HealthReading,
    HostReading,
    ProbeResult,
    QueueReading,
    Reading,
    RuntimeReading,
    SourceState,
    WorkerHeartbeat,
)
from console.domain.services import (
    Health,
    ReplicaFact,
    ReplicaState,
    ReplicaStats,
    Role,
    ServiceFact,
    Topology,
)
from console.domain.snapshot import Overall, Snapshot
from console.domain.windows import Windows
from console.steps.seeing import WORKER_SOURCES

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
STARTED = NOW - timedelta(hours=1)
GOOD = ProbeResult(True, "", "{}", 0.001)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def replica(name: str, state: ReplicaState = ReplicaState.RUNNING, **more: object) -> ReplicaFact:
    fact = ReplicaFact(
        id=name,
        name=name,
        state=state,
        pid=1,
        started_at=STARTED,
        release="v1",
        health_url="http://127.0.0.1:1/ready",
    )
    return replace(fact, **more)  # type: ignore[arg-type]


def service(
    name: str, role: Role, *replicas: ReplicaFact, desired: int | None = None
) -> ServiceFact:
    labels = {"console.queue": name.removeprefix("worker-")} if role is Role.WORKER else {}
    count = len(replicas) if desired is None else desired
    return ServiceFact(name, role, count, replicas, labels=labels)


def product(**changed: ServiceFact) -> Topology:
    services = {
        "app": service("app", Role.APP, replica("app-1"), replica("app-2")),
        "worker_llm": service("worker-llm", Role.WORKER, replica("worker-llm-1")),
        "postgres": service("postgres", Role.DATABASE, replica("postgres-1")),
        "redis": service("redis", Role.BROKER, replica("redis-1")),
    }
    return Topology(True, tuple({**services, **changed}.values()), {"api": "http://here"})


def beat(name: str = "worker-llm-1", at: datetime = NOW, **more: object) -> WorkerHeartbeat:
    return replace(
        WorkerHeartbeat(name, "llm", at, active=0, reserved=0, processed=0, accepting=True),
        **more,  # type: ignore[arg-type]
    )


def broker(*beats: WorkerHeartbeat, depth: int = 0) -> BrokerReading:
    queue = QueueReading("llm", depth, 0, None, 10, 5)
    return BrokerReading((queue,), beats or (beat(),), memory_bytes=1_000_000, clients=3)


def probes(**results: ProbeResult) -> HealthReading:
    return HealthReading({"app-1": GOOD, "app-2": GOOD} | results)


def seen(name: str, reading: Reading | None, *, at: datetime = NOW, **more: Any) -> Observed:
    observed = Observed(name, 1.0, reading=reading, begun_at=at, read_at=at)
    return replace(observed, **more)


def everything(**changed: Observed) -> dict[str, Observed]:
    readings: dict[str, Reading] = {
        "runtime": RuntimeReading(product()),
        "health": probes(),
        "broker": broker(),
        "database": DatabaseReading(5, 100),
        "host": HostReading(0.1, 0.2, 0.3, 2, 10**9, 10**10),
    }
    return {name: seen(name, reading) for name, reading in readings.items()} | changed


def picture(
    observations: dict[str, Observed] | None = None,
    *,
    windows: Windows | None = None,
    now: datetime = NOW,
    policy: Policy | None = None,
    before: Snapshot | None = None,
) -> Snapshot:
    return assemble(
        everything() if observations is None else observations,
        windows or Windows(),
        policy or Policy(),
        now,
        identity=Identity("dev", "fake"),
        previous_alerts=before.alerts if before else (),
    )


def running(topology: Topology, **more: Any) -> Observed:
    return seen("runtime", RuntimeReading(topology), **more)


def judged(snapshot: Snapshot, name: str) -> tuple[Health, str]:
    found = snapshot.replica(name)
    assert found is not None
    return found.health, found.reason


class TestHealthOfAReplica:
    def test_all_that_answers_is_healthy(self) -> None:
        snapshot = picture()

        assert {s.name: (s.ready, s.health) for s in snapshot.services} == {
            "app": (2, Health.HEALTHY),
            "worker-llm": (1, Health.HEALTHY),
            "postgres": (1, Health.HEALTHY),
            "redis": (1, Health.HEALTHY),
        }
        assert snapshot.overall is Overall.HEALTHY

    def test_a_worker_is_judged_by_its_process_and_its_heartbeat_alone(self) -> None:
        found = everything()

        alone = picture({name: found[name] for name in WORKER_SOURCES})

        assert judged(alone, "worker-llm-1") == (Health.HEALTHY, "")
        assert judged(alone, "app-1") == (Health.UNKNOWN, "not probed yet")

    def test_a_dead_process_is_unhealthy_although_its_last_probe_was_good(self) -> None:
        dead = replica(
            "app-1", ReplicaState.BACKOFF, exit_reason="killed by SIGKILL", restarts=3, pid=None
        )
        topology = product(app=service("app", Role.APP, dead, replica("app-2")))

        snapshot = picture(everything(runtime=running(topology)))

        assert judged(snapshot, "app-1") == (
            Health.UNHEALTHY,
            "killed by SIGKILL, restarted 3 times",
        )

    def test_a_failing_probe_gives_its_own_words(self) -> None:
        bad = ProbeResult(False, "ready: database does not answer", "no", 0.1)

        snapshot = picture(everything(health=seen("health", probes(**{"app-1": bad}))))

        assert judged(snapshot, "app-1") == (Health.UNHEALTHY, "ready: database does not answer")
        assert snapshot.overall is Overall.DEGRADED

    def test_a_probe_from_before_the_restart_counts_for_nothing(self) -> None:
        again = replica("app-1", started_at=ago(0.1), restarts=1, exit_reason="killed by SIGKILL")
        topology = product(app=service("app", Role.APP, again, replica("app-2")))
        observations = everything(
            runtime=running(topology), health=seen("health", probes(), at=ago(0.5))
        )

        health, reason = judged(picture(observations), "app-1")

        assert health is Health.STARTING
        assert "killed by SIGKILL, restarted once" in reason

    def test_what_comes_up_is_starting_and_what_was_well_before_is_unhealthy(self) -> None:
        refused = ProbeResult(False, "probe: connection refused", "", 0.0)
        young = replica("app-1", started_at=ago(3))
        observations = everything(
            runtime=running(product(app=service("app", Role.APP, young))),
            health=seen("health", HealthReading({"app-1": refused})),
        )

        first = judged(picture(observations), "app-1")
        later = judged(
            picture(observations, windows=Windows(answered_at={"app-1": ago(1)})), "app-1"
        )

        assert first == (Health.STARTING, "starting for 3 s: probe: connection refused")
        assert later == (Health.UNHEALTHY, "probe: connection refused")

    def test_starting_ends_with_the_patience(self) -> None:
        refused = ProbeResult(False, "probe: connection refused", "", 0.0)
        slow = replica("app-1", started_at=ago(61))
        observations = everything(
            runtime=running(product(app=service("app", Role.APP, slow))),
            health=seen("health", HealthReading({"app-1": refused})),
        )

        assert judged(picture(observations), "app-1")[0] is Health.UNHEALTHY

    def test_an_old_probe_proves_nothing(self) -> None:
        observations = everything(health=seen("health", probes(), at=ago(4)))

        health, reason = judged(picture(observations), "app-1")

        assert (health, reason) == (Health.UNKNOWN, "last probe 4 s ago said ready")

    @pytest.mark.parametrize(
        ("source", "name"), [("database", "postgres-1"), ("broker", "redis-1")]
    )
    def test_a_server_that_does_not_answer_is_unhealthy_at_once(
        self, source: str, name: str
    ) -> None:
        good = everything()[source]
        silent = replace(good, failure=Failure.NO_ANSWER, error="connection refused", failed_at=NOW)

        snapshot = picture(everything(**{source: silent}))

        assert judged(snapshot, name) == (Health.UNHEALTHY, "connection refused")
        assert snapshot.overall is Overall.UNHEALTHY

    def test_a_database_nobody_can_ask_is_unknown(self) -> None:
        silent = Observed("database", 1.0, failure=Failure.NOT_CONFIGURED, error="no address")

        snapshot = picture(everything(database=silent))

        assert judged(snapshot, "postgres-1") == (Health.UNKNOWN, "cannot be asked: no address")
        assert snapshot.overall is Overall.UNKNOWN

    def test_a_runtime_that_is_silent_makes_everything_unknown(self) -> None:
        silent = running(
            product(), at=ago(4), failure=Failure.NO_ANSWER, error="supervisor is gone"
        )

        snapshot = picture(everything(runtime=silent))

        assert {r.health for s in snapshot.services for r in s.replicas} == {Health.UNKNOWN}
        assert judged(snapshot, "app-1")[1] == "cannot see its process: supervisor is gone"
        assert snapshot.overall is Overall.UNKNOWN

    def test_what_nobody_can_ask_counts_while_it_runs_but_is_not_called_healthy(self) -> None:
        plain = service("exporter", Role.OTHER, replica("exporter-1", health_url=None))

        found = picture(everything(runtime=running(product(exporter=plain)))).service("exporter")

        assert found is not None
        assert (found.ready, found.health) == (1, Health.UNKNOWN)


class TestHealthOfAWorker:
    @pytest.mark.parametrize(
        ("beats", "health", "reason"),
        [
            ((beat(at=ago(4.9)),), Health.HEALTHY, ""),
            ((beat(at=ago(7)),), Health.UNHEALTHY, "no heartbeat for 7 s"),
            ((beat("worker-llm-2"),), Health.UNHEALTHY, "no heartbeat since its start"),
            (
                (beat(accepting=False, active=1, reserved=1),),
                Health.HEALTHY,
                "draining: takes no new tasks, 2 tasks left",
            ),
            ((beat(phase="starting", accepting=False),), Health.UNHEALTHY, "loading"),
            (
                (beat(phase="stopping", accepting=False, active=1),),
                Health.STOPPED,
                "shutting down, finishes 1 task",
            ),
        ],
    )
    def test_its_heartbeat_decides(
        self, beats: tuple[WorkerHeartbeat, ...], health: Health, reason: str
    ) -> None:
        snapshot = picture(everything(broker=seen("broker", broker(*beats))))

        found = judged(snapshot, "worker-llm-1")

        assert found[0] is health
        assert found[1].startswith(reason)

    def test_the_heartbeat_of_the_process_before_counts_for_nothing(self) -> None:
        again = replica("worker-llm-1", started_at=ago(1), restarts=1)
        topology = product(worker_llm=service("worker-llm", Role.WORKER, again))
        observations = everything(
            runtime=running(topology), broker=seen("broker", broker(beat(at=ago(2))))
        )

        assert judged(picture(observations), "worker-llm-1")[0] is Health.STARTING

    def test_without_a_broker_it_is_unknown(self) -> None:
        down = replace(
            everything()["broker"],
            read_at=ago(10),
            failure=Failure.NO_ANSWER,
            error="broker: connection refused",
            failed_at=NOW,
        )

        health, reason = judged(picture(everything(broker=down)), "worker-llm-1")

        assert (health, reason) == (
            Health.UNKNOWN,
            "heartbeat cannot be read: broker: connection refused",
        )

    def test_an_expired_heartbeat_is_told_by_its_age(self) -> None:
        gone = everything(broker=seen("broker", replace(broker(), heartbeats=())))

        snapshot = picture(gone, windows=Windows(beat_at={"worker-llm-1": ago(12)}))

        assert judged(snapshot, "worker-llm-1") == (Health.UNHEALTHY, "no heartbeat for 12 s")


class TestOverall:
    def test_an_app_without_any_ready_replica_makes_it_unhealthy(self) -> None:
        down = replica("app-1", ReplicaState.EXITED, pid=None, exit_reason="exited with 1")
        topology = product(app=service("app", Role.APP, down))

        assert picture(everything(runtime=running(topology))).overall is Overall.UNHEALTHY

    def test_a_missing_worker_degrades_it(self) -> None:
        topology = product(
            worker_llm=service("worker-llm", Role.WORKER, replica("worker-llm-1"), desired=2)
        )

        snapshot = picture(everything(runtime=running(topology)))

        assert snapshot.overall is Overall.DEGRADED
        found = snapshot.service("worker-llm")
        assert found is not None
        assert found.reason == "1 of 2 ready, 1 exist"

    def test_a_service_of_a_profile_does_not(self) -> None:
        board = replace(
            service("tensorboard", Role.OTHER, desired=1),
            core=False,
        )

        assert picture(everything(runtime=running(product(board=board)))).overall is Overall.HEALTHY

    def test_a_firing_critical_alert_degrades_it(self) -> None:
        full = everything(database=seen("database", DatabaseReading(95, 100)))
        policy = Policy()
        policy.alerts["DatabaseConnectionPoolExhausted"] = replace(
            policy.alerts["DatabaseConnectionPoolExhausted"], for_seconds=0
        )

        assert picture(full, policy=policy).overall is Overall.DEGRADED

    def test_nothing_read_is_unknown(self) -> None:
        snapshot = picture({"runtime": Observed("runtime", 1.0)})

        assert snapshot.overall is Overall.UNKNOWN
        assert snapshot.services == ()
        assert snapshot.metrics.database_connections is None
        assert snapshot.sources[0].state is SourceState.FAILED

    def test_a_stopped_stack_says_so(self) -> None:
        stopped = replace(
            product(app=service("app", Role.APP, replica("app-1", ReplicaState.EXITED, pid=None))),
            running=False,
        )

        snapshot = picture(everything(runtime=running(stopped)))

        found = snapshot.service("app")
        assert found is not None
        assert (found.health, found.reason) == (Health.STOPPED, "the stack is stopped")
        assert not snapshot.running


class TestAlerts:
    def test_a_condition_is_pending_then_fires_with_the_moment_it_began(self) -> None:
        backlog = everything(broker=seen("broker", broker(depth=101)))
        first = picture(backlog)
        later = NOW + timedelta(seconds=600)
        moved = {name: replace(o, begun_at=later, read_at=later) for name, o in backlog.items()}

        second = picture(moved, now=later, before=first)

        pending = next(a for a in first.alerts if a.name == "WorkerQueueBacklog")
        firing = next(a for a in second.alerts if a.name == "WorkerQueueBacklog")
        assert (pending.state, firing.state) == (AlertState.PENDING, AlertState.FIRING)
        assert pending.since == firing.since == NOW
        assert firing.severity is AlertSeverity.WARNING
        assert "101 tasks wait in llm" in firing.summary

    def test_it_is_over_when_the_condition_is(self) -> None:
        first = picture(everything(broker=seen("broker", broker(depth=101))))

        assert "WorkerQueueBacklog" not in {a.name for a in picture(before=first).alerts}

    def test_silence_is_no_recovery(self) -> None:
        first = picture(everything(broker=seen("broker", broker(depth=101))))
        lost = everything(broker=seen("broker", broker(depth=101), at=ago(30)))

        alert = next(
            a for a in picture(lost, before=first).alerts if a.name == "WorkerQueueBacklog"
        )

        assert alert.since == first.alerts[0].since
        assert alert.summary.endswith("(no longer measured)")

    def test_a_dead_database_fires_soon_and_comes_first(self) -> None:
        down = replace(
            everything()["database"], failure=Failure.NO_ANSWER, error="refused", failed_at=NOW
        )

        first = picture(everything(database=down))
        later = NOW + timedelta(seconds=5)
        still = {
            name: replace(o, begun_at=later, read_at=later, failed_at=o.failed_at and later)
            for name, o in everything(database=down).items()
        }

        alerts = picture(still, now=later, before=first).alerts

        assert (alerts[0].name, alerts[0].state) == ("DatabaseDown", AlertState.FIRING)
        assert alerts[0].severity is AlertSeverity.CRITICAL

    @pytest.mark.parametrize(("ratio", "fires"), [(0.85, False), (0.851, True)])
    def test_a_threshold_is_not_yet_above_it(self, ratio: float, fires: bool) -> None:
        host = HostReading(0.1, 0.2, ratio, 2, 10**9, 10**9)

        alerts = picture(everything(host=seen("host", host))).alerts

        assert ("DiskSpace" in {a.name for a in alerts}) is fires


class TestFiguresAndSources:
    def test_figures_of_a_service_are_sums_and_half_a_sum_is_unknown(self) -> None:
        stats = {"app-1": ReplicaStats(0.5, 100), "app-2": ReplicaStats(1.0, 200)}
        whole = picture(everything(runtime=seen("runtime", RuntimeReading(product(), stats))))
        half = picture(
            everything(
                runtime=seen("runtime", RuntimeReading(product(), {"app-1": stats["app-1"]}))
            )
        )

        first, second = whole.service("app"), half.service("app")
        assert first is not None
        assert second is not None
        assert (first.cpu_cores, first.cpu_ratio, first.memory_bytes) == (1.5, 0.75, 300)
        assert (second.cpu_cores, second.memory_bytes) == (None, None)

    def test_a_failed_source_keeps_showing_its_last_figures_with_their_age(self) -> None:
        lost = seen(
            "host",
            HostReading(0.1, 0.2, 0.3, 2, 1, 1),
            at=ago(60),
            failure=Failure.BROKEN,
            error="gone",
        )

        snapshot = picture(everything(host=lost))

        assert snapshot.metrics.host_disk_ratio == 0.3
        status = next(s for s in snapshot.sources if s.name == "host")
        assert (status.state, status.age_seconds, status.error) == (SourceState.FAILED, 60, "gone")

    def test_monitoring_that_was_left_out_is_no_gap(self) -> None:
        without = Observed("prometheus", 5.0, failure=Failure.NOT_CONFIGURED, error="none here")
        silent = replace(without, failure=Failure.NO_ANSWER)

        assert picture(everything(prometheus=without)).sources == picture(everything()).sources
        assert "prometheus" in {s.name for s in picture(everything(prometheus=silent)).sources}

    def test_but_not_for_ever(self) -> None:
        lost = seen("host", HostReading(0.1, 0.2, 0.3, 2, 1, 1), at=ago(301))

        snapshot = picture(everything(host=lost))

        assert snapshot.metrics.host_disk_ratio is None
        assert next(s for s in snapshot.sources if s.name == "host").state is SourceState.STALE

    def test_workers_of_a_queue_are_those_that_take_tasks(self) -> None:
        beats = (beat(), beat("worker-llm-2", accepting=False), beat("worker-llm-3", at=ago(6)))

        fresh = picture(everything(broker=seen("broker", broker(*beats))))
        stale = picture(everything(broker=seen("broker", broker(*beats), at=ago(60))))

        assert fresh.queues[0].workers == 1
        assert stale.queues[0].workers is None

    def test_the_release_is_unknown_while_replicas_differ(self) -> None:
        mixed = service("app", Role.APP, replica("app-1"), replica("app-2", release="v2"))

        assert picture().release == "v1"
        assert picture(everything(runtime=running(product(app=mixed)))).release is None


moments = st.floats(0, 20).map(ago)
states = st.sampled_from(ReplicaState)
facts = st.builds(
    lambda state, started: replica("app-1", state, started_at=started), states, moments
)
maybe_probe = st.one_of(
    st.none(), st.builds(ProbeResult, st.booleans(), st.just("no"), st.just(""), st.just(0.0))
)
failures = st.one_of(st.none(), st.sampled_from(Failure))


@given(fact=facts, probe=maybe_probe, read=moments, seen_at=moments, failure=failures)
def test_an_app_is_never_healthy_without_fresh_positive_evidence(
    fact: ReplicaFact,
    probe: ProbeResult | None,
    read: datetime,
    seen_at: datetime,
    failure: Failure | None,
) -> None:
    observations = everything(
        runtime=running(product(app=service("app", Role.APP, fact)), at=seen_at),
        health=seen(
            "health", HealthReading({"app-1": probe} if probe else {}), at=read, failure=failure
        ),
    )

    snapshot = picture(observations)

    found = snapshot.replica("app-1")
    assert found is not None
    if found.health is Health.HEALTHY:
        assert probe is not None
        assert probe.ok
        assert fact.state is ReplicaState.RUNNING
        assert fact.started_at is not None
        assert read >= fact.started_at
        assert NOW - read <= timedelta(seconds=3)
        assert NOW - seen_at <= timedelta(seconds=3)
    if snapshot.overall is Overall.HEALTHY:
        assert found.health is Health.HEALTHY


@given(st.lists(states, max_size=6), st.integers(0, 6))
def test_ready_never_exceeds_what_runs_and_service_health_agrees_with_it(
    present: list[ReplicaState], desired: int
) -> None:
    replicas = [replica(f"app-{n}", state) for n, state in enumerate(present)]
    topology = product(app=service("app", Role.APP, *replicas, desired=desired))
    good = HealthReading({r.id: GOOD for r in replicas})

    snapshot = picture(everything(runtime=running(topology), health=seen("health", good)))

    app = snapshot.service("app")
    assert app is not None
    assert app.ready == sum(s is ReplicaState.RUNNING for s in present)
    assert (app.health is Health.HEALTHY) == (app.ready >= desired and app.ready > 0)
    if app.health is not Health.HEALTHY:
        assert app.reason


@given(st.floats(0, 100), st.floats(0, 100))
def test_evidence_only_gets_older(first: float, second: float) -> None:
    earlier, later = sorted((first, second))
    observed = seen("health", probes())

    if observed.is_evidence(NOW + timedelta(seconds=later)):
        assert observed.is_evidence(NOW + timedelta(seconds=earlier))


def test_a_worker_that_was_at_work_is_remembered_by_its_replica() -> None:
    windows = absorb(Windows(), broker(), product(), ago(1), NOW)

    assert windows.answered_at["worker-llm-1"] == beat().at
    assert windows.answered_at["redis-1"] == ago(1)
