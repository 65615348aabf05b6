"""What is written down so that the agent comes back after a reboot."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from console.errors import ConsoleError
from console.runtimes.compose import boot, systemd
from console.runtimes.compose.boot import boot_environment, boot_name, set_cron
from console.runtimes.compose.keeper import agent_command, keeper_command
from console.runtimes.compose.systemd import SYSTEM_UNITS, is_ours, unit_place, unit_text

#: As the real one: the table on standard output or from standard input, and an error for none.
CRONTAB = """#!/bin/sh
case $1 in
    -l) cat {table} 2>/dev/null || { echo "no crontab for root" >&2; exit 1; } ;;
    -) cat >{table} ;;
esac
"""
THEIRS = "# theirs\n0 3 * * * true 100\\%\n"


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the table of a cron that runs."""
    programs = tmp_path / "bin"
    programs.mkdir()
    found = tmp_path / "table"
    crontab = programs / "crontab"
    crontab.write_text(CRONTAB.replace("{table}", shlex.quote(str(found))))
    crontab.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setattr(boot, "CRON_RUNS", programs)
    return found


def test_a_unit_takes_no_path_for_something_of_its_own() -> None:
    state = Path('/srv/a "state" 100% $HOME')

    text = unit_text(SYSTEM_UNITS / "x.service", state, agent_command(state, None))

    assert f'ExecStart="{sys.executable}" "-m" "console.agent" "--state"' in text
    assert r'"/srv/a \"state\" 100%% $$HOME"' in text
    assert r'ReadWritePaths="-/srv/a \"state\" 100%% $HOME"' in text
    assert "WantedBy=multi-user.target" in text


def test_a_users_unit_asks_for_nothing_that_is_not_theirs(tmp_path: Path) -> None:
    text = unit_text(tmp_path / "x.service", tmp_path, agent_command(tmp_path, None))
    assert "WantedBy=default.target" in text
    assert "Protect" not in text


def test_a_users_first_unit_is_theirs_though_its_directory_is_not_there_yet(tmp_path: Path) -> None:
    assert is_ours(tmp_path / "absent" / "x.service")


def test_a_path_that_no_line_can_hold_is_declined(table: Path) -> None:
    state = Path("/srv/a\nExecStartPre=/bin/false")
    with pytest.raises(ConsoleError, match="not printable"):
        unit_text(SYSTEM_UNITS / "x.service", state, agent_command(state, None))
    with pytest.raises(ConsoleError, match="not printable"):
        set_cron(state, keeper_command(state, None))
    assert not table.exists()


def test_no_secret_of_the_shell_is_written_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:hunter2@h/d")
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/docker.sock")
    assert "hunter2" not in "".join(boot_environment())
    assert "DOCKER_HOST=unix:///run/docker.sock" in boot_environment()


def test_each_state_has_a_name_of_its_own_however_it_is_spelled(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert boot_name(tmp_path / "link") == boot_name(tmp_path / "a") != boot_name(tmp_path / "b")


def test_cron_runs_what_was_meant_once_and_keeps_the_others(table: Path, tmp_path: Path) -> None:
    table.write_text(THEIRS)
    state = tmp_path / "it's 100% $HOME"
    state.mkdir()
    proof = [sys.executable, "-c", "import sys; print(sys.argv[1])", str(state)]

    for _ in range(2):
        assert set_cron(state, proof)
    assert set_cron(tmp_path / "other", proof)
    assert set_cron(tmp_path / "other", None) is False

    written = table.read_text()
    assert written.startswith(THEIRS)
    (line,) = (line for line in written.splitlines() if line.startswith("@reboot "))
    # As cron reads it: a percent sign would end the command unless escaped.
    command = line.removeprefix("@reboot ").replace(r"\%", "%")
    subprocess.run(["/bin/sh", "-c", command], check=True, timeout=30)
    assert (state / "agent.log").read_text() == f"{state}\n"

    set_cron(state, None)
    assert table.read_text() == THEIRS


def test_a_table_that_nobody_reads_is_left_alone(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boot, "CRON_RUNS", tmp_path / "absent")
    assert set_cron(tmp_path, ["true"]) is False
    assert not table.exists()


def test_no_unit_where_systemd_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systemd, "SYSTEMD_RUNS", tmp_path / "absent")
    assert unit_place(tmp_path) == (None, "")


def test_a_user_without_lingering_is_told_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user's systemd ends with the last session, and the agent with it."""
    for name, code in (("systemctl", 0), ("loginctl", 1)):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\nexit {code}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(systemd, "SYSTEMD_RUNS", tmp_path)
    monkeypatch.setattr("os.geteuid", lambda: 65534)
    place, remedy = unit_place(tmp_path / "state")
    assert place is None
    assert remedy == "sudo loginctl enable-linger nobody"
