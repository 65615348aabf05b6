"""A simulated working day under the real autoscaler, against fixed numbers of replicas."""

from __future__ import annotations

from console.domain.policy import Policy
from tests.arrivals import Day, working_day
from tests.benchmarks.figures import Figure

DAY_SECONDS = 24 * 3600
RUNS = 1


def measure() -> list[Figure]:
    """Return waits and replica-hours of one day; arrivals are the same in every run."""
    policy = Policy()
    ours = Day(working_day, policy).run(DAY_SECONDS)
    same = max(1, round(ours.replica_hours / 24))
    equal = Day(working_day, policy, replicas=same, automatic=False).run(DAY_SECONDS)
    peak = Day(working_day, policy, replicas=ours.peak, automatic=False).run(DAY_SECONDS)
    against = f"{same} all day, as many replica-hours"
    note = (
        f"{len(ours.waits)} tasks; {len(ours.changes)} changes, "
        f"at most {ours.most_reversals()} reversals in 10 minutes"
    )
    return [
        Figure("autoscale day: wait p50", ours.wait(0.5), "s", RUNS, "lower",
               equal.wait(0.5), against, note),
        Figure("autoscale day: wait p95", ours.wait(0.95), "s", RUNS, "lower",
               equal.wait(0.95), against),
        Figure("autoscale day: wait p95 at the peak", ours.wait(0.95), "s", RUNS, "lower",
               peak.wait(0.95), f"{ours.peak} all day"),
        Figure("autoscale day: replica-hours", ours.replica_hours, "h", RUNS, "lower",
               peak.replica_hours, f"{ours.peak} all day"),
    ]  # fmt: skip
