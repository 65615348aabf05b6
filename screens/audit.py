"""Audit: every change by anybody, write access and refusals, and whether the record is whole."""

from __future__ import annotations

from datetime import datetime

from rich.style import Style
from rich.text import Text
from textual.app import ComposeResult

from console.domain.audit import AuditVerdict
from console.domain.plans import Json
from console.domain.recorded import (
    AUDIT_WORDS,
    entry_actor,
    entry_facts,
    entry_kind,
    entry_time,
)
from screens.actions import Action, bindings_on
from screens.follow import FollowScreen
from screens.look import Look
from screens.messages import AuditListed
from screens.record_feeds import AuditFeed
from screens.record_list import RecordList
from screens.rendering import UNKNOWN, clean, clock_time, fill, fold, put, styled
from screens.widgets.lines import Lines

#: Lines that the selected entry is told in, below the list.
_DETAIL_LINES = 7
_GOOD = frozenset({"done", "accepted", "granted"})
_BAD = frozenset({"frozen", "interrupted", "failed"})
_TURNED = frozenset({"refused", "reverted", "undone", "cancelled"})

Entry = dict[str, Json]


class AuditScreen(RecordList[Entry]):
    """The entries of the audit, newest first; the selected one in whole below them."""

    NAME = "audit"
    TITLE = "Audit"
    BINDINGS = bindings_on("audit")
    VOCABULARY = AUDIT_WORDS

    def __init__(self) -> None:
        super().__init__()
        self._verdict: AuditVerdict | None = None

    def body(self) -> ComposeResult:
        """Put the verdict above the list, the selected entry below it."""
        yield Lines(id="status")
        yield from super().body()
        yield Lines(id="detail")

    def feed(self) -> AuditFeed:
        """Return what reads the entries."""
        return AuditFeed(self, self.engine)

    def on_audit_listed(self, message: AuditListed) -> None:
        """Draw the entries and the verdict."""
        self._verdict = message.verdict
        self.listed(message.entries, whole=message.whole)

    def key_of(self, record: Entry) -> object:
        """Return its number."""
        return record["seq"]

    def matches(self, record: Entry) -> bool:
        """Whether the filter keeps it."""
        return self.filter.matches(entry_facts(record, self.now))

    def refuses(self, wanted: Action) -> str | None:
        """Say what an entry is not of."""
        if wanted.id == "show_operation":
            entry = self.in_view()
            if entry is None or not entry.get("operation_id"):
                return "this entry is of no operation"
        return None

    def draw(self) -> None:
        """Draw verdict, list and the selected entry."""
        super().draw()
        look, width = self.look, self.app.size.width
        verdict = verdict_line(self._verdict, look)
        verdict.truncate(width, overflow="ellipsis")
        self.query_one("#status", Lines).show([verdict])
        entry = self.in_view() if self.records else None
        detail = detail_lines(entry, look, width) if entry is not None else []
        self.query_one("#detail", Lines).show(detail[:_DETAIL_LINES])

    def heading(self) -> Text:
        """Return the columns."""
        look = self.look
        line = put(styled("  "), "entry", 6, look.dim, right=True)
        put(line.append("  "), "when", 7, look.dim)
        put(line, "outcome", 13, look.dim)
        return line.append("what · who · why", look.dim)

    def row(self, record: Entry, width: int, *, here: bool) -> Text:
        """Return its line."""
        return entry_line(record, self.look, self.now, width, here=here)

    def nothing(self) -> list[Text]:
        """Say that there is nothing yet."""
        return [Text(), styled(" Nothing was changed yet", self.look.strong)]

    def do_show_operation(self) -> None:
        """Open the operation that the entry is of."""
        entry = self.in_view()
        if entry is not None and entry.get("operation_id"):
            self.console_app.show_above(FollowScreen(str(entry["operation_id"])))

    def do_verify_audit(self) -> None:
        """Recompute the chain now."""
        if isinstance(self._feed, AuditFeed):
            self._verdict = None
            self._feed.verify_again()

    def do_audit(self) -> None:
        """Go back to the operations."""
        self.console_app.do_back()


def verdict_line(verdict: AuditVerdict | None, look: Look) -> Text:
    """Return whether the record is whole, in words."""
    if verdict is None:
        return styled(" ? the chain is being recomputed…", look.dim)
    if verdict.valid:
        entries = "1 entry" if verdict.entries == 1 else f"{verdict.entries:,} entries"
        return styled(f" ✓ valid: {entries}, each follows the one before", look.good)
    words = f" ✗ NOT VALID from entry {verdict.first_bad}: {clean(verdict.reason, 200)}"
    return styled(words, look.bad)


def entry_line(entry: Entry, look: Look, now: datetime, width: int, *, here: bool) -> Text:
    """Return one entry as a line of the list."""
    outcome = clean(str(entry.get("outcome", UNKNOWN)), 40)
    glyph, style = _outcome_sign(outcome, look)
    at = entry_time(entry)
    line = styled("› " if here else "  ", look.accent)
    put(line, str(entry.get("seq", UNKNOWN)), 6, look.dim, right=True).append("  ")
    put(line, clock_time(at, now) if at is not None else UNKNOWN, 7, look.dim)
    put(line, f"{glyph} {outcome}", 13, style)
    access = entry_kind(entry) == "access"
    line.append(clean(str(entry.get("what", "")), 200), look.warn if access else look.text)
    line.append(f" · {clean(entry_actor(entry), 60)}", look.dim)
    if entry.get("reason"):
        line.append(f" · {clean(str(entry['reason']), 200)}", look.dim)
    line.truncate(width, overflow="ellipsis")
    return fill(line, width, look.selected) if here else line


def _outcome_sign(outcome: str, look: Look) -> tuple[str, Style]:
    if outcome in _GOOD:
        return "✓", look.good
    if outcome in _BAD:
        return "▲", look.bad
    return ("↶", look.warn) if outcome in _TURNED else ("○", look.dim)


def detail_lines(entry: Entry, look: Look, width: int) -> list[Text]:
    """Return everything an entry says."""
    at, actor = entry_time(entry), entry.get("actor")
    uid = actor.get("uid") if isinstance(actor, dict) else None
    when = f"{at:%Y-%m-%d %H:%M:%S} UTC" if at is not None else "at an unknown time"
    who = f"{entry_actor(entry)}" + (f", uid {uid}" if uid is not None else "")
    rows = [("entry", f"{entry.get('seq', UNKNOWN)} · {entry_kind(entry)} · {when}"), ("who", who)]
    rows.append(("what", f"{entry.get('what', '')}: {entry.get('outcome', UNKNOWN)}"))
    rows += [("why", str(entry["reason"]))] if entry.get("reason") else []
    details = entry.get("details")
    told = dict(details) if isinstance(details, dict) else {}
    if entry.get("operation_id"):
        told = {"operation": entry["operation_id"], **told}
    if told:
        rows.append(("more", ", ".join(f"{k} {v}" for k, v in told.items() if v not in ("", None))))
    rows.append(("hash", str(entry.get("hash", UNKNOWN))))
    lines = [styled(" " + "─" * max(0, width - 2), look.dim)]
    for name, words in rows:
        pieces = fold(clean(words, 1000), max(20, width - 9))[: 2 if name == "more" else 1]
        for place, piece in enumerate(pieces):
            line = put(styled(" "), name if place == 0 else "", 7, look.dim)
            lines.append(line.append(piece, look.dim if name == "hash" else look.text))
    return lines
