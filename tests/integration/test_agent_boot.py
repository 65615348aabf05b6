"""
The agent after a reboot, on small machines of our own: one with systemd, one with cron.

A machine is a container whose pid 1 is the real systemd, or cron; it operates this
host's engine.  Its restart is the reboot: nothing of it lives on but its files.
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.contract.runtimes import docker
from tests.stack import PROJECT, wait_for

pytestmark = pytest.mark.docker

#: Made once from Debian's packages and kept, like the base images; half a minute.
IMAGE = "fragrance-test-machine:local"
MAKE_IMAGE = r"""
set -euo pipefail
. compose/engine/common.sh
command -v mmdebstrap >/dev/null || apt_get install --no-install-recommends mmdebstrap mount
printf 'deb %s bookworm main\n' "$(debian_mirror)" |
    mmdebstrap --mode=root --format=tar --variant=apt \
        --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
        --include=usr-is-merged,python3,systemd,systemd-sysv,dbus,cron \
        --customize-hook='rm -f "$1"/etc/resolv.conf "$1"/etc/hostname' bookworm - - |
    docker import - "$1"
"""
SERVICE = """
services:
  web:
    image: fragrance-base-python:local
    command: [sleep, infinity]
    init: true
    network_mode: none
    restart: unless-stopped
    labels: {console.role: other}
"""
REBOOT_SECONDS = 30


@dataclass
class Machine:
    """A container that is a machine, with a project and the repository in it."""

    directory: Path
    name: str = field(
        default_factory=lambda: f"fragrance-test-{os.getpid()}-{secrets.token_hex(3)}"
    )

    def __post_init__(self) -> None:
        # What a unit and a line of cron would take for something of their own.
        self.state = self.directory / "its state, 100% $HOME"
        self.file = self.directory / "compose.yaml"
        self.file.write_text(f"name: {self.name}\n{SERVICE}")

    def boot(self, *command: str, options: tuple[str, ...] = ()) -> None:
        """Run the machine; *command* is its pid 1."""
        read_only = {str(PROJECT), str(Path(sys.prefix))}
        if sys.base_prefix != "/usr":  # else the machine has the same
            read_only.add(sys.base_prefix)
        plugins = json.loads(docker("info", "--format", "{{json .ClientInfo.Plugins}}"))
        compose = next(p["Path"] for p in plugins if p["Name"] == "compose")
        client = Path(shutil.which("docker") or "").resolve()
        mounts = [f"{self.directory}:{self.directory}"]
        mounts += [f"{path}:{path}:ro" for path in sorted(read_only)]
        mounts += [
            "/var/run/docker.sock:/var/run/docker.sock",
            f"{client}:/usr/bin/docker:ro",
            f"{compose}:/usr/libexec/docker/cli-plugins/docker-compose:ro",
        ]
        docker(
            *("run", "--detach", "--name", self.name, "--network", "host"),
            *("--tmpfs", "/run", "--tmpfs", "/tmp"),
            *(word for mount in mounts for word in ("--volume", mount)),
            *(*options, IMAGE, *command),
        )

    def reboot(self) -> None:
        """Stop everything in it and start it again."""
        docker("restart", "--time", "10", self.name)

    def run(self, *command: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a command in it."""
        return subprocess.run(
            ["docker", "exec", "--workdir", str(PROJECT), self.name, *command],
            capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip

    def fragrance(self, *words: str) -> str:
        """Run one of our commands in it and return what it said."""
        which = ["--state", str(self.state), "--file", str(self.file)]
        done = self.run(sys.executable, "-P", "-m", "console", *which, *words, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def start(self) -> str:
        """Start the project."""
        return self.fragrance("start", "--runtime", "compose", "--detach")

    def processes(self, module: str) -> list[int]:
        """Return the pids of those that run *module*."""
        look = "cd /proc; for p in [0-9]*; do echo $p $(tr '\\0' ' ' <$p/cmdline); done 2>&-"
        lines = [line.split() for line in self.run("sh", "-c", look).stdout.splitlines()]
        return [int(words[0]) for words in lines if words[2:4] == ["-m", module]]

    def agents(self) -> list[int]:
        """Return the pids of the agents."""
        return self.processes("console.agent")

    def agent_begins(self) -> int:
        """Return how often an agent has begun to collect."""
        return (self.state / "agent.log").read_text().count("agent begins")

    def remove(self) -> None:
        """Take everything away."""
        with suppress(AssertionError, subprocess.SubprocessError):
            self.fragrance("stop", "--yes")
        for words in (
            ("rm", "--force", "--volumes", self.name),
            ("compose", "--project-name", self.name, "down", "--volumes", "--timeout", "1"),
        ):
            with suppress(subprocess.SubprocessError):
                docker(*words)


@pytest.fixture(scope="module")
def image() -> str:
    if not docker("image", "ls", "--quiet", IMAGE):
        made = subprocess.run(
            ["bash", "-c", MAKE_IMAGE, "bash", IMAGE],
            cwd=PROJECT, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
    return IMAGE


@pytest.fixture
def machine(image: str, tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    try:
        yield made
    finally:
        made.remove()


def test_systemd_brings_the_agent_back_and_is_the_only_one_to_keep_it(machine: Machine) -> None:
    # Of cgroups v1 there is no private view that systemd could write to.
    v2 = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    groups = ("private",) if v2 else ("host", "--volume", "/sys/fs/cgroup:/sys/fs/cgroup")
    machine.boot(
        "/sbin/init", options=("--privileged", "--stop-signal", "SIGRTMIN+3", "--cgroupns", *groups)
    )
    wait_for(lambda: _booted(machine), 30, "the machine is up")

    said = machine.start()
    name = next(word for word in said.split() if word.startswith("fragrance-agent-"))
    unit = f"/etc/systemd/system/{name}"
    assert f"systemd keeps the agent, and starts it after a reboot: {name}" in said
    verified = machine.run("systemd-analyze", "verify", unit)
    assert (verified.returncode, verified.stderr) == (0, ""), verified.stderr
    before = machine.agents()
    machine.start()
    assert machine.agents() == before, "nothing to change, nothing done"

    begun = machine.agent_begins()
    machine.reboot()
    wait_for(lambda: machine.agent_begins() > begun, REBOOT_SECONDS, "the agent is back")
    status = json.loads(machine.fragrance("status", "--json"))
    assert (status["agent"], machine.agent_begins()) == ("running", begun + 1)
    (agent,) = machine.agents()
    machine.run("sh", "-c", f"kill -KILL {agent}")
    wait_for(lambda: machine.agents() not in ([], [agent]), 15, "systemd starts it again")
    assert len(machine.agents()) == 1
    assert machine.processes("console.runtimes.compose.keeper") == []

    # A stack that somebody else stopped needs no agent, though its unit be there.
    (machine.state / "compose" / "wanted").write_text("down\n")
    machine.run("systemctl", "kill", "--signal", "KILL", name)
    wait_for(lambda: _active(machine, name) == "inactive", 15, "the agent stays away")
    assert machine.agents() == []

    # From a keeper, as where there was no systemd when it was started.
    (machine.state / "compose" / "wanted").write_text("up\n")
    machine.run("rm", unit)
    which = ["--state", str(machine.state), "--file", str(machine.file)]
    keeper = [sys.executable, "-m", "console.runtimes.compose.keeper", *which]
    docker("exec", "--detach", "--workdir", str(PROJECT), machine.name, *keeper)
    wait_for(machine.agents, 15, "the keeper starts the agent")
    machine.start()
    wait_for(lambda: len(machine.agents()) == 1, 15, "one agent")
    assert machine.processes("console.runtimes.compose.keeper") == []
    assert _active(machine, name) == "active"

    assert f"{name} removed from systemd" in machine.fragrance("stop", "--yes")
    assert machine.agents() == []
    left = machine.run("find", "/etc/systemd/system", "-name", "*fragrance*")
    assert left.stdout == ""


def test_cron_brings_the_agent_back_where_there_is_no_systemd(machine: Machine) -> None:
    machine.boot("/usr/sbin/cron", "-f", options=("--init",))
    wait_for(lambda: machine.run("test", "-e", "/run/crond.pid").returncode == 0, 10, "cron runs")
    theirs = 'MAILTO=""\n# an operator\'s own\n0 3 * * * true 100\\%\n'
    machine.run("sh", "-c", f"printf '%s' {shlex.quote(theirs)} | crontab -")

    assert "cron starts the agent after a reboot" in machine.start()
    table = machine.run("crontab", "-l").stdout
    machine.start()
    assert machine.run("crontab", "-l").stdout == table
    assert table.startswith(theirs)
    assert table.count("@reboot") == 1

    begun = machine.agent_begins()
    machine.reboot()
    wait_for(lambda: machine.agent_begins() > begun, REBOOT_SECONDS, "the agent is back")
    status = json.loads(machine.fragrance("status", "--json"))
    assert (status["agent"], len(machine.agents())) == ("running", 1)
    assert len(machine.processes("console.runtimes.compose.keeper")) == 1

    machine.fragrance("stop", "--yes")
    assert machine.agents() == machine.processes("console.runtimes.compose.keeper") == []
    assert machine.run("crontab", "-l").stdout == theirs


def test_without_either_a_start_says_what_to_type(machine: Machine) -> None:
    machine.boot("sleep", "infinity", options=("--init",))

    said = machine.start()

    assert "after a reboot the agent needs fragrance start" in said
    assert machine.run("crontab", "-l").stdout == "", "nobody would read it"
    assert len(machine.agents()) == 1


def _booted(machine: Machine) -> bool:
    return machine.run("systemctl", "is-system-running").stdout.strip() in {"running", "degraded"}


def _active(machine: Machine, unit: str) -> str:
    return machine.run("systemctl", "is-active", unit).stdout.strip()
