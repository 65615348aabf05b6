"""Alerts of two judges, what is over, silences, and the schedule of the health checks."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from console.domain.alerting import (
    CANNOT_TELL_NOTE,
    ENDED_KEPT_SECONDS,
    RULES,
    Figures,
    ended,
    evaluate,
    merge,
)
from console.domain.alerts import (
    PROMETHEUS,
    Alert,
    AlertSeverity,
    AlertState,
    Silence,
    silence_of,
)
from console.domain.metrics import Metrics
from console.domain.operations import Actor
from console.domain.policy import Policy
from console.domain.queues import Queue
from console.domain.silences import NOTE, REMEMBERED, read_silences, write_silences
from console.domain.snapshot import Snapshot
from console.errors import Refused, Unreachable, UsageError
from console.operations.silencing import Silencing
from console.settings import PROJECT, read_runbook
from tests.fakes.clock import FakeClock
from tests.fakes.journal import FakeJournal
from tests.monitoring import alerts as rules_of_prometheus
from tests.unit.test_assemble import NOW, everything, picture

FIRING, PENDING = AlertState.FIRING, AlertState.PENDING


def alert(name: str = "DiskSpace", state: AlertState = FIRING, **changes: object) -> Alert:
    made = Alert(name, AlertSeverity.WARNING, state, NOW, name.lower(), "words")
    return replace(made, **changes)  # type: ignore[arg-type]


class TestTwoJudges:
    def test_trouble_that_both_see_is_there_once_in_prometheus_words(self) -> None:
        theirs = alert(origin=PROMETHEUS, subject="device=/dev/vda")

        assert merge([alert()], [theirs]) == (theirs,)

    def test_whoever_is_further_counts(self) -> None:
        early = alert(state=PENDING, origin=PROMETHEUS)

        assert merge([alert()], [early]) == (alert(),)

    def test_several_of_one_name_stay_apart(self) -> None:
        both = [alert("ReplicaDown", origin=PROMETHEUS, subject=s) for s in ("a", "b")]

        assert merge([], both) == tuple(both)

    def test_what_only_prometheus_knows_stays_while_it_does_not_answer(self) -> None:
        before = [alert("ErrorBudgetBurn", origin=PROMETHEUS), alert(origin=PROMETHEUS)]

        kept = merge([alert()], None, before, expected=True)

        assert {a.name for a in kept} == {"ErrorBudgetBurn", "DiskSpace"}
        assert all(a.summary.endswith(CANNOT_TELL_NOTE) for a in kept if a.origin == PROMETHEUS)
        assert merge([], None, before, expected=False) == ()


class TestOver:
    def test_a_firing_alert_that_is_gone_is_over_since_now(self) -> None:
        assert ended([alert()], [], [], NOW) == (alert(ended_at=NOW),)

    def test_a_pending_one_never_was(self) -> None:
        assert ended([alert(state=PENDING)], [], [], NOW) == ()

    def test_the_other_judge_taking_over_is_no_end(self) -> None:
        assert ended([alert()], [alert(origin=PROMETHEUS, subject="x")], [], NOW) == ()

    def test_it_is_forgotten_after_a_while(self) -> None:
        known = [alert(ended_at=NOW)]
        later = NOW + timedelta(seconds=ENDED_KEPT_SECONDS)

        assert ended([], [], known, later) == tuple(known)
        assert ended([], [], known, later + timedelta(seconds=1)) == ()

    def test_a_picture_carries_it_on(self) -> None:
        full = replace(everything()["host"].reading, disk_ratio=0.97)  # type: ignore[type-var]
        first = picture(everything(host=replace(everything()["host"], reading=full)))
        assert [a.name for a in first.alerts] == ["DiskSpace"]

        second = picture(before=first)

        assert [a.name for a in second.ended_alerts] == ["DiskSpace"]


class TestSchedule:
    """Row by row: after how long without a break each check tells."""

    def test_the_file_of_policy_says_what_the_defaults_say(self) -> None:
        from console.policy_file import load_policy

        assert load_policy(PROJECT / "compose" / "console.yaml").alerts == Policy().alerts

    @pytest.mark.parametrize(
        ("name", "threshold", "seconds"),
        [
            ("ApiDown", 0, 30),  # every 30 s, after 2 failures: the second comes 30 s later
            ("DatabaseDown", 0, 60),  # every 60 s, after 1
            ("BrokerDown", 0, 60),
            ("WorkerQueueBacklog", 100, 600),
            ("DiskSpace", 0.85, 600),
            ("MemoryUse", 0.9, 300),
        ],
    )
    def test_nothing_is_told_later_than_the_schedule(
        self, name: str, threshold: float, seconds: float
    ) -> None:
        limit = Policy().alerts[name]

        assert limit.threshold == threshold
        assert limit.for_seconds <= seconds

    def test_a_backlog_is_told_once_it_has_lasted(self) -> None:
        queues = (Queue("llm", 101, 0, None, None, None, 1),)
        figures = Figures(Metrics(), queues, ())

        first = evaluate(figures, Policy(), (), NOW)
        second = evaluate(figures, Policy(), first, NOW + timedelta(minutes=10))

        assert [(a.name, a.state) for a in first] == [("WorkerQueueBacklog", PENDING)]
        assert [(a.name, a.state) for a in second] == [("WorkerQueueBacklog", FIRING)]

    @pytest.mark.parametrize(
        ("name", "field"),
        [
            ("RefusedKeysBurst", "keys_refused"),
            ("RateLimitBurst", "rate_limited"),
            ("OversizedRequestsBurst", "oversized"),
        ],
    )
    def test_a_burst_is_told_at_once_and_by_the_limit_of_prometheus(
        self, name: str, field: str
    ) -> None:
        limit = Policy().alerts[name].threshold
        (rule,) = (rule for rule in rules_of_prometheus() if rule["alert"] == name)
        at_limit: dict[str, Any] = {field: limit}
        above: dict[str, Any] = {field: limit + 1}
        quiet = Figures(replace(Metrics(), **at_limit), (), ())
        loud = Figures(replace(Metrics(), **above), (), ())

        assert rule["expr"].endswith(f"[5m])) > {limit:g}")
        assert [a.name for a in evaluate(quiet, Policy(), (), NOW)] == []
        (found,) = evaluate(loud, Policy(), (), NOW)
        assert (found.name, found.state, found.runbook) == (name, FIRING, name.lower())
        assert found.summary.startswith(f"{limit + 1:g} requests ")
        # What can no longer be told stays.
        (kept,) = evaluate(Figures(Metrics(), (), ()), Policy(), (found,), NOW)
        assert kept.summary.endswith("(no longer measured)")

    def test_every_rule_says_what_it_watches_for(self) -> None:
        for rule in RULES:
            words = rule.watched(rule.default)
            assert "{" not in words
            assert len(words) > 10


class TestProcedures:
    def test_every_alert_of_either_judge_has_a_section(self, project: Path) -> None:
        runbook = read_runbook(project)
        names = {rule.procedure or rule.name for rule in RULES}
        names |= {rule["alert"] for rule in rules_of_prometheus()}
        names |= {rule.name for rule in RULES}

        without = [name for name in names if runbook.section(name) is None]

        assert without == []
        for name in names:
            section = runbook.section(name)
            assert section is not None
            assert any(line.text for line in section.lines), name


class Manager:
    """An Alertmanager that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.down = False

    def silence(self, address: str, silence: Silence) -> str:
        if self.down:
            raise Unreachable("refused")
        self.told.append(("silence", silence.alert))
        return f"id-{len(self.told)}"

    def unsilence(self, address: str, silence_id: str) -> None:
        if self.down:
            raise Unreachable("refused")
        self.told.append(("unsilence", silence_id))


class Bench:
    def __init__(self) -> None:
        self.clock = FakeClock(NOW)
        self.journal = FakeJournal(self.clock)
        self.manager = Manager()
        self.silencing = Silencing(self.journal, self.manager, self.clock)
        self.actor = Actor("ana", 1000)

    def silence(
        self,
        snapshot: Snapshot,
        name: str = "DiskSpace",
        *,
        seconds: float = 3600.0,
        reason: str = "known",
    ) -> Silence:
        return self.silencing.silence(
            snapshot, name, seconds, self.actor, reason, lambda n: n != "Nope"
        )

    @property
    def kept(self) -> list[tuple[str, str]]:
        return [
            (s.alert, s.id)
            for s in read_silences(self.journal.note(NOTE))
            if s.until > self.clock.now()
        ]


@pytest.fixture
def bench() -> Bench:
    return Bench()


HERE = replace(picture(), endpoints={"alertmanager": "http://127.0.0.1:9"})


class TestSilences:
    def test_without_an_alertmanager_it_is_kept_and_recorded(self, bench: Bench) -> None:
        made = bench.silence(picture())

        assert (made.actor, made.reason, made.id) == ("ana", "known", "")
        assert made.until - made.since == timedelta(hours=1)
        assert bench.kept == [("DiskSpace", "")]
        assert bench.manager.told == []
        change = bench.journal.changes(1)[0]
        assert (change.what, change.actor, change.reason) == ("silence DiskSpace", "ana", "known")

    def test_it_runs_out_by_itself_and_covers_only_its_alert(self, bench: Bench) -> None:
        made = bench.silence(picture())
        later = made.until

        assert silence_of(alert(), [made], NOW) is made
        assert silence_of(alert(), [made], later) is None
        assert silence_of(alert("MemoryUse"), [made], NOW) is None

    def test_an_alertmanager_is_told_first_and_an_earlier_silence_replaced(
        self, bench: Bench
    ) -> None:
        bench.silence(HERE)
        bench.silence(HERE, reason="longer", seconds=7200.0)

        assert bench.manager.told == [
            ("silence", "DiskSpace"),
            ("silence", "DiskSpace"),
            ("unsilence", "id-1"),
        ]
        assert bench.kept == [("DiskSpace", "id-2")]

    def test_what_the_alertmanager_does_not_take_is_not_recorded(self, bench: Bench) -> None:
        bench.manager.down = True

        with pytest.raises(Unreachable):
            bench.silence(HERE)

        assert bench.kept == []
        assert bench.journal.changes() == []

    @pytest.mark.parametrize(
        "wrong", [{"reason": " "}, {"seconds": 0.0}, {"seconds": 8 * 86400.0}, {"name": "Nope"}]
    )
    def test_nonsense_is_refused_before_anything(
        self, bench: Bench, wrong: dict[str, object]
    ) -> None:
        with pytest.raises(UsageError):
            bench.silence(HERE, **wrong)  # type: ignore[arg-type]

        assert (bench.kept, bench.manager.told) == ([], [])

    def test_ended_it_is_gone_at_once_whatever_the_last_reading_says(self, bench: Bench) -> None:
        made = bench.silence(HERE)
        stale = replace(HERE, silences=(made,))
        bench.silencing.unsilence(stale, "DiskSpace", bench.actor, "done")

        assert bench.manager.told[-1] == ("unsilence", "id-1")
        assert bench.kept == []
        with pytest.raises(Refused, match="is not silenced"):
            bench.silencing.unsilence(stale, "DiskSpace", bench.actor, "again")

    def test_one_made_elsewhere_can_be_ended_here(self, bench: Bench) -> None:
        theirs = Silence("DiskSpace", NOW + timedelta(hours=1), "ci", "x", NOW, "7e-1")
        bench.silencing.unsilence(
            replace(HERE, silences=(theirs,)), "DiskSpace", bench.actor, "done"
        )

        assert bench.manager.told == [("unsilence", "7e-1")]

    def test_the_note_forgets_what_ended_long_ago_and_bears_damage(self) -> None:
        made = Silence("DiskSpace", NOW, "ana", "x", NOW - timedelta(hours=1))

        assert read_silences(write_silences([made], NOW)) == (made,)
        assert read_silences(write_silences([made], NOW + REMEMBERED)) == ()
        for damaged in ("", "[1]", '{"a": 1}', '[{"alert": "x"}]', "null"):
            assert read_silences(damaged) == ()


def test_anchors_are_spelt_as_alerts_are(project: Path) -> None:
    text = (project / "RUNBOOK.md").read_text("utf-8")
    anchors = re.findall(r'<a id="([^"]+)">', text)

    assert len(anchors) == len(set(anchors))
    assert all(anchor == anchor.lower() for anchor in anchors)
