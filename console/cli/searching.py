"""Options that search the journal: ``--since``, ``--actor``, ``--verb``, as the screens' filter."""

from __future__ import annotations

import argparse
from datetime import datetime

from console.domain.duration import parse_moment
from console.domain.filtering import Filter, Vocabulary, parse_filter
from console.errors import UsageError


def add_search(command: argparse.ArgumentParser) -> None:
    """Add the options that operations and the audit have in common."""
    command.add_argument("--since", metavar="1h", help="leave out what is older: 1h, 14:30 (UTC)")
    command.add_argument("--actor", metavar="NAME", help="only by whose name begins so")
    command.add_argument("--verb", metavar="VERB", help="only these: scale, restart, …")


def search_filter(args: argparse.Namespace, vocabulary: Vocabulary, **more: str | None) -> Filter:
    """
    Return the filter of the options.

    Raises:
        UsageError: For a word that the list does not have.
    """
    given = {"actor": args.actor, "verb": args.verb, **more}
    for name, word in given.items():
        if word is not None and (not word or len(word.split()) != 1):
            raise UsageError(f"--{name} {word!r} is no word", remedy=f"--{name} NAME")
    terms = [f"{name}:{word}" for name, word in given.items() if word is not None]
    return parse_filter(" ".join(terms), vocabulary)


def search_since(text: str | None, now: datetime) -> datetime | None:
    """Return the moment of ``--since``; raises UsageError if it is none."""
    if text is None:
        return None
    try:
        return parse_moment(text, now)
    except ValueError as error:
        raise UsageError(str(error), remedy="--since 1h") from error
