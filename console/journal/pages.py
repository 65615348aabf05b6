"""Looking through the whole journal, page by page, for what is wanted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

#: Records read at once.
PAGE = 200

_T = TypeVar("_T")
_K = TypeVar("_K", str, int)


@dataclass(frozen=True, slots=True)
class Page(Generic[_T]):
    """
    What was found.

    Args:
        found: Newest first.
        whole: Whether the journal was looked through to its beginning.
    """

    found: tuple[_T, ...]
    whole: bool


def find(
    read: Callable[[int, _K | None], list[_T]],
    key_of: Callable[[_T], _K],
    wanted: Callable[[_T], bool],
    limit: int,
    too_old: Callable[[_T], bool] = lambda _: False,
) -> Page[_T]:
    """
    Return the newest *limit* records that are *wanted*.

    Args:
        read: Gives at most so many records, newest first, that are older than a key.
        key_of: Gives a record's key.
        wanted: Whether one is.
        limit: How many; positive.
        too_old: Whether neither this nor any older one can be wanted.
    """
    found: list[_T] = []
    before: _K | None = None
    while True:
        records = read(PAGE, before)
        for record in records:
            if too_old(record):
                return Page(tuple(found), whole=True)
            if wanted(record):
                found.append(record)
                if len(found) == limit:
                    return Page(tuple(found), whole=False)
        if len(records) < PAGE:
            return Page(tuple(found), whole=True)
        before = key_of(records[-1])
