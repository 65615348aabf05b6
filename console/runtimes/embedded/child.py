"""One replica under supervision: its process, its sockets, its record."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from console.domain.services import ReplicaState
from console.runtimes.embedded.layout import Layout
from console.runtimes.embedded.leftovers import Leftover, marker, remove_stale_files
from console.runtimes.embedded.processes import MARKER, boot_id, processes_in, read_stat
from console.runtimes.embedded.rotation import open_log
from console.runtimes.embedded.sockets import SharedSockets, listen, port_of
from console.runtimes.embedded.specs import ReplicaRecord, ReplicaSpec
from console.runtimes.files import JsonDirectory

FIRST_BACKOFF_SECONDS = 0.2
LONGEST_BACKOFF_SECONDS = 10.0
#: A process that lived this long is taken to be well: the backoff begins anew.
WELL_AFTER_SECONDS = 30.0
#: Patience with what a dead supervisor left, before it is killed.
LEFTOVER_SECONDS = 10.0
#: How often to look again at what no signal announces.
LOOK_AGAIN_SECONDS = 0.1


@dataclass
class _Process:
    pid: int
    generation: int
    since: float
    stop_at: float | None = None


class ReplicaProcess:
    """
    Brings one replica to what its spec says, a small step at each call.

    Args:
        spec: Desired state; replace it by assigning :attr:`spec`.
        record: What an earlier supervisor wrote, for the number of restarts.
        layout: Where logs and records are.
        shared: The sockets of all replicas.
        leftovers: Processes of this replica from a dead supervisor.
        report: Called with one line worth a note.
    """

    def __init__(
        self,
        spec: ReplicaSpec,
        record: ReplicaRecord | None,
        layout: Layout,
        shared: SharedSockets,
        leftovers: list[Leftover],
        report: Callable[[str], None],
    ) -> None:
        self.spec = spec
        self._layout = layout
        self._shared = shared
        self._leftovers = leftovers
        self._leftovers_since: float | None = None
        self._report = report
        self._records = JsonDirectory(layout.run, ReplicaRecord)
        self._process: _Process | None = None
        self._private: socket.socket | None = None
        self._backoff = FIRST_BACKOFF_SECONDS
        self._start_at = 0.0
        self._unsaved = True
        self._save_failed = False
        # A record that does not say "exited" is of a process nobody stopped.
        self._died = record is not None and record.state is not ReplicaState.EXITED
        self._last_exit = _predecessor_words(record) if record is not None and self._died else ""
        self.record = ReplicaRecord(
            name=spec.name,
            service=spec.service,
            state=ReplicaState.STARTING,
            restarts=record.restarts if record is not None and self._died else 0,
            exit_reason=self._last_exit,
        )

    @property
    def pid(self) -> int | None:
        """Process id while there is a process."""
        return self._process.pid if self._process else None

    @property
    def gone(self) -> bool:
        """Whether nothing of it runs."""
        return self._process is None and not self._leftovers

    def advance(self, now: float, *, run: bool) -> float | None:
        """
        Take the next step.

        Args:
            now: Monotonic seconds.
            run: False to stop it for this time; the spec may forbid it as well.

        Returns:
            When to call again at the latest, None when only an event matters.
        """
        run = run and not self.spec.leaving
        next_at: float | None
        if self._leftovers:
            next_at = self._wait_for_leftovers(now)
        elif self._process is not None:
            next_at = self._advance_process(self._process, now, run=run)
        elif not run:
            self._note(state=ReplicaState.EXITED)
            next_at = None
        elif now < self._start_at:
            next_at = self._start_at
        else:
            next_at = self._try_start(now)
        if self._unsaved:
            self._save()
        return next_at if not self._unsaved else now + LOOK_AGAIN_SECONDS

    def hurry(self) -> None:
        """Cut the grace of a stop that is under way; a database keeps its own."""
        if self._process is not None and self._process.stop_at is not None:
            self._process.stop_at = 0.0 if self.spec.program.tier > 0 else self._process.stop_at

    def exited(self, status: int, now: float) -> None:
        """
        Take note that the process ended.

        Args:
            status: As from ``os.waitpid``.
        """
        process, self._process = self._process, None
        if process is None:
            return
        asked = process.stop_at is not None
        self._last_exit = reason = describe_exit(status)
        self._died = not asked
        if asked:
            self._start_at = now
            self._backoff = FIRST_BACKOFF_SECONDS
            state = ReplicaState.EXITED
        else:
            if now - process.since >= WELL_AFTER_SECONDS:
                self._backoff = FIRST_BACKOFF_SECONDS
            self._start_at = now + self._backoff
            self._report(f"{self.spec.name} {reason}; next start in {self._backoff:g} s")
            self._backoff = min(2 * self._backoff, LONGEST_BACKOFF_SECONDS)
            state = ReplicaState.BACKOFF
        self._note(state=state, pid=None, start_ticks=None, started_at=None, exit_reason=reason)

    def forget(self) -> None:
        """Release its sockets and delete its record: it is gone for good."""
        if self._private is not None:
            self._private.close()
            self._private = None
        self._records.remove(self.spec.name)

    # -------------------------------------------------------------------------

    def _wait_for_leftovers(self, now: float) -> float:
        self._leftovers = [left for left in self._leftovers if left.alive]
        if not self._leftovers:
            return now
        if self._leftovers_since is None:
            self._leftovers_since = now
        first = self._leftovers[0]
        self._note(state=ReplicaState.STOPPING, pid=first.pid, start_ticks=first.start_ticks)
        waited = now - self._leftovers_since
        if waited >= LEFTOVER_SECONDS:
            for left in self._leftovers:
                left.send(signal.SIGKILL)
        elif waited >= LEFTOVER_SECONDS / 2:
            # The kernel told them already; a second, same signal is for the deaf only.
            for left in self._leftovers:
                left.send(_signal_number(self.spec.program.stop_signal))
        return now + (1.0 if waited >= 1.0 else LOOK_AGAIN_SECONDS)

    def _advance_process(self, process: _Process, now: float, *, run: bool) -> float | None:
        if process.stop_at is None:
            if run and process.generation == self.spec.generation:
                return None
            process.stop_at = now + self._grace_seconds(process)
            self._note(state=ReplicaState.STOPPING)
            self._save()
            _send(process.pid, _signal_number(self.spec.program.stop_signal))
        if now >= process.stop_at:
            self._report(f"{self.spec.name} did not stop in time: killed")
            _send_group(process.pid, signal.SIGKILL)
            process.stop_at = now + 1.0
        return process.stop_at

    def _grace_seconds(self, process: _Process) -> float:
        asked = self.spec.grace_seconds
        meant = self.spec.leaving or process.generation != self.spec.generation
        # The grace of one restart is not that of every later stop.
        return asked if meant and asked is not None else self.spec.program.grace_seconds

    def _try_start(self, now: float) -> float | None:
        obstacle = self._obstacle()
        if obstacle is not None:
            self._note(state=ReplicaState.STARTING, pid=None, exit_reason=obstacle)
            return now + LOOK_AGAIN_SECONDS
        try:
            pid = self._spawn()
        except OSError as error:
            self._start_at = now + self._backoff
            self._backoff = min(2 * self._backoff, LONGEST_BACKOFF_SECONDS)
            self._note(state=ReplicaState.BACKOFF, pid=None, exit_reason=_words(error, self.spec))
            return self._start_at
        stat = read_stat(pid)
        died, self._died = self._died, False
        self._process = _Process(pid, self.spec.generation, now)
        self._note(
            state=ReplicaState.RUNNING,
            pid=pid,
            start_ticks=stat.start_ticks if stat else None,
            boot_id=boot_id(),
            started_at=datetime.now(UTC),
            restarts=self.record.restarts + (1 if died else 0),
            release=self.spec.release,
            generation=self.spec.generation,
            ports=self._ports(),
            exit_reason=self._last_exit if died else "",
        )
        return None

    def _obstacle(self) -> str | None:
        program = self.spec.program
        if program.requires is not None and not Path(program.requires).exists():
            return f"waits for {Path(program.requires).name}"
        if program.exclusive_directory is None:
            return None
        directory = Path(program.exclusive_directory)
        if others := processes_in(directory):
            return f"waits for process {others[0]} to leave {directory.name}"
        for name in remove_stale_files(directory, program.stale_files):
            self._report(f"{self.spec.name}: removed {name} of a process that is gone")
        return None

    def _spawn(self) -> int:
        """
        Start the process; raises OSError.

        ``setpriv --pdeathsig`` makes the kernel tell it when this supervisor
        dies.  The wish is bound to the thread that forked, so this runs in the
        main thread only; and it is forgotten at a change of identity, so that
        the wrapper stands before it.
        """
        program = self.spec.program
        names = {"replica": self.spec.name}
        passed: list[int] = []
        if program.shared_port is not None:
            shared = self._shared.get(program.shared_port)
            names["shared_fd"] = str(shared.fileno())
            passed.append(shared.fileno())
        if program.private_socket:
            self._private = self._private or listen(0)
            names["private_fd"] = str(self._private.fileno())
            passed.append(self._private.fileno())
        command = [
            *program.wrapper,
            *("setpriv", "--pdeathsig", program.stop_signal, "--"),
            *(fill(argument, names) for argument in program.command),
        ]
        log = open_log(self._layout.log(self.spec.name))
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=program.directory,
                env=program.environment
                | {
                    "REPLICA_NAME": self.spec.name,
                    MARKER: marker(self._layout, self.spec.name),
                },
                start_new_session=True,
                pass_fds=passed,
            )
        finally:
            os.close(log)
        # The supervisor reaps every child in one place; this object must not.
        process.returncode = 0
        return process.pid

    def _ports(self) -> dict[str, int]:
        ports = {}
        if self._private is not None:
            ports["private"] = port_of(self._private)
        if self.spec.program.shared_port is not None:
            ports["shared"] = self.spec.program.shared_port
        return ports

    def _note(self, **changes: object) -> None:
        changed = replace(self.record, **changes)  # type: ignore[arg-type]  # checked by callers
        if changed != self.record:
            self.record = changed
            self._unsaved = True

    def _save(self) -> None:
        try:
            self._records.write(self.spec.name, self.record, durable=False)
            self._unsaved = self._save_failed = False
        except OSError as error:
            # A full disk must not stop supervision; tried again at the next step.
            if not self._save_failed:
                self._report(f"{self.spec.name}: its record cannot be written: {error.strerror}")
            self._save_failed = True


def fill(text: str, names: dict[str, str]) -> str:
    """Replace ``{name}`` for every known name, leaving other braces alone."""
    for name, value in names.items():
        text = text.replace("{" + name + "}", value)
    return text


def describe_exit(status: int) -> str:
    """Return words for a wait status: ``killed by SIGKILL``, ``exited with 1``."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exited with {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def _predecessor_words(record: ReplicaRecord) -> str:
    if record.boot_id and record.boot_id != boot_id():
        return "the machine was restarted"
    return "its supervisor died"


def _words(error: OSError, spec: ReplicaSpec) -> str:
    port = spec.program.shared_port
    if port is not None and error.filename is None:
        return f"port {port} cannot be opened: {error.strerror}"
    return f"cannot be started: {error.strerror} ({error.filename or spec.program.command[0]})"


def _signal_number(name: str) -> int:
    return int(signal.Signals[f"SIG{name}"])


def _send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _send_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
