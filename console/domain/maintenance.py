"""
Maintenance: when it may be, and what is to be seen to before it.

An item of the list is answered by the machine where it can tell, else by who begins the
maintenance; what nobody answered stays open, and is never taken for done.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from console.domain.plans import ListItem, Plan

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_FORM = re.compile(r"([a-z]+) (\d\d):(\d\d)-(\d\d):(\d\d)")
_DAY = timedelta(days=1)

#: States of an item: nobody answered; the machine cannot tell; a person did.
OPEN, UNKNOWN, CONFIRMED = "open", "unknown", "confirmed"


@dataclass(frozen=True, slots=True)
class Window:
    """
    When maintenance may be, every week, UTC.

    Args:
        weekday: 0 for Monday, of its beginning.
        start: Since the midnight before it.
        length: Up to a day; it may end on the next one.
    """

    weekday: int
    start: timedelta
    length: timedelta

    @classmethod
    def parse(cls, text: str) -> Window:
        """
        Return ``sunday 02:00-04:00`` as a window.

        Raises:
            ValueError: If it is none.
        """
        found = _FORM.fullmatch(text.strip().lower())
        if found is None or found[1] not in WEEKDAYS:
            raise ValueError(f"{text!r} is no window: write sunday 02:00-04:00, in UTC")
        hours = [int(part) for part in found.groups()[1:]]
        if hours[0] > 23 or hours[2] > 24 or max(hours[1], hours[3]) > 59:
            raise ValueError(f"{text!r} has an hour that no day has")
        start = timedelta(hours=hours[0], minutes=hours[1])
        end = timedelta(hours=hours[2], minutes=hours[3])
        length = end - start if end > start else end - start + _DAY
        return cls(WEEKDAYS.index(found[1]), start, length)

    def around(self, now: datetime) -> tuple[datetime, datetime]:
        """Return beginning and end of the one that is now, else of the next one."""
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        day = midnight - timedelta(days=(now.weekday() - self.weekday) % 7)
        for week in (0, 1):
            start = day + timedelta(weeks=week) + self.start
            if now < start + self.length:
                return start, start + self.length
        raise AssertionError("a week has its weekday")  # pragma: no cover


def window_around(windows: Sequence[str], now: datetime) -> tuple[datetime, datetime] | None:
    """Return beginning and end of the window that is now, else of the next; None without any."""
    return min((Window.parse(text).around(now) for text in windows), default=None)


def outside_words(windows: Sequence[str], now: datetime) -> str | None:
    """Return that *now* is in no window, and when the next one begins; None where it is in one."""
    found = window_around(windows, now)
    if found is None or found[0] <= now:
        return None
    hours, minutes = divmod(int((found[0] - now).total_seconds()) // 60, 60)
    wait = f"{hours // 24} d {hours % 24} h" if hours >= 48 else f"{hours} h {minutes} min"
    return (
        f"outside the maintenance window ({', '.join(windows)} UTC): "
        f"the next one begins {found[0]:%Y-%m-%d %H:%M} UTC, in {wait}"
    )


def checklist(notice_hours: float) -> tuple[ListItem, ...]:
    """Return what is to be seen to before maintenance, with what the machine can tell."""
    return (
        ListItem("notice", f"users were told {notice_hours:g} h before", OPEN),
        ListItem(
            "backup",
            "there is a fresh, verified backup",
            UNKNOWN,
            "backups are not configured here; the console cannot tell",
        ),
        ListItem("staging", "the work was rehearsed in staging", OPEN),
        ListItem("rollback", "there is a plan to take the work back", OPEN),
        ListItem("on-call", "somebody on call is assigned", OPEN),
        ListItem("status-page", "the status page says so", OPEN),
    )


def confirmed(items: Iterable[ListItem], ids: Iterable[str]) -> tuple[ListItem, ...]:
    """
    Return *items* with those of *ids* answered by a person.

    Raises:
        ValueError: When there is no such item.
    """
    wanted, listed = list(ids), list(items)
    known = [item.id for item in listed]
    if strange := [one for one in wanted if one not in known]:
        raise ValueError(f"there is no {strange[0]!r} on the list; it has {', '.join(known)}")
    return tuple(
        replace(item, state=CONFIRMED, detail="") if item.id in wanted else item for item in listed
    )


def open_words(items: Iterable[ListItem]) -> str | None:
    """Return what nobody answered for, None when nothing."""
    open_ = [item.id for item in items if item.state != CONFIRMED]
    return f"not answered for: {', '.join(open_)}" if open_ else None


def with_answers(plan: Plan, items: Iterable[ListItem], ids: Iterable[str]) -> Plan:
    """
    Return *plan* with the answers that a person gave while it was shown.

    Args:
        plan: As it was made, or answered before.
        items: Its list before anybody answered.
        ids: What is answered for now.
    """
    said = sorted(ids)
    answered = confirmed(items, said)
    before, now = open_words(plan.checklist), open_words(answered)
    others = tuple(words for words in plan.warnings if words != before)
    return replace(
        plan,
        checklist=answered,
        warnings=(*others, *((now,) if now else ())),
        wish=plan.wish | {"confirmed": said},
    )
