"""The audit tells every change once, and tells when it was tampered with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from console.domain.audit import AuditVerdict, entry_hash, to_line
from console.domain.operations import Change
from console.journal.store import JournalStore
from tests.fakes.clock import FakeClock


@pytest.fixture
def journal(tmp_path: Path) -> JournalStore:
    journal = JournalStore(tmp_path, FakeClock())
    for number in range(5):
        journal.record(Change(FakeClock().now(), "anna", f"change {number}", "done", "why"))
    return journal


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def add(journal: JournalStore, what: str = "one more") -> None:
    journal.record(Change(FakeClock().now(), "bob", what, "done"))


def test_an_untouched_audit_is_valid(journal: JournalStore, file: Path) -> None:
    assert journal.verify_audit() == AuditVerdict(True, 5, None, "")
    lines = file.read_text().splitlines()
    assert [json.loads(line)["what"] for line in lines] == [f"change {n}" for n in range(5)]


def edit_content(lines: list[str]) -> None:
    lines[2] = lines[2].replace("anna", "eve")


def edit_and_seal_again(lines: list[str]) -> None:
    entry = json.loads(lines[2]) | {"what": "nothing"}
    lines[2] = to_line(entry | {"hash": entry_hash(entry)})


def remove_one(lines: list[str]) -> None:
    del lines[2]


def swap_two(lines: list[str]) -> None:
    lines[2], lines[3] = lines[3], lines[2]


def garbage(lines: list[str]) -> None:
    lines[2] = "rubbish"


def insert_one(lines: list[str]) -> None:
    lines.insert(2, lines[2])


@pytest.mark.parametrize(
    ("tamper", "first_bad"),
    [
        (edit_content, 3),
        (edit_and_seal_again, 4),
        (remove_one, 3),
        (swap_two, 3),
        (garbage, 3),
        (insert_one, 4),
    ],
)
def test_tampering_is_found_where_it_was_done(
    journal: JournalStore, file: Path, tamper: Callable[[list[str]], None], first_bad: int
) -> None:
    lines = file.read_text().splitlines()
    tamper(lines)
    file.write_text("\n".join(lines) + "\n")

    verdict = journal.verify_audit()

    assert not verdict.valid
    assert verdict.first_bad == first_bad
    assert verdict.reason


def test_a_chain_recomputed_to_the_end_is_still_not_the_journals(
    journal: JournalStore, file: Path
) -> None:
    entries = [json.loads(line) for line in file.read_text().splitlines()]
    entries[1]["what"] = "nothing"
    previous = entries[0]["hash"]
    for entry in entries[1:]:
        entry["previous"] = previous
        entry["hash"] = previous = entry_hash(entry)
    file.write_text("".join(to_line(entry) + "\n" for entry in entries))

    verdict = journal.verify_audit()

    assert not verdict.valid
    assert verdict.first_bad == 5


def test_a_cut_tail_is_noticed_also_after_more_was_written(
    journal: JournalStore, file: Path
) -> None:
    lines = file.read_text().splitlines()
    file.write_text("\n".join(lines[:3]) + "\n")
    assert journal.verify_audit() == AuditVerdict(False, 3, 4, "2 entries are missing")

    add(journal)

    verdict = journal.verify_audit()
    assert not verdict.valid
    assert verdict.first_bad == 4


def test_a_removed_file_is_noticed(journal: JournalStore, file: Path) -> None:
    file.unlink()

    assert journal.verify_audit().first_bad == 1


def test_a_forged_entry_at_the_end_is_noticed(journal: JournalStore, file: Path) -> None:
    last = json.loads(file.read_text().splitlines()[-1])
    forged = last | {"seq": 6, "previous": last["hash"], "what": "all is well"}
    with file.open("a") as out:
        out.write(to_line(forged | {"hash": entry_hash(forged)}) + "\n")

    assert journal.verify_audit().first_bad == 6


def test_what_a_dead_writer_left_out_is_appended_by_the_next(
    journal: JournalStore, file: Path
) -> None:
    whole = file.read_text()
    add(journal)
    forget_written(journal, 6)
    file.write_text(whole)  # as if it had died before the append

    add(journal, "the next")

    assert journal.verify_audit() == AuditVerdict(True, 7, None, "")


def test_what_was_appended_by_a_dead_writer_is_not_appended_twice(
    journal: JournalStore, file: Path
) -> None:
    add(journal)
    forget_written(journal, 6)  # as if it had died after the append

    add(journal, "the next")

    assert journal.verify_audit() == AuditVerdict(True, 7, None, "")


def test_a_torn_line_of_a_dead_writer_is_completed(journal: JournalStore, file: Path) -> None:
    add(journal)
    forget_written(journal, 6)
    file.write_bytes(file.read_bytes()[:-40])

    add(journal, "the next")

    assert journal.verify_audit() == AuditVerdict(True, 7, None, "")


def test_an_audit_that_cannot_be_written_waits_in_the_journal(
    journal: JournalStore, file: Path
) -> None:
    whole = file.read_bytes()
    file.unlink()
    file.mkdir()
    add(journal)
    assert journal.changes(1)[0].what == "one more"

    file.rmdir()
    file.write_bytes(whole)
    add(journal, "the next")

    assert journal.verify_audit() == AuditVerdict(True, 7, None, "")


def forget_written(journal: JournalStore, seq: int) -> None:
    with journal._database.writing() as connection:
        connection.execute("update audit set written = 0 where seq >= ?", (seq,))
