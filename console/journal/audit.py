"""
The audit file: an outbox of the journal, one JSON line for every change.

An entry is made in the transaction of the outcome it tells of; what is committed
is then appended here and fsynced.  Whoever dies in between leaves it to the next
writer, which appends what is missing and nothing twice.
"""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path

from console.domain.audit import GENESIS, AuditVerdict, seal, to_line, verify_chain
from console.domain.plans import Json
from console.modes import open_file


class AuditLog:
    """``STATE/audit.jsonl`` with its head in the journal."""

    def __init__(self, state: Path) -> None:
        self.path = state / "audit.jsonl"

    def add(self, connection: sqlite3.Connection, content: dict[str, Json]) -> None:
        """Chain *content* behind the last entry, inside the caller's transaction."""
        last = connection.execute("select line from audit order by seq desc limit 1").fetchone()
        if last is None:
            seq, previous = self._adopt(connection)
        else:
            entry = json.loads(last["line"])
            seq, previous = entry["seq"], entry["hash"]
        connection.execute(
            "insert into audit (seq, line) values (?, ?)",
            (seq + 1, to_line(seal(content, seq + 1, previous))),
        )

    def flush(self, connection: sqlite3.Connection) -> None:
        """
        Append what is not written yet, inside a write transaction of its own.

        Raises:
            OSError: When the file cannot be written; nothing is marked then.
        """
        waiting = connection.execute(
            "select seq, line from audit where written = 0 order by seq"
        ).fetchall()
        if not waiting:
            return
        descriptor = open_file(self.path, os.O_RDWR)
        try:
            last_seq = _mend_tail(descriptor, [row["line"] for row in waiting])
            os.lseek(descriptor, 0, os.SEEK_END)
            for row in waiting:
                if row["seq"] > last_seq:
                    _write_all(descriptor, row["line"].encode() + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        connection.execute("update audit set written = 1 where seq <= ?", (waiting[-1]["seq"],))

    def verify(self, connection: sqlite3.Connection) -> AuditVerdict:
        """
        Recompute the chain of the file against the head in the journal.

        Raises:
            OSError: When the file exists and cannot be read.
        """
        head = connection.execute(
            "select seq, line from audit where written = 1 order by seq desc limit 1"
        ).fetchone()
        try:
            text = self.path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            text = ""
        lines = text.split("\n")
        if lines[-1] == "":
            lines.pop()
        if head is None:
            head_seq, head_hash = self._adopted(connection, len(lines))
        else:
            head_seq, head_hash = head["seq"], json.loads(head["line"])["hash"]
        return verify_chain(lines, head_seq, head_hash)

    def _adopt(self, connection: sqlite3.Connection) -> tuple[int, str]:
        """Go on behind an audit that is older than this journal (which was replaced)."""
        last = _last_entry(self.path)
        seq, previous = (0, GENESIS) if last is None else (int(last["seq"]), str(last["hash"]))
        connection.execute(
            "insert or replace into meta values ('adopted', ?)", (json.dumps([seq, previous]),)
        )
        return seq, previous

    def _adopted(self, connection: sqlite3.Connection, lines: int) -> tuple[int, str]:
        row = connection.execute("select value from meta where key = 'adopted'").fetchone()
        if row is not None:
            seq, previous = json.loads(row["value"])
            return int(seq), str(previous)
        last = _last_entry(self.path)
        return (0, GENESIS) if last is None else (lines, str(last["hash"]))


def _last_entry(path: Path) -> dict[str, Json] | None:
    """Return the last whole entry of the file, None when there is none."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return None
    for line in reversed(lines):
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and {"seq", "hash"} <= entry.keys():
            return entry
    return None


def _mend_tail(descriptor: int, waiting: list[str]) -> int:
    """
    Remove the torn start of one of our own lines; return the last whole entry's number.

    A torn line that is none of ours is evidence: it is closed and left there.
    """
    size = os.lseek(descriptor, 0, os.SEEK_END)
    start = max(0, size - 1024 * 1024)
    tail = os.pread(descriptor, size - start, start)
    whole, _, torn = tail.rpartition(b"\n")
    if torn:
        if any(line.encode().startswith(torn) for line in waiting):
            os.ftruncate(descriptor, size - len(torn))
        else:
            os.lseek(descriptor, 0, os.SEEK_END)
            _write_all(descriptor, b"\n")
            whole = tail
    for line in reversed(whole.splitlines()):
        try:
            return int(json.loads(line)["seq"])
        except (ValueError, KeyError, TypeError):
            continue
    return 0


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
