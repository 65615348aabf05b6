"""Feeds of the journal's records: the newest again and again, older ones on demand."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Hashable
from typing import TYPE_CHECKING, Generic, TypeVar

from textual.message import Message

from console.domain.audit import AuditVerdict
from console.domain.operations import Operation
from console.domain.plans import Json
from console.journal.pages import PAGE
from screens.feeds import LIST_INTERVAL_SECONDS, Feed, as_console_error, ended
from screens.messages import AuditListed, OperationsListed, RequestFailed

if TYPE_CHECKING:
    from console.engine import Engine
    from screens.feeds import Owner

#: Records at the head that are read again at each look.
HEAD = 50

_T = TypeVar("_T")
_K = TypeVar("_K", bound=Hashable)


class RecordsFeed(Feed, Generic[_T, _K]):
    """
    Records newest first, told when they changed.

    Older ones are settled: they are read once, a page whenever :meth:`more` was called.
    """

    def __init__(self, owner: Owner, group: str) -> None:
        super().__init__(owner, group)
        self._known: dict[_K, _T] = {}
        self._whole = False
        self._more = threading.Event()

    def more(self) -> None:
        """Ask for the next page of older ones."""
        self._more.set()

    def _run(self, stopped: threading.Event) -> None:
        told: object = None
        while not ended(stopped):
            try:
                self._look()
                listed = tuple(self._known[key] for key in sorted(self._known, key=_number)[::-1])
                told = self._tell(listed, told)
            except Exception as error:
                failed = as_console_error(error)
                if told != failed.lines():
                    told = failed.lines()
                    self._post(RequestFailed(failed))
            waited = 0.0
            while waited < LIST_INTERVAL_SECONDS and not self._more.is_set():
                if stopped.wait(0.05):
                    return
                waited += 0.05

    def _look(self) -> None:
        head = self.read(HEAD, None)
        if head and self._known and self.key_of(head[-1]) not in self._known and len(head) == HEAD:
            self._known.clear()  # so much has come that there may be a gap: begin anew
            self._whole = False
        self._known |= {self.key_of(record): record for record in head}
        self._whole = self._whole or len(head) < HEAD
        if self._more.is_set():
            self._more.clear()
            if not self._whole and self._known:
                oldest = min(self._known, key=_number)
                page = self.read(PAGE, oldest)
                self._known |= {self.key_of(record): record for record in page}
                self._whole = len(page) < PAGE

    def _tell(self, listed: tuple[_T, ...], told: object) -> object:
        if (listed, self._whole) != told:
            self._post(self.message(listed, whole=self._whole))
        return (listed, self._whole)

    # For the kinds of records ------------------------------------------------

    @abstractmethod
    def read(self, limit: int, before: _K | None) -> list[_T]:
        """Return at most so many, newest first, older than *before*."""

    @abstractmethod
    def key_of(self, record: _T) -> _K:
        """Return what tells a record from the others."""

    @abstractmethod
    def message(self, listed: tuple[_T, ...], *, whole: bool) -> Message:
        """Return what carries them to the screen."""


def _number(key: object) -> int:
    """Return the place of a record: operations are called ``op-7``, entries have a number."""
    return key if isinstance(key, int) else int(str(key).rpartition("-")[2])


class OperationsFeed(RecordsFeed[Operation, str]):
    """The list of operations."""

    def __init__(self, owner: Owner, engine: Engine) -> None:
        super().__init__(owner, "operations")
        self._engine = engine

    def read(self, limit: int, before: str | None) -> list[Operation]:
        """Return operations, newest first."""
        return self._engine.operations(limit, before)

    def key_of(self, record: Operation) -> str:
        """Return its id."""
        return record.id

    def message(self, listed: tuple[Operation, ...], *, whole: bool) -> Message:
        """Return what carries them to the screen."""
        return OperationsListed(listed, whole=whole)


class AuditFeed(RecordsFeed[dict[str, Json], int]):
    """The entries of the audit, and what the chain of their hashes says."""

    def __init__(self, owner: Owner, engine: Engine) -> None:
        super().__init__(owner, "audit")
        self._engine = engine
        self._verdict: AuditVerdict | None = None
        self._verified: int | None = None

    def verify_again(self) -> None:
        """Recompute the chain at the next look."""
        self._verified = None

    def read(self, limit: int, before: int | None) -> list[dict[str, Json]]:
        """Return entries, newest first."""
        entries = self._engine.audit(limit, before)
        newest = int(entries[0]["seq"]) if entries else 0
        if before is None and self._verified != newest:
            self._verdict = self._engine.verify_audit()
            self._verified = newest
        return entries

    def key_of(self, record: dict[str, Json]) -> int:
        """Return its number."""
        return int(record["seq"])

    def message(self, listed: tuple[dict[str, Json], ...], *, whole: bool) -> Message:
        """Return what carries them to the screen."""
        return AuditListed(listed, self._verdict, whole=whole)

    def _tell(self, listed: tuple[dict[str, Json], ...], told: object) -> object:
        if (listed, self._whole, self._verdict) != told:
            self._post(self.message(listed, whole=self._whole))
        return (listed, self._whole, self._verdict)
