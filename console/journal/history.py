"""
Figures over time and what was seen to happen, bounded on disk.

One row of JSON every five seconds for a day: about 17,000 rows.  Written by the
agent alone; read by every console, each with a connection of its own.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from console.domain.figures import figures_of
from console.domain.happenings import Happening, Kind
from console.domain.snapshot import Snapshot
from console.errors import Unreachable
from console.modes import open_file
from console.ports import Clock

#: Distance of two rows.
EVERY_SECONDS = 5.0
KEPT_SECONDS = 24 * 3600.0
#: Two rows further apart than this have a gap between them.
GAP_SECONDS = 3 * EVERY_SECONDS
PRUNE_EVERY_ROWS = 60
BUSY_SECONDS = 2.0

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS figures (at REAL PRIMARY KEY, named TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS happenings (at REAL NOT NULL, kind TEXT NOT NULL,"
    " subject TEXT NOT NULL, words TEXT NOT NULL, grave INTEGER NOT NULL)",
    "CREATE INDEX IF NOT EXISTS happenings_at ON happenings (at)",
)
#: Something that crashes without end must not fill the disk within the day.
MOST_HAPPENINGS = 20_000
#: Kept of the words of one.
LONGEST_WORDS = 500


class HistoryStore:
    """
    ``STATE/history.db``.

    Args:
        state: State directory.
        clock: Its present is what ``series`` counts back from.
        kept_seconds: Rows older than this are deleted.
    """

    def __init__(self, state: Path, clock: Clock, kept_seconds: float = KEPT_SECONDS) -> None:
        self.path = state / "history.db"
        self._clock = clock
        self._kept_seconds = kept_seconds
        self._writer: sqlite3.Connection | None = None
        self._rows = 0
        self._lock = threading.Lock()

    def append(self, snapshot: Snapshot) -> None:
        """
        Keep the figures of one snapshot; what is too old goes now and then.

        A damaged file is put aside and a new one begun: history is worth less
        than watching.

        Raises:
            Unreachable: If nothing can be written.
        """
        import msgspec

        row = (snapshot.taken_at.timestamp(), msgspec.json.encode(figures_of(snapshot)).decode())
        self._write(lambda writer: self._insert(writer, row))

    def note(self, happened: Sequence[Happening]) -> None:
        """
        Keep what was seen to happen, as long as the figures.

        Raises:
            Unreachable: If nothing can be written.
        """
        rows = [
            (one.at.timestamp(), one.kind.value, one.subject, one.words[:LONGEST_WORDS], one.grave)
            for one in happened
        ]
        if rows:
            self._write(lambda writer: self._insert_happenings(writer, rows))

    def _write(self, how: Callable[[sqlite3.Connection], None]) -> None:
        with self._lock:
            try:
                how(self._open_writer())
            except (sqlite3.OperationalError, OSError) as error:
                self._close()
                raise Unreachable(f"history cannot be written: {error}") from error
            except sqlite3.DatabaseError as error:
                self._close()
                self._put_aside()
                raise Unreachable(f"history was damaged and begins anew: {error}") from error

    def series(self, name: str, seconds: float) -> list[tuple[datetime, float | None]]:
        """
        Return one figure over the last *seconds*, oldest first.

        Args:
            name: As in :mod:`console.domain.figures`.
            seconds: How far back; positive.

        Returns:
            (UTC, value); None where the figure was unknown, and once inside each
            gap where nobody collected.  Empty when there is no history.
        """
        if not self.path.exists() or seconds <= 0:
            return []
        since = self._clock.now().timestamp() - seconds
        try:
            with contextlib.closing(self._open_reader()) as connection:
                rows = connection.execute(
                    "SELECT at, json_extract(named, ?) FROM figures WHERE at >= ? ORDER BY at",
                    (_path(name), since),
                ).fetchall()
        except sqlite3.Error:
            return []
        return list(_with_gaps(rows))

    def means(
        self, names: Collection[str], seconds: float, count: int, until: datetime | None = None
    ) -> dict[str, tuple[float | None, ...]]:
        """
        Return the last *seconds* of some figures, as *count* means each.

        The spans lie at whole multiples of their length, and the present one is left
        out: so what is drawn from them changes only when a span is complete.

        Args:
            names: As in :mod:`console.domain.figures`.
            seconds: How far back; positive.
            count: How many means; positive.
            until: Where they end; None for the present.

        Returns:
            The means by name, the oldest first; None where nothing is known.  Empty when
            there is no history.
        """
        if not self.path.exists() or seconds <= 0 or count <= 0:
            return {}
        import msgspec

        span = seconds / count
        end = (until or self._clock.now()).timestamp() // span * span
        totals = {name: [0.0] * count for name in names}
        known = {name: [0] * count for name in names}
        decode = msgspec.json.Decoder(dict[str, float | None]).decode
        try:
            with contextlib.closing(self._open_reader()) as connection:
                for at, named in connection.execute(
                    "SELECT at, named FROM figures WHERE at >= ? AND at < ?", (end - seconds, end)
                ):
                    place = min(count - 1, int((at - (end - seconds)) / span))
                    row = decode(named)
                    for name in names:
                        if (value := row.get(name)) is not None:
                            totals[name][place] += value
                            known[name][place] += 1
        except (sqlite3.Error, msgspec.MsgspecError):
            return {}
        return {
            name: tuple(
                total / seen if seen else None
                for total, seen in zip(totals[name], known[name], strict=True)
            )
            for name in names
        }

    def happened(self, seconds: float, until: datetime | None = None) -> list[Happening]:
        """Return what was seen to happen in the *seconds* before *until*, oldest first."""
        if not self.path.exists():
            return []
        end = (until or datetime.max.replace(tzinfo=UTC)).timestamp()
        since = (until or self._clock.now()).timestamp() - seconds
        try:
            with contextlib.closing(self._open_reader()) as connection:
                rows = connection.execute(
                    "SELECT at, kind, subject, words, grave FROM happenings"
                    " WHERE at >= ? AND at <= ? ORDER BY at, rowid",
                    (since, end),
                ).fetchall()
        except sqlite3.Error:
            return []  # one written before there were any has no table of them
        kinds = {kind.value for kind in Kind}
        return [
            Happening(datetime.fromtimestamp(at, UTC), Kind(kind), subject, words, bool(grave))
            for at, kind, subject, words, grave in rows
            if kind in kinds
        ]

    def close(self) -> None:
        """Close the writing connection; idempotent."""
        with self._lock:
            self._close()

    def _open_writer(self) -> sqlite3.Connection:
        if self._writer is None:
            # Made by us: SQLite gives its side files the mode of the database.
            os.close(open_file(self.path, os.O_RDWR))
            self._writer = sqlite3.connect(
                self.path, timeout=BUSY_SECONDS, check_same_thread=False, isolation_level=None
            )
            self._writer.execute("PRAGMA journal_mode=WAL")
            # A lost second of history after a power cut harms nobody.
            self._writer.execute("PRAGMA synchronous=NORMAL")
            self._writer.execute("PRAGMA journal_size_limit=4194304")
            for table in SCHEMA:
                self._writer.execute(table)
        return self._writer

    def _insert(self, writer: sqlite3.Connection, row: tuple[float, str]) -> None:
        writer.execute("INSERT OR REPLACE INTO figures VALUES (?, ?)", row)
        if self._rows % PRUNE_EVERY_ROWS == 0:
            edge = (row[0] - self._kept_seconds,)
            writer.execute("DELETE FROM figures WHERE at < ?", edge)
            writer.execute("DELETE FROM happenings WHERE at < ?", edge)
            writer.execute(
                "DELETE FROM happenings WHERE rowid <= "
                "(SELECT rowid FROM happenings ORDER BY rowid DESC LIMIT 1 OFFSET ?)",
                (MOST_HAPPENINGS,),
            )
        self._rows += 1

    def _insert_happenings(
        self, writer: sqlite3.Connection, rows: Sequence[tuple[object, ...]]
    ) -> None:
        writer.executemany("INSERT INTO happenings VALUES (?, ?, ?, ?, ?)", rows)

    def _open_reader(self) -> sqlite3.Connection:
        return sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS)

    def _close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            with contextlib.suppress(sqlite3.Error):
                writer.close()

    def _put_aside(self) -> None:
        with contextlib.suppress(OSError):
            self.path.replace(self.path.with_name(self.path.name + ".damaged"))
        for suffix in ("-wal", "-shm"):
            with contextlib.suppress(OSError):
                self.path.with_name(self.path.name + suffix).unlink()


def _path(name: str) -> str:
    return '$."' + name.replace('"', "") + '"'


def _with_gaps(
    rows: Iterable[tuple[float, float | None]],
) -> Iterator[tuple[datetime, float | None]]:
    before: float | None = None
    for at, value in rows:
        if before is not None and at - before > GAP_SECONDS:
            yield datetime.fromtimestamp((before + at) / 2, UTC), None
        yield datetime.fromtimestamp(at, UTC), value
        before = at
