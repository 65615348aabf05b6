"""``logs``: lines of any set of services, merged in time order, filtered and saved."""

from __future__ import annotations

import json
import os
import re
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from console.cli.main import Commands, Invocation, add_command
from console.domain.duration import parse_duration
from console.domain.services import Topology
from console.engine import Engine
from console.errors import UsageError
from console.ports import LogLine, LogRequest

#: Least severe first; what has no known level counts as ``info``.
LEVELS = ("debug", "info", "warning", "error", "critical")
OTHER_NAMES = {"warn": "warning", "err": "error", "fatal": "critical", "trace": "debug"}
#: With a filter, lines are looked for this far back in each replica.
SEARCH_DEPTH = 20_000
LONGEST_LINE = 20_000
#: Whole escape sequences: colours and titles, which mean nothing without their escape.
_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")


@dataclass
class Filter:
    """
    What of the lines is wanted; counts what it left out.

    Args:
        least: Index into :data:`LEVELS`; 0 lets everything through.
        pattern: Searched in the text; None for any.
    """

    least: int = 0
    pattern: re.Pattern[str] | None = None
    left_out: int = 0

    @property
    def filters(self) -> bool:
        """Whether anything can be left out."""
        return self.least > 0 or self.pattern is not None

    def wants(self, line: LogLine) -> bool:
        """Whether to show *line*."""
        wanted = severity(line.level) >= self.least and (
            self.pattern is None or self.pattern.search(line.text) is not None
        )
        self.left_out += not wanted
        return wanted


def register(commands: Commands) -> None:
    """Add ``logs``."""
    command = add_command(commands, "logs", "lines of services, merged in time order")
    command.add_argument("services", metavar="SERVICE", nargs="*", help="services or replicas")
    command.add_argument("-f", "--follow", action="store_true", help="go on as lines come")
    command.add_argument(
        "--tail", type=int, default=100, metavar="N", help="lines of each replica (default 100)"
    )
    command.add_argument("--since", metavar="1h", help="leave out what is older")
    command.add_argument("--level", metavar="LEVEL", help=f"at least this: {', '.join(LEVELS)}")
    command.add_argument("--errors", action="store_true", help="the same as --level error")
    command.add_argument("--grep", metavar="RE", help="only lines that this is found in")
    command.add_argument("--save", metavar="FILE", help="write the lines into a new file too")
    command.set_defaults(run=run_logs)


def run_logs(call: Invocation) -> int:
    """Print the lines; what a filter left out is counted on standard error."""
    args = call.args
    wanted = build_filter(args.level, args.grep, errors=args.errors)
    if args.tail < 0:
        raise UsageError(f"--tail {args.tail} makes no sense", remedy="--tail 100")
    engine = call.engine()
    since = None
    if args.since is not None:
        try:
            since = engine.clock.now() - parse_duration(args.since)
        except ValueError as error:
            raise UsageError(str(error), remedy="--since 1h") from error
    check_names(args.services, engine.runtime.topology())
    request = LogRequest(
        services=tuple(args.services),
        tail=max(args.tail, SEARCH_DEPTH) if wanted.filters else args.tail,
        since=since,
        follow=args.follow,
    )
    shown = 0
    with ExitStack() as stack:
        save = stack.enter_context(open_new(Path(args.save))) if args.save else None
        try:
            for line in select(engine, request, wanted, args.tail):
                print_line(line, as_json=call.json, safe=sys.stdout.isatty())
                if save is not None:
                    save.write(text_of(line) + "\n")
                shown += 1
        finally:
            sys.stdout.flush()
            if wanted.filters:
                print(f"{shown} lines shown, {wanted.left_out} left out", file=sys.stderr)
            if save is not None:
                print(f"saved {shown} lines to {args.save}", file=sys.stderr)
    return 0


def build_filter(level: str | None, grep: str | None, *, errors: bool) -> Filter:
    """
    Return the filter of the options.

    Raises:
        UsageError: For an unknown level or a pattern that cannot be understood.
    """
    least = 0
    if level is not None:
        name = OTHER_NAMES.get(level.lower(), level.lower())
        if name not in LEVELS:
            raise UsageError(f"unknown level {level!r}", remedy=f"one of {', '.join(LEVELS)}")
        least = LEVELS.index(name)
    if errors:
        least = max(least, LEVELS.index("error"))
    try:
        pattern = re.compile(grep) if grep is not None else None
    except re.error as error:
        raise UsageError(
            f"--grep {grep!r} is no regular expression: {error}",
            remedy="put a backslash before ( [ . * + ? to mean the sign itself",
        ) from error
    return Filter(least, pattern)


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


def select(engine: Engine, request: LogRequest, wanted: Filter, tail: int) -> Iterator[LogLine]:
    """
    Yield the wanted lines.

    With a filter the search goes further back than *tail*; of what it finds there
    the last *tail* lines of each replica are shown, then all that follows.
    """
    lines = engine.logs(request)
    if wanted.filters:
        found: deque[LogLine] = deque()
        counts: dict[str, int] = {}
        for line in lines:
            if line is None:
                break  # what was there is read, now it follows
            if wanted.wants(line):
                found.append(line)
                counts[line.replica] = counts.get(line.replica, 0) + 1
        for line in found:
            counts[line.replica] -= 1
            if counts[line.replica] < tail:
                yield line
            else:
                wanted.left_out += 1
    for line in lines:
        if line is None:
            sys.stdout.flush()
        elif wanted.wants(line):
            yield line


def severity(level: str) -> int:
    """Return the index of a level; what is not known counts as ``info``."""
    name = level.lower()
    name = OTHER_NAMES.get(name, name)
    return LEVELS.index(name) if name in LEVELS else LEVELS.index("info")


def text_of(line: LogLine) -> str:
    """Return a line as written to a file or a pipe: time, replica, level, text."""
    at = f"{line.at:%Y-%m-%dT%H:%M:%S}.{line.at.microsecond // 1000:03}Z" if line.at else "-"
    return f"{at} {line.replica} {line.level or '-'} {line.text}"


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
    text = text_of(line)
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
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise UsageError(
            f"{path} exists", unchanged="it was not touched", remedy="choose another name"
        ) from error
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
    return os.fdopen(descriptor, "w", encoding="utf-8")
