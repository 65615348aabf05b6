"""Logs at 100,000 lines a second: through the real ring and view, and from a real rotated file."""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

from console.domain.logs import LogLine, LogRequest
from console.runtimes.embedded.layout import Layout
from console.runtimes.embedded.log_reader import LOST, LogReader
from console.runtimes.embedded.rotation import open_log, rotate_if_large
from screens.application import ConsoleApp
from screens.logs import LogsScreen
from tests.benchmarks.figures import Figure
from tests.fakes import pictures
from tests.fakes.engine import FakeEngine
from tests.fakes.pictures import NOW

if TYPE_CHECKING:
    from console.engine import Engine

LINES_PER_SECOND = 100_000
SECONDS = 3
COUNT = LINES_PER_SECOND * SECONDS
TEXT = "GET /v1/formulas/{n} 200 in 38 ms client=203.0.113.7 request_id=7c1f4e0a9b"
PATIENCE_SECONDS = 60.0


def measure() -> list[Figure]:
    """Send a burst through ring and view, and another through the files of a log."""
    with tempfile.TemporaryDirectory() as directory:
        return [*asyncio.run(_through_the_screen(Path(directory))), *_from_a_file(Path(directory))]


class _Bursting(FakeEngine):
    """Says a burst of lines once, at the rate that was asked for, then nothing."""

    begun_at = 0.0

    def logs(self, request: LogRequest) -> Iterator[LogLine | None]:
        yield None
        self.begun_at = time.perf_counter()
        for number in range(COUNT):
            if number % 1_000 == 0:
                due = self.begun_at + number / LINES_PER_SECOND
                time.sleep(max(0.0, due - time.perf_counter()))
            yield LogLine("app-1", "app", NOW, "info", TEXT.format(n=number))
        while request.follow:
            yield None
            threading.Event().wait(0.02)


async def _through_the_screen(state: Path) -> list[Figure]:
    engine = _Bursting(pictures.normal(), state)
    app = ConsoleApp(cast("Engine", engine))
    longest, ended = 0.0, False

    async def watch_the_loop() -> None:
        nonlocal longest
        while not ended:
            begin = time.perf_counter()
            await asyncio.sleep(0.005)
            longest = max(longest, time.perf_counter() - begin - 0.005)

    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("l")
        watching = asyncio.create_task(watch_the_loop())
        screen = app.screen
        assert isinstance(screen, LogsScreen)
        deadline = time.perf_counter() + PATIENCE_SECONDS
        book = screen.book
        while (told := len(book) + book.forgotten + book.missed) < COUNT:
            if time.perf_counter() > deadline:
                break
            await asyncio.sleep(0.02)
        took = time.perf_counter() - engine.begun_at
        ended = True
        await watching
    return [
        Figure("logs, lines/s through ring and view", told / took, "lines/s", 1, better="higher"),
        Figure("logs, lost without a word of it", float(COUNT - told), "lines", 1),
        Figure("logs, missed and said so", float(book.missed), "lines", 1),
        Figure("logs, longest time no key was taken", longest, "s", 1),
    ]


def _from_a_file(directory: Path) -> list[Figure]:
    layout = Layout(directory)
    layout.logs.mkdir(parents=True)
    log = layout.log("app-1")
    os.close(open_log(log))
    lines = LogReader(layout, lambda replica: "app").read(LogRequest(tail=0, follow=True))
    next(lines)

    def write() -> None:
        block = b"".join(TEXT.format(n=n).encode() + b"\n" for n in range(1_000))
        with os.fdopen(open_log(log), "ab", buffering=0) as file:
            begin = time.perf_counter()
            for number in range(COUNT // 1_000):
                file.write(block)
                if number % 50 == 0:
                    rotate_if_large(log)  # as the supervisor does
                due = begin + (number + 1) * 1_000 / LINES_PER_SECOND
                time.sleep(max(0.0, due - time.perf_counter()))

    writer = threading.Thread(target=write)
    begin = time.perf_counter()
    writer.start()
    seen = lost = 0
    deadline = begin + PATIENCE_SECONDS
    for line in lines:
        if seen >= COUNT or time.perf_counter() > deadline:
            break
        if line is None and not writer.is_alive():
            break
        if line is not None:
            lost += line.text == LOST
            seen += line.text != LOST
    took = time.perf_counter() - begin
    writer.join()
    return [
        Figure("logs, lines/s from a rotated file", seen / took, "lines/s", 1, better="higher"),
        Figure(
            "logs, lines of it not given out",
            float(COUNT - seen),
            "lines",
            1,
            note=f"said so {lost} times",
        ),
    ]
