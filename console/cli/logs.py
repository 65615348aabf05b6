"""``logs``: lines of any set of services, merged in time order, filtered and saved."""

from __future__ import annotations

import json
import os
import re
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import TextIO

from console.cli.main import Commands, Invocation, add_command
from console.domain.duration import parse_moment
from console.domain.logs import (
    LEVELS,
    Entry,
    LogFilter,
    LogLine,
    LogRequest,
    Records,
    Sieve,
    known_level,
    parse_pattern,
    saved_line,
    severity,
)
from console.domain.services import Topology
from console.engine import Engine
from console.errors import UsageError
from console.modes import open_private

#: With a filter, lines are looked for this far back in each replica.
SEARCH_DEPTH = 20_000
TAIL = 100
LONGEST_LINE = 20_000
#: Whole escape sequences: colours and titles, which mean nothing without their escape.
_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")


def register(commands: Commands) -> None:
    """Add ``logs``."""
    command = add_command(commands, "logs", "lines of services, merged in time order")
    command.add_argument("services", metavar="SERVICE", nargs="*", help="services or replicas")
    command.add_argument("-f", "--follow", action="store_true", help="go on as lines come")
    command.add_argument(
        "--tail",
        type=int,
        metavar="N",
        help=f"lines of each replica (default {TAIL}; with --since all, at most {SEARCH_DEPTH})",
    )
    command.add_argument("--since", metavar="1h", help="leave out what is older: 1h, 14:30 (UTC)")
    command.add_argument("--until", metavar="14:30", help="leave out what is younger")
    command.add_argument("--level", metavar="LEVEL", help=f"at least this: {', '.join(LEVELS)}")
    command.add_argument("--errors", action="store_true", help="the same as --level error")
    command.add_argument(
        "--grep",
        metavar="RE",
        help="only lines that this is found in; capitals matter only if it has one",
    )
    command.add_argument(
        "-C", "--context", type=int, default=0, metavar="N", help="lines around what is found"
    )
    command.add_argument("--save", metavar="FILE", help="write the lines into a new file too")
    command.set_defaults(run=run_logs)


def run_logs(call: Invocation) -> int:
    """Print the lines; what a filter left out is counted on standard error."""
    args = call.args
    wanted = build_filter(args.services, args.level, args.grep, args.context, errors=args.errors)
    if args.tail is not None and args.tail < 0:
        raise UsageError(f"--tail {args.tail} makes no sense", remedy=f"--tail {TAIL}")
    if args.until is not None and args.follow:
        raise UsageError("--until and --follow exclude each other", remedy="leave one out")
    engine = call.engine()
    since, until = _moment(engine, "--since", args.since), _moment(engine, "--until", args.until)
    check_names(args.services, engine.runtime.topology())
    tail = (TAIL if since is None else SEARCH_DEPTH) if args.tail is None else args.tail
    request = LogRequest(
        services=tuple(args.services),
        tail=max(tail, SEARCH_DEPTH) if wanted.filters else tail,
        since=since,
        follow=args.follow,
        until=until,
    )
    with ExitStack() as stack:
        save = stack.enter_context(open_new(Path(args.save))) if args.save else None
        selection = Selection(engine, request, wanted, tail)
        try:
            for entry in selection:
                print_line(entry.line, as_json=call.json, safe=sys.stdout.isatty())
                if save is not None:
                    save.write(saved_line(entry.line) + "\n")
        finally:
            sys.stdout.flush()
            if wanted.filters:
                print(
                    f"{selection.shown} lines shown, {selection.seen - selection.shown} left out",
                    file=sys.stderr,
                )
            if save is not None:
                print(f"saved {selection.shown} lines to {args.save}", file=sys.stderr)
    return 0


def _moment(engine: Engine, option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return parse_moment(text, engine.clock.now())
    except ValueError as error:
        raise UsageError(str(error), remedy=f"{option} 1h") from error


def build_filter(
    services: Sequence[str], level: str | None, grep: str | None, context: int, *, errors: bool
) -> LogFilter:
    """
    Return the filter of the options.

    Raises:
        UsageError: For an unknown level or a pattern that cannot be understood.
    """
    least = LEVELS[0]
    if level is not None:
        known = known_level(level)
        if known is None:
            raise UsageError(f"unknown level {level!r}", remedy=f"one of {', '.join(LEVELS)}")
        least = known
    if errors and severity(least) < severity("error"):
        least = "error"
    if context < 0:
        raise UsageError(f"--context {context} makes no sense", remedy="-C 2")
    try:
        pattern = parse_pattern(grep) if grep is not None else None
    except re.error as error:
        raise UsageError(
            f"--grep {grep!r} is no regular expression: {error}",
            remedy="put a backslash before ( [ . * + ? to mean the sign itself",
        ) from error
    return LogFilter(frozenset(services), least, pattern, context)


def check_names(names: list[str], topology: Topology) -> None:
    """Raise UsageError for a name that is neither a service nor a replica."""
    known = {s.name for s in topology.services}
    replicas = {r.name for s in topology.services for r in s.replicas}
    unknown = [name for name in names if name not in known | replicas]
    if unknown:
        raise UsageError(
            f"there is no service or replica {', '.join(map(repr, unknown))}",
            remedy=f"one of {', '.join(sorted(known)) or 'none: nothing is set up yet'}",
        )


class Selection:
    """
    The lines that are wanted, as they come.

    With a filter the search goes further back than *tail*; of what it finds there
    the last *tail* lines of each replica are shown, then all that follows.

    Args:
        engine: Gives the lines.
        request: Which.
        wanted: The filter.
        tail: Lines of each replica to begin with.
    """

    def __init__(self, engine: Engine, request: LogRequest, wanted: LogFilter, tail: int) -> None:
        self.shown = 0
        self.seen = 0
        self._lines = engine.logs(request)
        self._filters = wanted.filters
        self._tail = tail
        self._records = Records()
        self._sieve = Sieve(wanted)

    def __iter__(self) -> Iterator[Entry]:
        """Yield them, oldest first."""
        if self._filters:
            found: deque[Entry] = deque()
            counts: dict[str, int] = {}
            for line in self._lines:
                if line is None:
                    break  # what was there is read, now it follows
                for entry in self._sift(line):
                    found.append(entry)
                    counts[entry.line.replica] = counts.get(entry.line.replica, 0) + 1
            for entry in found:
                counts[entry.line.replica] -= 1
                if counts[entry.line.replica] < self._tail:
                    self.shown += 1
                    yield entry
        for line in self._lines:
            if line is None:
                sys.stdout.flush()
                continue
            for entry in self._sift(line):
                self.shown += 1
                yield entry

    def _sift(self, line: LogLine) -> Sequence[Entry]:
        self.seen += 1
        return self._sieve.sift(self._records.entry(line))


def print_line(line: LogLine, *, as_json: bool, safe: bool) -> None:
    """Print one line; on a terminal nothing in it may move the cursor or recolour."""
    if as_json:
        at = line.at.isoformat() if line.at is not None else None
        print(
            json.dumps(
                {
                    "at": at,
                    "service": line.service,
                    "replica": line.replica,
                    "level": line.level,
                    "text": line.text,
                },
                ensure_ascii=safe,
            )
        )
        return
    text = saved_line(line)
    print(without_controls(text) if safe else text)


def without_controls(text: str) -> str:
    """Return *text* with its blanks but nothing in it that a terminal would obey."""
    plain = _SEQUENCE.sub("", text[:LONGEST_LINE]).expandtabs(4)
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in plain)


def open_new(path: Path) -> TextIO:
    """
    Open a new file that only its owner reads: logs may say more than they should.

    Raises:
        UsageError: If it exists already or cannot be made.
    """
    try:
        descriptor = open_private(path)
    except FileExistsError as error:
        raise UsageError(
            f"{path} exists", unchanged="it was not touched", remedy="choose another name"
        ) from error
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
    return os.fdopen(descriptor, "w", encoding="utf-8")
