"""A real terminal: thrifty while idle, given back whatever ends the console."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from screens.terminal import Terminal, inspect_terminal, textual_environment, why_undrawable
from tests.interface.in_terminal import PROJECT, InTerminal


def test_idle_writes_nothing_and_a_change_only_itself() -> None:
    with InTerminal() as terminal:
        terminal.until(b"Last changes")
        terminal.quiet()
        assert terminal.read(3.0) == b""

        terminal.signal(signal.SIGUSR1)
        change = terminal.read(1.5)
        assert b"99.9" in change
        assert len(change) < 200
        terminal.type(b"q")
        assert terminal.end() == 0
        assert terminal.restored


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_gives_the_terminal_back(number: signal.Signals) -> None:
    with InTerminal() as terminal:
        terminal.until(b"Last changes")
        terminal.type(b"M")  # with the mouse on, which must be off again afterwards
        terminal.until(b"mouse on")
        terminal.signal(number)
        assert terminal.end() == 128 + number
        assert terminal.restored
        assert b"Traceback" not in terminal.written


def test_a_crash_gives_the_terminal_back() -> None:
    with InTerminal("crash") as terminal:
        terminal.until(b"Last changes")
        terminal.type(b"\x1b[C")
        assert terminal.end() == 1
        assert terminal.restored
        assert b"a bug of the console" in terminal.written


def test_a_hang_up_ends_it() -> None:
    terminal = InTerminal()
    try:
        terminal.until(b"Last changes")
        os.close(terminal.child)
        os.close(terminal.parent)
        # Losing the terminal is a hang-up; nobody is left to press a key.
        terminal.process.send_signal(signal.SIGHUP)
        assert terminal.process.wait(10) == 128 + signal.SIGHUP
    finally:
        if terminal.process.poll() is None:
            terminal.process.kill()
            terminal.process.wait(5)


def test_ssh_and_no_colour_are_heeded() -> None:
    with InTerminal(NO_COLOR="1", SSH_CONNECTION="192.0.2.7 1 192.0.2.1 22") as terminal:
        terminal.until(b"Last changes")
        terminal.quiet()
        assert b"38;2" not in terminal.written
        assert b"48;2" not in terminal.written
        terminal.type(b"q")
        assert terminal.end() == 0


def test_an_ascii_locale_gets_ascii() -> None:
    with InTerminal(PYTHONUTF8="0", LC_ALL="C", PYTHONCOERCECLOCALE="0") as terminal:
        terminal.until(b"Last changes")
        terminal.type(b"q")
        assert terminal.end() == 0
        assert terminal.written.isascii()


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {"TERM": ""}])
def test_a_dumb_terminal_is_refused_with_what_works_there(environment: dict[str, str]) -> None:
    with InTerminal(**environment) as terminal:
        assert terminal.end() == 2
        assert b"fragrance watch" in terminal.written
        assert b"fragrance status" in terminal.written
        assert b"\x1b" not in terminal.written


def test_without_a_terminal_it_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.interface.in_terminal", "normal"],
        cwd=PROJECT,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert "fragrance watch" in done.stderr


def test_the_door_loads_no_textual() -> None:
    code = "import sys, screens.app; print('textual' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout.strip() == "False"


def test_the_terminal_is_judged_by_its_environment() -> None:
    assert inspect_terminal({}, "UTF-8") == Terminal()
    assert inspect_terminal({"NO_COLOR": ""}, "utf8").colour is False
    assert inspect_terminal({}, "ANSI_X3.4-1968").unicode is False
    slow = inspect_terminal({"SSH_CONNECTION": "x"}, "UTF-8")
    assert textual_environment(slow)["TEXTUAL_FPS"] == "15"
    assert textual_environment(Terminal()) == {}
    assert why_undrawable({"TERM": "xterm"}, interactive=True) is None
