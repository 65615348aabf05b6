"""The Alerts screen as lines, pure: what fires, what is over, what is watched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.text import Text

from console.domain.alerting import RULES, Rule
from console.domain.alerts import (
    PROMETHEUS,
    Alert,
    AlertState,
    Silence,
    not_reached,
    silence_of,
)
from console.domain.policy import Policy
from console.domain.runbook import LineKind, Section
from console.domain.snapshot import Snapshot
from screens.look import Look
from screens.rendering import (
    alert_sign,
    clean,
    clock_time,
    cut,
    duration,
    fill,
    heading,
    put,
    since,
    styled,
    wrap,
)

#: Cells of an alert's name.
_NAME_CELLS = 32


@dataclass(frozen=True, slots=True)
class Entry:
    """
    One alert that can be selected: there now, over, or only watched for.

    Args:
        name: Of the alert.
        subject: Tells alerts of one name apart; "" where there is one.
        part: ``there``, ``over`` or ``watched``.
        runbook: Anchor of its procedure.
        lines: As drawn, without the selection.
    """

    name: str
    subject: str
    part: str
    runbook: str
    lines: tuple[Text, ...]

    @property
    def key(self) -> tuple[str, str, str]:
        """What the selection remembers."""
        return self.part, self.name, self.subject


def alert_entries(snapshot: Snapshot, policy: Policy, look: Look, now: datetime) -> list[Entry]:
    """Return every alert there is to show, the most urgent first."""
    present = sorted(
        snapshot.alerts, key=lambda a: silence_of(a, snapshot.silences, now) is not None
    )
    names = {alert.name for alert in present}
    return [
        *(_present(alert, snapshot, look, now) for alert in present),
        *(_over(alert, look, now) for alert in snapshot.ended_alerts),
        *(_watched(rule, snapshot, policy, look, now) for rule in RULES if rule.name not in names),
    ]


def alerts_page(
    snapshot: Snapshot,
    entries: Sequence[Entry],
    selected: tuple[str, str, str] | None,
    look: Look,
    now: datetime,
    width: int,
    *,
    stale: bool = False,
) -> tuple[list[Text], dict[tuple[str, str, str], tuple[int, int]]]:
    """
    Return the screen's lines, and where each entry stands among them.

    Returns:
        The lines, and by entry its first and last line.
    """
    lines = [
        _verdict(snapshot, look, now, stale=stale),
        *_unjudged(snapshot, look, width),
        *_receivers(snapshot, look, width),
    ]
    places: dict[tuple[str, str, str], tuple[int, int]] = {}
    titles = {"there": "", "over": "Over in the last hour", "watched": "Watched"}
    part = "there"
    for entry in entries:
        if entry.part != part:
            part = entry.part
            lines += [Text(), heading(titles[part], look)]
        places[entry.key] = (len(lines), len(lines) + len(entry.lines) - 1)
        for place, line in enumerate(entry.lines):
            here = entry.key == selected
            drawn = styled("› " if here and not place else "  ", look.accent).append_text(line)
            drawn.truncate(width, overflow="ellipsis")
            lines.append(fill(drawn, width, look.selected) if here else drawn)
    others = [s for s in snapshot.silences if not s.alert]
    if others:
        lines += [Text(), heading("Other silences of the Alertmanager", look)]
        lines += [_silence(s, f"  {clean(s.matches, 60)} ", look, now, width) for s in others]
    return lines, places


def _verdict(snapshot: Snapshot, look: Look, now: datetime, *, stale: bool) -> Text:
    firing = sum(alert.state is AlertState.FIRING for alert in snapshot.alerts)
    pending = len(snapshot.alerts) - firing
    if firing or pending:
        told = [f"{firing} firing"] * bool(firing) + [f"{pending} pending"] * bool(pending)
        words = f" ▲ {', '.join(told)}" if firing else f" ◐ Nothing fires; {pending} pending"
        return styled(words, look.bad if firing else look.text).append(
            "   enter: its procedure   s: silence", look.dim
        )
    if stale:
        words = f" ? No alert when last seen, {since(snapshot.taken_at, now)} ago"
        return styled(words, look.warn)
    if any(source.troubled for source in snapshot.sources):
        return styled(" ? No alert, as far as can be told", look.warn)
    return styled(" ✓ No alert", look.good)


def _unjudged(snapshot: Snapshot, look: Look, width: int) -> list[Text]:
    """Return what cannot be judged now: no alert of it is no good news."""
    lines = []
    for source in snapshot.sources:
        if source.troubled:
            words = f" ? not judged while {clean(source.name, 40)} is {source.state.value}"
            line = styled(words, look.warn)
            line.append(f": {clean(source.error, 200)}" if source.error else "", look.text)
            line.truncate(width, overflow="ellipsis")
            lines.append(line)
    return lines


def _receivers(snapshot: Snapshot, look: Look, width: int) -> list[Text]:
    """Return whom alerts are sent to, and who of them is not reached; nothing where unknown."""
    if snapshot.receivers is None:
        return []
    if not snapshot.receivers:
        words = " ▲ Nobody is sent an alert: no receiver is given (RUNBOOK.md#alertdeliveryfailing)"
        return [styled(cut(words, width), look.warn)]
    line, missed = styled(" Sent to", look.dim), not_reached(snapshot.alerts)
    for kind in snapshot.receivers:
        name = clean(kind, 40)
        if kind in missed:
            line.append(f"  ✗ {name}: not reached", look.bad)
        else:
            line.append(f"  {name}", look.text)
    line.append("   palette: send a test", look.dim)
    line.truncate(width, overflow="ellipsis")
    return [line]


def _present(alert: Alert, snapshot: Snapshot, look: Look, now: datetime) -> Entry:
    glyph, style = alert_sign(alert.severity, look, alert.state)
    pending = alert.state is AlertState.PENDING
    silence = silence_of(alert, snapshot.silences, now)
    style = look.dim if silence is not None else style
    line = put(Text(), f"{glyph} {'pending' if pending else alert.severity.value}", 11, style)
    put(line, clean(alert.name, 60), _NAME_CELLS, style)
    line.append(f" {'seen' if pending else 'firing'} {since(alert.since, now)}", look.text)
    began = f" since {clock_time(alert.since, now)}"
    line.append(f", {alert.severity.value} if it lasts" if pending else began, look.dim)
    second = styled(f"    {clean(alert.summary, 300) or 'no words'}", look.text)
    about = [clean(alert.subject, 100)] * bool(alert.subject)
    about += ["by Prometheus" if alert.origin == PROMETHEUS else "by the console"]
    second.append(f" · {' · '.join(about)}", look.dim)
    lines = [line, second]
    if silence is not None:
        lines.append(_silence(silence, "    silenced ", look, now))
    return Entry(alert.name, alert.subject, "there", alert.runbook, tuple(lines))


def _silence(silence: Silence, first: str, look: Look, now: datetime, width: int = 0) -> Text:
    left = duration((silence.until - now).total_seconds() // 60 * 60)
    words = (
        f"until {clock_time(silence.until, now)} UTC ({left} left) by {clean(silence.actor, 60)}"
    )
    line = styled(first, look.accent).append(words, look.text)
    line.append(f": {clean(silence.reason, 200)}", look.dim)
    if width:
        line.truncate(width, overflow="ellipsis")
    return line


def _over(alert: Alert, look: Look, now: datetime) -> Entry:
    line = put(Text(), "✓ over", 11, look.good)
    put(line, clean(alert.name, 60), _NAME_CELLS, look.text)
    if alert.ended_at is not None:
        lasted = duration((alert.ended_at - alert.since).total_seconds())
        line.append(f" {since(alert.ended_at, now)} ago, lasted {lasted}", look.text)
    line.append(f" · {clean(alert.summary, 200)}", look.dim)
    return Entry(alert.name, alert.subject, "over", alert.runbook, (line,))


def _watched(rule: Rule, snapshot: Snapshot, policy: Policy, look: Look, now: datetime) -> Entry:
    limit = policy.alerts.get(rule.name, rule.default)
    line = put(Text(), rule.severity.value, 11, look.dim)
    put(line, rule.name, _NAME_CELLS, look.text)
    line.append(f" {rule.watched(limit)}", look.dim)
    lines = [line]
    silences = [s for s in snapshot.silences if s.alert == rule.name and s.until > now]
    lines += [_silence(s, "    silenced ", look, now) for s in silences[:1]]
    return Entry(rule.name, "", "watched", rule.procedure or rule.name.lower(), tuple(lines))


def section_lines(section: Section, look: Look, width: int) -> list[Text]:
    """Return a procedure as lines: text wrapped, commands as they are typed."""
    lines = []
    for line in section.lines:
        text = clean(line.text, 2000)
        if line.kind is LineKind.COMMAND:
            lines.append(styled(f"   {text}", look.accent))
        elif line.kind is LineKind.HEADING:
            lines.append(styled(f" {text}", look.strong))
        elif line.kind is LineKind.TABLE:
            lines.append(styled(f"   {text}", look.text))
        elif line.kind is LineKind.BLANK:
            lines.append(Text())
        else:
            lines += [styled(f" {part}", look.text) for part in wrap(text, width - 2)]
    return lines
