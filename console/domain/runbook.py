"""
RUNBOOK.md as sections that can be found by name.

Its Markdown is simple and ours, but another project's is not: everything is text, and
what is not understood is kept as it is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

_HEADING = re.compile(r"(#{1,6})\s+(.*?)\s*#*$")
_ANCHOR = re.compile(r'<a id="([^"]{1,200})">\s*</a>')
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
#: A section longer than this is cut; nobody reads on at three in the morning.
MOST_LINES = 400


class LineKind(StrEnum):
    """How a line of a section is to be read."""

    TEXT = "text"
    HEADING = "heading"
    COMMAND = "command"
    TABLE = "table"
    BLANK = "blank"


@dataclass(frozen=True, slots=True)
class RunbookLine:
    """One line: running text is a whole paragraph, to be wrapped by who draws it."""

    kind: LineKind
    text: str


@dataclass(frozen=True, slots=True)
class Section:
    """
    One procedure.

    Args:
        title: Its heading.
        anchors: The names it is linked by.
        lines: What it says, subsections included.
    """

    title: str
    anchors: tuple[str, ...]
    lines: tuple[RunbookLine, ...]


@dataclass(frozen=True, slots=True)
class Runbook:
    """All procedures, in the order of the file."""

    sections: tuple[Section, ...]

    def section(self, anchor: str) -> Section | None:
        """Return the section that *anchor* names, whatever its case; None if none does."""
        wanted = anchor.lower()
        return next((s for s in self.sections if wanted in s.anchors), None)


def parse_runbook(text: str) -> Runbook:
    """Return the sections of a RUNBOOK.md; headings of the second level begin one."""
    begun: list[tuple[str, list[str]]] = []
    fenced = False
    for line in text.splitlines():
        fenced = fenced is not line.lstrip().startswith("```")
        heading = None if fenced else _HEADING.match(line)
        if heading is not None and len(heading.group(1)) <= 2:
            begun.append((_plain(heading.group(2)), []))
        elif begun:
            begun[-1][1].append(line)
    return Runbook(tuple(_section(title, lines) for title, lines in begun))


def _section(title: str, lines: list[str]) -> Section:
    anchors = tuple(name.lower() for line in lines for name in _ANCHOR.findall(line))
    found = list(_lines([_ANCHOR.sub("", line) for line in lines]))
    while found and found[0].kind is LineKind.BLANK:
        del found[0]
    while found and found[-1].kind is LineKind.BLANK:
        del found[-1]
    return Section(title, anchors, tuple(found[:MOST_LINES]))


def _lines(lines: list[str]) -> Iterator[RunbookLine]:
    paragraph: list[str] = []
    fenced = False
    for line in lines:
        stripped = line.strip()
        heading = _HEADING.match(stripped)
        fence = stripped.startswith("```")
        alone = fenced or fence or not stripped or heading is not None or stripped[0] in "|-*"
        if alone and paragraph:
            yield RunbookLine(LineKind.TEXT, _plain(" ".join(paragraph)))
            paragraph = []
        if fence:
            fenced = not fenced
        elif fenced:
            yield RunbookLine(LineKind.COMMAND, line.rstrip())
        elif not stripped:
            yield RunbookLine(LineKind.BLANK, "")
        elif heading is not None:
            yield RunbookLine(LineKind.HEADING, _plain(heading.group(2)))
        elif stripped.startswith("|"):
            if not re.fullmatch(r"[|\s:-]+", stripped):
                yield RunbookLine(LineKind.TABLE, _plain(stripped.strip("|")))
        else:
            paragraph.append(stripped)
    if paragraph:
        yield RunbookLine(LineKind.TEXT, _plain(" ".join(paragraph)))


def _plain(text: str) -> str:
    """Take the marks of links, code and emphasis out of a line."""
    text = _LINK.sub(r"\1", text)
    text = text.replace("`", "")
    return re.sub(r"(?<![\w*])\*{1,2}([^*]+)\*{1,2}(?![\w*])", r"\1", text).strip()
