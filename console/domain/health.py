"""
Health of one replica: the process joined with what was asked of it.

Two rules stand above the rest: without positive evidence nothing is healthy, and
evidence older than the process it is about is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from console.domain.observed import Failure, Observations, Observed, find
from console.domain.readings import (
    BrokerReading,
    DatabaseReading,
    HealthReading,
    ProbeResult,
    RuntimeReading,
    WorkerHeartbeat,
)
from console.domain.services import (
    Health,
    ReplicaFact,
    ReplicaState,
    Role,
    RuntimeHealth,
    ServiceFact,
)
from console.domain.windows import Windows

#: A worker whose last sign of life is older than this is not well.
HEARTBEAT_MAX_AGE_SECONDS = 5.0
#: How long a process may take to be ready before "starting" becomes "unhealthy".
START_GRACE_SECONDS: dict[Role, float] = {Role.WORKER: 120.0, Role.APP: 60.0}
DEFAULT_START_GRACE_SECONDS = 30.0
#: A restart is worth telling for this long after it.
RESTART_TOLD_SECONDS = 600.0

#: A worker with this label sends heartbeats for the queue it names.
QUEUE_LABEL = "console.queue"
#: Names of the sources as the operator sees them; judgement refers to two of them.
DATABASE_SOURCE = "database"
BROKER_SOURCE = "broker"


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    What is thought of one replica, with the reason in words.

    ``probed`` is False where nothing is configured to ask whether it works: then
    it counts as ready while it runs, though its health stays unknown.
    """

    health: Health
    reason: str = ""
    output: str = ""
    probed: bool = True


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything one verdict may draw on; built once for all replicas."""

    observations: Observations
    windows: Windows
    now: datetime
    runtime: Observed | None
    heartbeats: Mapping[str, WorkerHeartbeat]

    @classmethod
    def of(cls, observations: Observations, windows: Windows, now: datetime) -> Evidence:
        """Sort the readings for judging."""
        runtime = find(observations, RuntimeReading)
        broker = find(observations, BrokerReading)
        beats = broker[1].heartbeats if broker is not None else ()
        return cls(
            observations=observations,
            windows=windows,
            now=now,
            runtime=None if runtime is None else runtime[0],
            heartbeats={beat.replica: beat for beat in beats},
        )


def judge(service: ServiceFact, replica: ReplicaFact, evidence: Evidence) -> Verdict:
    """
    Judge one replica.

    The process comes first (what is dead is unhealthy whatever the last probe
    said), then what its role is asked: databases and brokers by their own
    source, workers by heartbeat, everything else by its health address.
    """
    runtime = evidence.runtime
    if runtime is None or not runtime.is_evidence(evidence.now):
        why = (runtime.error if runtime else None) or "no news"
        return Verdict(Health.UNKNOWN, f"cannot see its process: {why}")
    if replica.state is not ReplicaState.RUNNING:
        return _judge_process(replica)
    verdict = _ask(service, replica, evidence)
    if replica.checked is not None:
        verdict = _with_check(verdict, replica.checked)
    return _with_restart(verdict, replica, evidence.now) if verdict.probed else verdict


def _ask(service: ServiceFact, replica: ReplicaFact, evidence: Evidence) -> Verdict:
    """Judge by what the console itself asks; not probed where it has nothing to ask."""
    if service.role is Role.DATABASE:
        return _judge_server(service, replica, evidence, DATABASE_SOURCE, DatabaseReading)
    if service.role is Role.BROKER:
        return _judge_server(service, replica, evidence, BROKER_SOURCE, BrokerReading)
    if service.role is Role.WORKER and QUEUE_LABEL in service.labels:
        return _judge_worker(service, replica, evidence)
    if replica.health_url is not None:
        return _judge_probe(service, replica, evidence)
    return Verdict(
        Health.UNKNOWN, "runs; nothing is configured to ask whether it works", probed=False
    )


def _with_check(verdict: Verdict, checked: RuntimeHealth) -> Verdict:
    """
    Join our verdict with the runtime's own health check.

    Where we ask nothing the check decides.  Where we do, ours does, being younger;
    but what fails its own check time after time is not called healthy.
    """
    first = checked.output.splitlines()[0] if checked.output else ""
    words = {
        Health.STARTING: "its health check has not passed yet",
        Health.UNHEALTHY: "its health check fails",
    }.get(checked.health, "")
    if words and first:
        words += f": {first}"
    if not verdict.probed:
        return Verdict(checked.health, words, checked.output)
    if verdict.health is Health.HEALTHY and checked.health is Health.UNHEALTHY:
        return Verdict(Health.UNHEALTHY, words, checked.output)
    return replace(verdict, output=verdict.output or checked.output)


def exit_words(replica: ReplicaFact) -> str:
    """Return how the process ended and how often that happened, in words."""
    times = {0: "", 1: "restarted once"}.get(
        replica.restarts, f"restarted {replica.restarts} times"
    )
    return ", ".join(part for part in (replica.exit_reason, times) if part)


def _judge_process(replica: ReplicaFact) -> Verdict:
    words = exit_words(replica)
    match replica.state:
        case ReplicaState.STARTING:
            return Verdict(Health.STARTING, f"starting again: {words}" if words else "starting")
        case ReplicaState.STOPPING:
            return Verdict(Health.STOPPED, "stopping")
        case ReplicaState.BACKOFF:
            return Verdict(Health.UNHEALTHY, words or "keeps ending; waits before the next start")
        case ReplicaState.EXITED:
            return Verdict(Health.UNHEALTHY, words or "its process has ended")
        case _:
            return Verdict(Health.UNKNOWN, "the runtime cannot tell its state")


def _judge_server(
    service: ServiceFact,
    replica: ReplicaFact,
    evidence: Evidence,
    source: str,
    kind: type[DatabaseReading] | type[BrokerReading],
) -> Verdict:
    observed = evidence.observations.get(source)
    if observed is None:
        return Verdict(Health.UNKNOWN, "nobody asks it")
    if observed.failure is Failure.NO_ANSWER:
        if observed.failed_at is not None and _predates(replica, observed.failed_at):
            return Verdict(Health.STARTING, "not asked since its start")
        return _not_ready(service, replica, evidence, observed.error or "does not answer")
    if observed.failure is not None and not observed.is_evidence(evidence.now):
        # No address is no probe; any other failure is one that told nothing.
        probed = observed.failure is not Failure.NOT_CONFIGURED
        return Verdict(Health.UNKNOWN, f"cannot be asked: {observed.error}", probed=probed)
    if not isinstance(observed.reading, kind) or observed.begun_at is None:
        return Verdict(Health.UNKNOWN, "not asked yet")
    if not observed.is_evidence(evidence.now):
        return Verdict(Health.UNKNOWN, f"last answer {_age(observed, evidence.now)} ago")
    if _predates(replica, observed.begun_at):
        return Verdict(Health.STARTING, "not asked since its start")
    return Verdict(Health.HEALTHY)


def _judge_probe(service: ServiceFact, replica: ReplicaFact, evidence: Evidence) -> Verdict:
    found = find(evidence.observations, HealthReading)
    if found is None:
        return Verdict(Health.UNKNOWN, "not probed yet")
    observed, reading = found
    probe = reading.probes.get(replica.id)
    begun_at = observed.begun_at
    if not observed.is_evidence(evidence.now) or begun_at is None:
        last = "ready" if probe is not None and probe.ok else "not ready"
        return Verdict(
            Health.UNKNOWN,
            f"last probe {_age(observed, evidence.now)} ago said {last}",
            probe.output if probe else "",
        )
    if probe is None or _predates(replica, begun_at):
        return Verdict(Health.STARTING, "not probed since its start")
    if probe.ok:
        return Verdict(Health.HEALTHY, output=probe.output)
    return _not_ready(service, replica, evidence, probe.reason, probe)


def _judge_worker(service: ServiceFact, replica: ReplicaFact, evidence: Evidence) -> Verdict:
    found = find(evidence.observations, BrokerReading)
    broker = evidence.observations.get(BROKER_SOURCE)
    if found is None or not found[0].is_evidence(evidence.now):
        why = broker.error if broker is not None and broker.error else "no news from the broker"
        return Verdict(Health.UNKNOWN, f"heartbeat cannot be read: {why}")
    beat = evidence.heartbeats.get(replica.name)
    if beat is not None and _predates(replica, beat.at):
        beat = None
    if beat is None:
        last = evidence.windows.beat_at.get(replica.name)
        if last is None or _predates(replica, last):
            words = "no heartbeat since its start"
        else:
            words = f"no heartbeat for {(evidence.now - last).total_seconds():.0f} s"
        return _not_ready(service, replica, evidence, words)
    age = (evidence.now - beat.at).total_seconds()
    if age > HEARTBEAT_MAX_AGE_SECONDS:
        return Verdict(Health.UNHEALTHY, f"no heartbeat for {age:.0f} s")
    if beat.phase == "starting":
        return _not_ready(service, replica, evidence, "loading, takes no tasks yet")
    if beat.phase == "stopping":
        return Verdict(Health.STOPPED, f"shutting down, finishes {_tasks(beat.active)}")
    if not beat.accepting:
        left = beat.active + beat.reserved
        return Verdict(Health.HEALTHY, f"draining: takes no new tasks, {_tasks(left)} left")
    return Verdict(Health.HEALTHY)


def _not_ready(
    service: ServiceFact,
    replica: ReplicaFact,
    evidence: Evidence,
    why: str,
    probe: ProbeResult | None = None,
) -> Verdict:
    """Tell a process that is still coming up from one that has been well before."""
    output = probe.output if probe is not None else ""
    running = _running_seconds(replica, evidence.now)
    answered = evidence.windows.answered_at.get(replica.id)
    was_well = answered is not None and not _predates(replica, answered)
    grace = START_GRACE_SECONDS.get(service.role, DEFAULT_START_GRACE_SECONDS)
    if running is not None and running < grace and not was_well:
        return Verdict(Health.STARTING, f"starting for {running:.0f} s: {why}", output)
    return Verdict(Health.UNHEALTHY, why, output)


def _with_restart(verdict: Verdict, replica: ReplicaFact, now: datetime) -> Verdict:
    """Keep telling of a recent restart, also while the replica is well again."""
    running = _running_seconds(replica, now)
    if not replica.restarts or running is None or running > RESTART_TOLD_SECONDS:
        return verdict
    told = exit_words(replica)
    if verdict.health is Health.HEALTHY:
        told += f" ({_seconds(running)} ago)"
    reason = f"{verdict.reason}; {told}" if verdict.reason else told
    return Verdict(verdict.health, reason, verdict.output, verdict.probed)


def _predates(replica: ReplicaFact, moment: datetime) -> bool:
    """Whether *moment* lies before the start of the replica's present process."""
    return replica.started_at is not None and moment < replica.started_at


def _running_seconds(replica: ReplicaFact, now: datetime) -> float | None:
    if replica.started_at is None:
        return None
    return max(0.0, (now - replica.started_at).total_seconds())


def _age(observed: Observed, now: datetime) -> str:
    age = observed.age_seconds(now)
    return "?" if age is None else _seconds(age)


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _tasks(count: int) -> str:
    return "1 task" if count == 1 else f"{count} tasks"
