"""The header: where this is, how it is, who may do what, and what is going on."""

from __future__ import annotations

import math
from datetime import datetime

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text

from console.domain.operations import UNFINISHED, OperationState
from console.domain.services import Health
from console.domain.snapshot import Overall, Snapshot
from screens.look import Look
from screens.rendering import (
    age,
    between,
    clean,
    cut,
    fill,
    overall_sign,
    plural,
    since,
    styled,
)
from screens.view import View
from screens.widgets.lines import Lines

#: Lines of notices at most; the first are the weightiest.
NOTICES = 4
#: As much of the operator is always shown.
_OPERATOR_CELLS = 8


class Header(Lines):
    """Two lines always, and one for each thing that must not be overlooked."""

    def show_view(self, view: View, look: Look, now: datetime, title: str) -> None:
        """Draw *view* as of *now*."""
        lines = header_lines(view, look, now, title, self.app.size.width)
        if self.styles.height is None or self.styles.height.value != len(lines):
            self.styles.height = len(lines)
        self.show(lines)


def header_lines(view: View, look: Look, now: datetime, title: str, width: int) -> list[Text]:
    """Return the lines of the header; *now* is the present, whatever moment is drawn."""
    bar = look.banner if view.production else look.bar
    place = _place(view, look)
    person = _person(view, look, now, width, width - place.cell_len)
    first = fill(between(place, person, width), width, bar)
    return [first, _state(view, look, title, width), *_notices(view, look, now, width)[:NOTICES]]


def _place(view: View, look: Look) -> Text:
    snapshot = view.snapshot
    line = Text()
    name = clean(view.environment, 40)
    if view.production:
        line.append(f" {name.upper() if name == 'production' else 'PRODUCTION'} ", look.banner)
    else:
        line.append(f" {name} ", look.strong)
    if snapshot is not None:
        several = len({s.release for s in snapshot.services if s.release}) > 1
        release = snapshot.release or ("several releases" if several else "release unknown")
        line.append(f" {clean(release, 40)} · {clean(snapshot.runtime, 20)}")
    return line


def _person(view: View, look: Look, now: datetime, width: int, room: int) -> Text:
    """Return access, operator and clocks; of these the operator gives way to the place."""
    clocks = []
    if view.rewound is not None:
        words = f" NOT NOW  {_moment(view.rewound.at, now)} "
        return styled(words, look.warn + Style(reverse=True))
    if not view.low_bandwidth:
        clocks.append(f"{now:%H:%M} UTC")
        local = now.astimezone()
        if local.utcoffset() and width >= 60:
            clocks.append(f"{local:%H:%M} local")
    access = _access(view, now)
    others = " · ".join([access, *clocks])
    operator = cut(clean(view.operator), max(_OPERATOR_CELLS, room - cell_len(others) - 6))
    words = " · ".join([access, *([operator] if width >= 60 else []), *clocks])
    return styled(f"{words} ", look.banner if view.production else look.text)


def _access(view: View, now: datetime) -> str:
    if view.access is None:
        return "access unknown"
    if not view.may_write(now):
        return "READ-ONLY"
    if view.access.until is None:
        return "WRITE"
    left = math.ceil((view.access.until - now).total_seconds())
    # The last minute in tens of seconds: nobody should be surprised by its end.
    return f"WRITE {-(-left // 60)}m" if left > 60 else f"WRITE {-(-left // 10) * 10}s"


def _state(view: View, look: Look, title: str, width: int) -> Text:
    """Return how it is and which screen this is; that there is no agent where room is left."""
    left, right = _verdict(view, look), styled(f"{title} ", look.strong)
    if view.without_agent and width >= 60:
        for note in ("no agent: this console collects for itself  ", "no agent  "):
            if left.cell_len + cell_len(note) + right.cell_len < width:
                return between(left, styled(note, look.dim) + right, width)
    return between(left, right, width)


def _verdict(view: View, look: Look) -> Text:
    snapshot = view.snapshot
    if snapshot is None:
        words = "cannot read the stack" if view.failure else "reading the stack…"
        return styled(f" {words}", look.bad if view.failure else look.dim)
    if snapshot.unseen is not None:
        return styled(" ? UNKNOWN  what runs cannot be seen", look.bad)
    if not snapshot.running:
        return styled(" ○ STOPPED  nothing runs here", look.warn)
    glyph, style = overall_sign(snapshot.overall, look)
    verdict = styled(" ").append(f"{glyph} {snapshot.overall.value.upper()}", style)
    return verdict.append(f"  {_summary(snapshot)}", look.text)


def _summary(snapshot: Snapshot) -> str:
    short = [s for s in snapshot.services if s.ready < s.desired]
    if not short:
        ready = sum(s.ready > 0 for s in snapshot.services)
        unknown = sum(s.health is Health.UNKNOWN for s in snapshot.services)
        told = f"{ready} of {plural(len(snapshot.services), 'service')} ready"
        return told + (f", {unknown} of unknown health" if unknown else "")
    worst = ", ".join(f"{clean(s.name, 40)} {s.ready_words}" for s in short)
    unseen = all(s.health is Health.UNKNOWN for s in short)
    return f"{'cannot be told' if unseen else 'not ready'}: {worst}"


def _notices(view: View, look: Look, now: datetime, width: int) -> list[Text]:
    past, now = _past_notice(view, look, now, width), view.moment(now)
    lines = [
        *past,
        *_stale_notice(view, look, now),
        *_maintenance_notice(view, look, now),
        *_operation_notice(view, look, now),
        *_incident_notice(view, look, now),
    ]
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return lines


def _past_notice(view: View, look: Look, now: datetime, width: int) -> list[Text]:
    """Say that this is the past, how long ago, what now is, and what was not kept."""
    rewound = view.rewound
    if rewound is None:
        return []
    loud = look.warn + Style(reverse=True)
    ago = age((now - rewound.at).total_seconds())
    words = f" ◀ {ago} ago: this was {_moment(rewound.at, now)}, not now"
    if rewound.present not in {None, Overall.HEALTHY}:
        words += f" · now {rewound.present.value.upper() if rewound.present else ''}"
    lines = [fill(styled(f"{words} · . back to now", loud), width, loud)]
    if rewound.frame.gap is not None:
        since_, until = (f"{at:%H:%M:%S}" for at in rewound.frame.gap)
        words = f" ▲ nothing was kept from {since_} to {until}: no agent ran then "
        lines.append(styled(words, loud))
    return lines


def _moment(at: datetime, now: datetime) -> str:
    """Return a moment to the second, with its day where that is another."""
    return f"{at:%H:%M:%S} UTC" if at.date() == now.date() else f"{at:%d %b %H:%M:%S} UTC"


def _stale_notice(view: View, look: Look, now: datetime) -> list[Text]:
    loud = look.warn + Style(reverse=True)
    old = age(view.age_seconds(now))
    if view.failure:
        at = f" since {view.failing_since:%H:%M} UTC" if view.failing_since else ""
        picture = f"the picture is {old} old" if view.snapshot else "nothing to show yet"
        return [styled(f" ▲ reading fails{at}: {clean(view.failure[0], 300)}; {picture} ", loud)]
    if view.recalled and view.stale(now):
        return [styled(f" ▲ the agent's last picture, {old} old; reading the present one… ", loud)]
    if view.stale(now):
        return [styled(f" ▲ this picture is {old} old: no news since; keys still work ", loud)]
    return []


def _maintenance_notice(view: View, look: Look, now: datetime) -> list[Text]:
    snapshot = view.snapshot
    if snapshot is None or not snapshot.maintenance:
        return []
    start = snapshot.maintenance_since
    when = f" since {start:%H:%M} UTC, {since(start, now)}" if start is not None else ""
    loud = look.warn + Style(reverse=True)
    way = "" if view.rewound is not None else "· P takes it away "
    return [styled(f" ▲ MAINTENANCE{when}: users get the page (503) {way}", loud)]


def _operation_notice(view: View, look: Look, now: datetime) -> list[Text]:
    """Return what is at work or waits; which keys help only where they are taken."""
    past = view.rewound is not None
    operation = view.operation
    if operation is None or operation.state not in UNFINISHED:
        return []
    verb, step = clean(operation.verb, 30), clean(operation.step or "", 60)
    if operation.state in {OperationState.INTERRUPTED, OperationState.FROZEN}:
        loud = look.bad + Style(reverse=True)
        at = f" (at {step})" if step else ""
        word = operation.state.value.upper()
        keys = "" if past else ": o, then r resume · u undo · A accept"
        return [styled(f" ▲ {verb} {word}{keys}{at} ", loud)]
    if operation.question is not None:
        loud = look.warn + Style(reverse=True)
        left = since(now, operation.question.until)
        words = clean(operation.question.text, 200)
        keys = "" if past else ": o, then y answers"
        return [styled(f" ? {verb} asks, {left} left{keys} · {words} ", loud)]
    line = styled(f" ▶ {verb} {operation.state.value}", look.accent)
    started = since(operation.started_at, now)
    parts = [*([step] if step else []), clean(operation.actor, 40), started]
    parts += [] if past else ["o follows"]
    return [line.append("".join(f" · {part}" for part in parts), look.text)]


def _incident_notice(view: View, look: Look, now: datetime) -> list[Text]:
    incident = view.snapshot.incident if view.snapshot else None
    if incident is None:
        return []
    line = styled(f" ▲ {incident.severity.value} incident", look.bad)
    words = f" · {clean(incident.title, 200)} · {clean(incident.status, 30)}"
    return [line.append(f"{words} · open {since(incident.opened_at, now)}", look.text)]
