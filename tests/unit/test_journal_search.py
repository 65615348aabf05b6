"""``operations list`` and ``audit show`` look through the whole journal for what is wanted."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from console.domain.operations import Actor, Change, OperationState
from console.journal.pages import PAGE, find
from console.journal.store import JournalStore
from tests.contract.test_journal import a_plan, in_memory, on_disk
from tests.unit.test_status import Bench

Captured = pytest.CaptureFixture[str]
ANNA, BOB = Actor("anna", 1000, "ssh 192.0.2.7"), Actor("bob", 1001)


@pytest.mark.parametrize("make", [in_memory, on_disk])
def test_a_journal_is_read_in_pages(make: object, tmp_path: Path) -> None:
    bench = make(tmp_path / "state")  # type: ignore[operator]
    for _ in range(7):
        bench.finished()
    journal = bench.journal

    first = journal.operations(3)
    second = journal.operations(3, before=first[-1].id)
    last = journal.operations(3, before=second[-1].id)
    assert [o.id for o in (*first, *second, *last)] == [f"op-{n}" for n in range(7, 0, -1)]
    entries = journal.audit(3, before=6)
    assert [entry["seq"] for entry in entries] == [5, 4, 3]


def test_what_is_wanted_is_found_however_far_back() -> None:
    numbers = list(range(3 * PAGE, 0, -1))

    def read(limit: int, before: int | None) -> list[int]:
        return [n for n in numbers if before is None or n < before][:limit]

    page = find(read, lambda n: n, lambda n: n in {5, 450}, 10)
    assert (page.found, page.whole) == ((450, 5), True)
    page = find(read, lambda n: n, lambda n: n % 2 == 0, 3)
    assert (page.found, page.whole) == ((600, 598, 596), False)
    page = find(read, lambda n: n, lambda n: n < 100, 10, too_old=lambda n: n < 300)
    assert page.found == ()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A journal with a day of work in it."""
    made = Bench(tmp_path)
    journal = made.engine.journal
    assert isinstance(journal, JournalStore) or journal
    for number, actor in enumerate((ANNA, BOB, ANNA)):
        operation = journal.submit(a_plan("w", "scale" if number else "restart"), actor, "why")
        journal.set_state(operation.id, OperationState.DONE, ended_at=datetime.now(UTC))
    day_ago = datetime.now(UTC) - timedelta(days=1)
    journal.record(Change(day_ago, "bob", "start", "done"))
    return made


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        ([], ["op-3", "op-2", "op-1"]),
        (["--actor", "bob"], ["op-2"]),
        (["--verb", "restart"], ["op-1"]),
        (["--outcome", "done", "--limit", "1"], ["op-3"]),
        (["--outcome", "frozen"], []),
        (["--since", "1h", "--actor", "anna"], ["op-3", "op-1"]),
    ],
)
def test_operations_are_searched(
    bench: Bench, capsys: Captured, options: list[str], ids: list[str]
) -> None:
    assert bench.run("operations", "list", "--json", *options) == 0
    assert [told["id"] for told in json.loads(capsys.readouterr().out)] == ids


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ([], 4),
        (["--actor", "bob"], 2),
        (["--verb", "start"], 1),
        (["--outcome", "done", "--verb", "scale"], 2),
        (["--kind", "access"], 0),
    ],
)
def test_the_audit_is_searched(
    bench: Bench, capsys: Captured, options: list[str], count: int
) -> None:
    assert bench.run("audit", "show", "--json", *options) == 0
    assert len(json.loads(capsys.readouterr().out)) == count


@pytest.mark.parametrize(
    "words",
    [
        ["operations", "list", "--outcome", "sleeping"],
        ["operations", "list", "--since", "soon"],
        ["operations", "list", "--actor", ""],
        ["audit", "show", "--kind", "gossip"],
        ["audit", "show", "--verb", "a b"],
    ],
)
def test_what_makes_no_sense_is_a_usage_error(
    bench: Bench, capsys: Captured, words: list[str]
) -> None:
    assert bench.run(*words) == 2
    assert "next: " in capsys.readouterr().err


def test_nothing_found_is_said(bench: Bench, capsys: Captured) -> None:
    assert bench.run("operations", "list", "--outcome", "frozen") == 0
    assert capsys.readouterr().out == "no operation matches\n"
    assert bench.run("audit", "show", "--kind", "access") == 0
    assert capsys.readouterr().out == "no entry matches\n"
