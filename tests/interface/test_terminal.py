"""A real terminal: thrifty while idle, given back whatever ends the console."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from screens.clipboard import CAP_BYTES, osc52
from screens.terminal import (
    Terminal,
    below_ssh,
    inspect_terminal,
    textual_environment,
    why_undrawable,
)
from tests.interface.in_terminal import COMMAND, PROJECT, InTerminal

#: What sshd says of a connection.
SSH = "192.0.2.7 1 192.0.2.1 22"


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


@pytest.mark.parametrize(("line", "most"), [("SSH_CONNECTION", 40_000), ("LOW_BANDWIDTH", 8_000)])
def test_a_busy_stack_is_drawn_within_a_fixed_number_of_bytes_a_second(
    line: str, most: int
) -> None:
    with InTerminal("busy", environ={line: SSH}) as terminal:
        terminal.until(b"worker-llm")
        overview = terminal.rate(3)
        terminal.type(b"l")
        terminal.until(b"following")
        logs = terminal.rate(4)
        # It was drawing all the while.
        terminal.until_after(len(terminal.written), b"/v1/formulas")
        terminal.type(b"q")
        assert terminal.end() == 0
    assert overview < most
    assert logs < most


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
        terminal.forget()


def test_ssh_and_no_colour_are_heeded() -> None:
    with InTerminal(environ={"NO_COLOR": "1", "SSH_CONNECTION": SSH}) as terminal:
        terminal.until(b"Last changes")
        terminal.quiet()
        assert b"38;2" not in terminal.written
        assert b"48;2" not in terminal.written
        terminal.type(b"q")
        assert terminal.end() == 0


def test_an_ascii_locale_gets_ascii() -> None:
    with InTerminal(
        environ={"PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}
    ) as terminal:
        terminal.until(b"Last changes")
        terminal.type(b"q")
        assert terminal.end() == 0
        assert terminal.written.isascii()


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {"TERM": ""}])
def test_a_dumb_terminal_is_refused_with_what_works_there(environment: dict[str, str]) -> None:
    with InTerminal(environ=environment) as terminal:
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


def test_the_shell_gets_the_terminal_and_the_console_comes_back() -> None:
    # A shell with job control, as at a login; it goes on when the console is stopped.
    script = f"set -m; {' '.join(COMMAND)} $0; echo; echo in-the-shell; fg >/dev/null"
    with InTerminal(command=["setsid", "--ctty", "--wait", "sh", "-c", script]) as terminal:
        terminal.until(b"Last changes")
        terminal.type(b"M")
        terminal.until(b"mouse on")
        terminal.type(b"M")
        terminal.until(b"mouse off")
        terminal.type(b"\x1a")
        terminal.until(b"in-the-shell")
        place = terminal.written.find(b"in-the-shell")
        drawn = terminal.written[:place]
        assert drawn.rfind(b"\x1b[?1049l") > drawn.rfind(b"\x1b[?1049h")  # given back
        terminal.until_after(place, b"Last changes")
        assert b"\x1b[?1000h" not in terminal.written[place:]  # off before, off after
        terminal.type(b"q")
        assert terminal.end() == 0
        assert terminal.restored


def test_without_a_shell_it_does_not_vanish() -> None:
    with InTerminal() as terminal:
        terminal.until(b"Last changes")
        terminal.type(b"\x1a")
        terminal.until(b"no shell to go to")
        terminal.type(b"q")
        assert terminal.end() == 0


def test_choices_are_found_again_by_this_user_alone() -> None:
    with InTerminal() as terminal:
        terminal.until(b"Last changes")
        terminal.type(b"T")
        terminal.until(b"kept for you")
        terminal.type(b"l")
        terminal.until(b"following")
        terminal.type(b"e")
        terminal.until(b"error and above")
        terminal.type(b"q")
        assert terminal.end() == 0
        file = terminal.kept / "console.json"
        assert file.stat().st_mode & 0o777 == 0o600
        assert terminal.kept.stat().st_mode & 0o777 == 0o700
        with InTerminal(environ={"XDG_STATE_HOME": str(terminal.kept.parent)}) as again:
            again.until(b"Last changes")
            again.type(b"l")
            again.until(b"error and above")
            again.type(b"T")
            again.until(b"theme colour-blind")  # the one after light
            again.type(b"q")
            assert again.end() == 0


def test_damaged_choices_are_named_and_left_out() -> None:
    with InTerminal() as terminal:
        terminal.until(b"Last changes")
        terminal.type(b"q")
        assert terminal.end() == 0
        (terminal.kept / "console.json").write_text("{half a fi")
        with InTerminal(environ={"XDG_STATE_HOME": str(terminal.kept.parent)}) as again:
            again.until(b"your settings are not used, damaged")
            again.until(b"Last changes")
            again.type(b"q")
            assert again.end() == 0


def test_what_is_copied_reaches_the_far_terminal_and_a_file() -> None:
    with InTerminal(environ={"TMUX": "/tmp/tmux-0/default,1,0"}) as terminal:
        terminal.until(b"Last changes")
        terminal.type(b"Y")
        terminal.until(b"all of it in")
        assert b"\x1b]52;c;" in terminal.written
        assert b"\x1bPtmux;\x1b\x1b]52;c;" in terminal.written
        saved = terminal.kept / "copied.txt"
        assert "Last changes" in saved.read_text()
        assert saved.stat().st_mode & 0o777 == 0o600
        terminal.type(b"q")
        assert terminal.end() == 0


def test_a_copy_is_wrapped_for_what_stands_between_and_has_a_cap() -> None:
    assert osc52("a") == "\x1b]52;c;YQ==\a"
    assert osc52("a", "screen") == "\x1bP\x1b]52;c;YQ==\a\x1b\\"
    long = osc52("é" * CAP_BYTES, "screen")
    assert len(osc52("é" * CAP_BYTES)) <= CAP_BYTES * 4 // 3 + 16
    assert all(len(part) <= 80 for part in long.split("\x1b\\"))


def test_low_bandwidth_has_no_clock_and_leaves_out_what_matters_least() -> None:
    told = {}
    for name in ("SSH_CONNECTION", "LOW_BANDWIDTH"):
        with InTerminal(environ={name: SSH}) as terminal:
            terminal.until(b"Last changes")
            terminal.quiet()
            told[name] = terminal.written
            terminal.type(b"q")
            assert terminal.end() == 0
    assert b"03:12 UTC" in told["SSH_CONNECTION"]
    assert b"03:12 UTC" not in told["LOW_BANDWIDTH"]


def test_an_ssh_server_is_found_above_sudo(tmp_path: Path) -> None:
    def process(pid: int, name: str, parent: int) -> None:
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "stat").write_text(f"{pid} ({name}) S {parent} 1 1 0")

    for pid, name, parent in (
        (40, "python) (x", 30), (30, "sudo", 20), (20, "bash", 10), (10, "sshd-session", 1),
        (41, "python", 31), (31, "bash", 1), (1, "init", 0),
    ):  # fmt: skip
        process(pid, name, parent)
    assert below_ssh(tmp_path, 40)
    assert not below_ssh(tmp_path, 41)
    assert not below_ssh(tmp_path, 99)


def test_the_terminal_is_judged_by_its_environment() -> None:
    assert inspect_terminal({}, "UTF-8") == Terminal()
    assert inspect_terminal({"NO_COLOR": ""}, "utf8").colour is False
    assert inspect_terminal({}, "ANSI_X3.4-1968").unicode is False
    slow = inspect_terminal({"SSH_CONNECTION": "x"}, "UTF-8")
    assert textual_environment(slow)["TEXTUAL_FPS"] == "15"
    assert textual_environment(Terminal()) == {}
    assert inspect_terminal({"TMUX": "x"}, "UTF-8").multiplexer == "tmux"
    assert inspect_terminal({"STY": "x"}, "UTF-8").multiplexer == "screen"
    sparing = inspect_terminal({}, "UTF-8", low_bandwidth=True)
    assert sparing.slow
    assert [t.pause(0.25) for t in (Terminal(), slow, sparing)] == [0.25, 0.5, 2.0]
    assert why_undrawable({"TERM": "xterm"}, interactive=True) is None
