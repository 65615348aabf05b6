"""The header at both widths: nothing of what must not be overlooked gives way."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from console.domain.film import Frame
from console.domain.operations import OpenQuestion, OperationState, OperationSummary
from console.domain.readings import SourceState, SourceStatus
from console.domain.snapshot import AgentState
from console.engine import Access
from screens.actions import ACTIONS
from screens.look import look_of
from screens.terminal import Terminal
from screens.view import Rewound, View
from screens.widgets.header import header_lines
from tests.fakes import pictures
from tests.fakes.pictures import NOW
from tests.interface.conftest import OpenDesk

LOOK = look_of("dark")
FAR = "firstname.lastname-oncall (ssh 2001:db8::7)"


def drawn(view: View, width: int, seconds: float = 0) -> list[str]:
    lines = header_lines(view, LOOK, NOW + timedelta(seconds=seconds), "Overview", width)
    assert all(line.cell_len <= width for line in lines)
    return [line.plain for line in lines]


@pytest.mark.parametrize("width", [80, 120, 160])
@pytest.mark.parametrize("operator", ["ana", "ana (ssh 192.0.2.7)", FAR])
@pytest.mark.parametrize("write", [True, False])
def test_all_is_there_at_every_width(width: int, operator: str, write: bool) -> None:
    picture = replace(pictures.production(pictures.unfinished()), release="v1.14.20")
    until = NOW + timedelta(minutes=14, seconds=20) if write else None
    view = View("production", True, operator, snapshot=picture, access=Access(write, until))
    first, _, *notices = drawn(view, width, seconds=8)
    for words in (
        "PRODUCTION", "v1.14.20", "compose", "WRITE 15m" if write else "READ-ONLY", operator[:7],
        "03:12 UTC", "04:12 local",
    ):  # fmt: skip
        assert words in first
    told = "\n".join(notices)
    for words in ("picture is 5s old", "scale INTERRUPTED", "P1 incident", "open 21m"):
        assert words in told
    if width == 160:
        assert operator in first


@pytest.mark.parametrize("width", [40, 60, 80, 100, 160])
def test_no_note_takes_the_room_of_how_it_is(width: int) -> None:
    blind = SourceStatus("runtime", SourceState.FAILED, None, "no engine answers")
    verdicts = {
        "? UNKNOWN  what runs cannot be seen": replace(
            pictures.empty(), agent=AgentState.ABSENT, sources=(blind,)
        ),
        "○ STOPPED  nothing runs here": replace(pictures.empty(), agent=AgentState.ABSENT),
    }
    for verdict, picture in verdicts.items():
        _, state, *_ = drawn(View("dev", False, "ana", snapshot=picture), width)
        assert verdict[: width - 14] in state
        assert ("no agent" in state) == (width >= 60)
        assert ("collects for itself" in state) == (width >= 100)


def test_maintenance_names_the_key_that_ends_it() -> None:
    picture = pictures.normal(maintenance=True)
    _, _, notice, *_ = drawn(View("dev", False, "ana", snapshot=picture), 80)
    (action,) = (one for one in ACTIONS if one.id == "maintenance")
    assert f"{action.shown} takes it away" in notice


def test_in_the_past_no_notice_names_a_key_that_is_refused_there() -> None:
    asked = OpenQuestion("watch-app-at-4", "go on?", "queue 60", {}, NOW, NOW)
    running = OperationSummary("op-7", "scale", OperationState.RUNNING, None, NOW, "ben")
    for operation, fact, key in (
        (running, "scale running · ben", "o follows"),
        (replace(running, question=asked), "scale asks", "o, then y answers"),
        (replace(running, state=OperationState.FROZEN), "scale FROZEN", "A accept"),
    ):
        picture = pictures.normal(maintenance=True, operation=operation)
        now = View("dev", False, "ana", snapshot=picture)
        present = "\n".join(drawn(now, 160))
        past = "\n".join(drawn(replace(now, rewound=Rewound(Frame(picture))), 160))

        for words in (fact, "MAINTENANCE"):
            assert words in present
            assert words in past
        for words in (key, "P takes it away"):
            assert words in present
            assert words not in past
        assert ". back to now" in past


async def test_low_bandwidth_has_neither_clock_nor_sparkline(open_desk: OpenDesk) -> None:
    sparing = Terminal(slow=True, low_bandwidth=True)
    async with open_desk(pictures.normal(), size=(160, 48), terminal=sparing) as desk:
        desk.engine.history = {
            name: [(NOW - timedelta(seconds=n), float(n % 7)) for n in range(900, 0, -5)]
            for name in ("request_rate", "error_ratio", "p95_seconds", "host_cpu_ratio")
        }
        for key in ("v", "m"):
            await desk.press(key)
            await desk.sees("dev")
            assert not set(desk.text) & set("▁▂▃▄▅▆▇█")
            assert "UTC" not in desk.header
