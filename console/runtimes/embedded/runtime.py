"""The embedded runtime: plain processes on this machine, nothing to install."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from console.domain.description import ServiceDescription
from console.domain.services import ReplicaStats, Topology
from console.domain.tunables import Setting
from console.errors import Unreachable, UsageError
from console.ports import Clock, ExecResult, LogLine, LogRequest
from console.runtimes.embedded import heartbeat, tunables
from console.runtimes.embedded.blueprint import Blueprint
from console.runtimes.embedded.bring_up import bring_up, make_spec, wanted_up
from console.runtimes.embedded.catalogue import CatalogueFile
from console.runtimes.embedded.child import fill
from console.runtimes.embedded.describe import describe
from console.runtimes.embedded.execute import execute
from console.runtimes.embedded.launch import poke, start_supervisor, supervisor_runs
from console.runtimes.embedded.layout import Layout
from console.runtimes.embedded.log_reader import LogReader
from console.runtimes.embedded.observe import compose_topology
from console.runtimes.embedded.processes import is_alive
from console.runtimes.embedded.product import ProductBlueprint
from console.runtimes.embedded.secret_files import read_secret
from console.runtimes.embedded.specs import (
    Catalogue,
    Companion,
    ReplicaRecord,
    ReplicaSpec,
    ServiceDefinition,
)
from console.runtimes.embedded.statistics import Statistics
from console.runtimes.embedded.take_down import take_down
from console.runtimes.files import JsonDirectory
from console.runtimes.locks import FileLock
from console.runtimes.naming import lowest_free_names, service_of
from console.runtimes.old_logs import KeepsLogFiles
from console.settings import PROJECT, Settings

WATCH_SECONDS = 0.1
SPECS_LOCK_SECONDS = 10.0


class EmbeddedRuntime(KeepsLogFiles):
    """
    Replicas as processes under a supervisor of our own.

    Holds no truth: desired and observed state are files, so any number of
    consoles may use one stack at once.

    Args:
        settings: Where the state is.
        clock: Time; waiting for changes is by the system's own.
        blueprint: What the stack consists of; the product by default.
        agent: Keep the resident agent running beside it.
    """

    name = "embedded"

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        blueprint: Blueprint | None = None,
        *,
        agent: bool = True,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._layout = Layout(settings.state)
        self._blueprint = blueprint or ProductBlueprint()
        self._agent = agent
        self._catalogue = CatalogueFile(self._layout.services)
        self._specs = JsonDirectory(self._layout.replicas, ReplicaSpec)
        self._records = JsonDirectory(self._layout.run, ReplicaRecord)
        self._statistics = Statistics()
        # As texts: looked at ten times a second, a path object costs more than the look.
        self._watched = [
            str(path) for path in (self._layout.run, self._layout.replicas, self._layout.services)
        ]
        self._seen: object = None

    # Observing ---------------------------------------------------------------

    def topology(self) -> Topology:
        """
        Return what should run and what runs, from files and ``/proc`` alone.

        Raises:
            Unreachable: If the catalogue is damaged.
        """
        try:
            catalogue = self._catalogue.read()
            specs, records = self._specs.read(), self._records.read()
        except OSError as error:
            raise Unreachable(
                f"the state directory {self._layout.root} cannot be read: {error.strerror}",
                unchanged="what runs goes on running",
            ) from error
        supervised = supervisor_runs(self._layout)
        told = compose_topology(catalogue or Catalogue(), specs, records, supervised=supervised)
        return replace(told, doubt=heartbeat.doubt(self._layout) if supervised else "")

    def describe(self, service: str) -> ServiceDescription:
        """Return everything that is written down of *service*, and what ``/proc`` says."""
        definition = self._definition(service)
        catalogue = self._catalogue.read() or Catalogue()
        return describe(
            self._layout, catalogue, definition, self._specs.read(), self._records.read()
        )

    def wait_for_change(self, timeout_seconds: float) -> bool:
        """Block until something started, died or changed since the last call."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            seen = self._signature()
            if seen != self._seen:
                self._seen = seen
                return True
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return False
            time.sleep(min(WATCH_SECONDS, remaining))

    def _signature(self) -> object:
        """Return something that differs after any change; cheap, called often."""
        stamps = []
        for path in self._watched:
            try:
                stamps.append(os.stat(path).st_mtime_ns)  # noqa: PTH116 - see above
            except OSError:
                stamps.append(0)
        supervised = supervisor_runs(self._layout)
        # Without a supervisor nobody writes down that a process went.
        alive = () if supervised else tuple(sorted(self._living().items()))
        return (*stamps, supervised, alive)

    def _living(self) -> dict[str, int]:
        return {
            name: record.pid
            for name, record in self._records.read().items()
            if record is not None
            and record.pid is not None
            and is_alive(record.pid, record.start_ticks, record.boot_id or None)
        }

    def stats(self, topology: Topology) -> dict[str, ReplicaStats]:
        """Return CPU and memory by replica, all processes of a replica counted."""
        roots = {
            replica.id: replica.pid
            for service in topology.services
            for replica in service.replicas
            if replica.pid is not None
        }
        return self._statistics.read(roots)

    def logs(self, request: LogRequest) -> Iterator[LogLine | None]:
        """Yield log lines merged in time order."""
        return LogReader(self._layout, self._service_of).read(request)

    def exec(self, replica: str, command: Sequence[str], timeout_seconds: float) -> ExecResult:
        """Run *command* with the environment of *replica*; ``python`` is its interpreter."""
        return execute(self._spec(replica), command, timeout_seconds)

    def connection_url(self, service: str) -> str | None:
        """Return the URL, with credentials, of a database or broker service."""
        definition = (self._catalogue.read() or Catalogue()).service(service)
        if definition is None or definition.url_secret is None:
            return None
        url = read_secret(self._layout.secrets, definition.url_secret)
        # The product names its driver in the URL; to the world it is PostgreSQL's.
        return url.replace("postgresql+psycopg://", "postgresql://", 1) if url else None

    # Starting, removing, restarting ------------------------------------------

    def replica_names(self, service: str, count: int, taken: Sequence[str]) -> list[str]:
        """Return the *count* lowest free names."""
        self._definition(service)
        return lowest_free_names(service, count, {*taken, *self._specs.read()})

    def start_replica(self, service: str, replica: str, labels: dict[str, str]) -> None:
        """Write the spec of *replica*; one that is leaving is wanted again."""
        definition = self._definition(service)
        catalogue = self._catalogue.read() or Catalogue()
        with self._changing_specs():
            present = self._specs.get(replica)
            if present is None or present.leaving:
                spec = make_spec(catalogue, definition, replica, labels)
                # Another process than the one that is leaving, should it live on.
                generation = present.generation + 1 if present is not None else 0
                self._specs.write(replica, replace(spec, generation=generation))
        poke(self._layout)

    def start_command(self, service: str, replica: str) -> str:
        """Return the command line of the process."""
        program = self._definition(service).program
        names = {"replica": replica, "shared_fd": "SHARED", "private_fd": "OWN"}
        words = [fill(word, names) for word in program.command]
        if words[0] == sys.executable:
            words[0] = "python"
        return f"REPLICA_NAME={replica} {shlex.join(words)}"

    def remove_replica(self, replica: str, grace_seconds: float) -> None:
        """Mark *replica* as leaving; its spec goes when its process has."""
        with self._changing_specs():
            spec = self._specs.get(replica)
            if spec is not None:
                changed = replace(spec, leaving=True, grace_seconds=grace_seconds)
                self._specs.write(replica, changed)
            else:
                # A damaged spec: the supervisor takes a missing one for a farewell.
                self._specs.remove(replica)
        poke(self._layout)

    def remove_command(self, replica: str, grace_seconds: float) -> str:
        """Return what the supervisor does to the process."""
        spec = self._specs.get(replica)
        name = spec.program.stop_signal if spec is not None else "TERM"
        return f"kill -{name} {replica}, kill -KILL after {grace_seconds:g} s"

    def restart_replica(self, replica: str, grace_seconds: float) -> None:
        """Ask for another process of the same name."""
        with self._changing_specs():
            spec = self._spec(replica)
            self._specs.write(
                replica,
                replace(spec, generation=spec.generation + 1, grace_seconds=grace_seconds),
            )
        poke(self._layout)

    def restart_command(self, replica: str, grace_seconds: float) -> str:
        """Return what the supervisor does to the process."""
        return f"{self.remove_command(replica, grace_seconds)}; start it again"

    def _changing_specs(self) -> FileLock:
        lock = FileLock(self._layout.specs_lock)
        try:
            held = lock.acquire(SPECS_LOCK_SECONDS)
        except OSError as error:
            raise Unreachable(
                f"the state directory {self._layout.root} cannot be written: {error.strerror}",
                unchanged="nothing was changed",
            ) from error
        if not held:
            raise Unreachable(
                "the specs of the replicas are held by another process",
                unchanged="nothing was changed",
                remedy="fragrance status, then try again",
            )
        return lock

    def _spec(self, replica: str) -> ReplicaSpec:
        spec = self._specs.get(replica)
        if spec is None:
            raise UsageError(
                f"there is no replica {replica!r}",
                unchanged="nothing was changed",
                remedy="fragrance status",
            )
        return spec

    def _definition(self, service: str) -> ServiceDefinition:
        catalogue = self._catalogue.read() or Catalogue()
        found = catalogue.service(service)
        if found is None:
            known = ", ".join(s.name for s in catalogue.services) or "none: nothing was started yet"
            raise UsageError(
                f"there is no service {service!r}",
                unchanged="nothing was changed",
                remedy=f"services: {known}",
            )
        return found

    def _service_of(self, replica: str) -> str:
        record = self._records.get(replica)
        return record.service if record is not None else service_of(replica) or replica

    # Settings ----------------------------------------------------------------

    def settings(self) -> tuple[Setting, ...]:
        """Return the settings that some service reads."""
        return tunables.known(self._catalogue.read(), self._layout)

    def concerned(self, values: Mapping[str, str | None]) -> tuple[str, ...]:
        """Return the services that read them."""
        return tunables.concerned(self._catalogue.read() or Catalogue(), values)

    def write_settings(self, values: Mapping[str, str | None]) -> None:
        """Change what new replicas are given, and what the next start gives them."""
        tunables.write(self._layout, values)

    def why_not_anew(self, service: str) -> str:
        """Return that what a replica keeps here goes by its name."""
        return f"what {service} keeps on this machine belongs to its one replica"

    def settings_command(self, values: Mapping[str, str | None]) -> str:
        """Return what is written, and where."""
        words = ", ".join(f"{k}={v}" if v is not None else f"no {k}" for k, v in values.items())
        return f"write {words} into {self._layout.settings}"

    # The whole stack ---------------------------------------------------------

    def bring_up(self, progress: Callable[[str], None]) -> None:
        """Make what is missing and start everything; see :func:`bring_up.bring_up`."""
        companion = Companion(
            command=(
                *(sys.executable, "-m", "console.agent", "--state", str(self._layout.state)),
                *(("--file", str(self._settings.file)) if self._settings.file else ()),
            ),
            lock=str(self._layout.agent_lock),
            directory=str(PROJECT),
        )
        bring_up(
            self._layout,
            self._blueprint,
            companion if self._agent else None,
            self._settings.environment,
            os.environ,
            progress,
        )

    def wanted(self) -> bool:
        """Whether the stack was started and not stopped since."""
        return wanted_up(self._layout)

    def take_down(self, progress: Callable[[str], None], timeout_seconds: float) -> None:
        """Stop agent, replicas and supervisor; data stays."""
        take_down(self._layout, progress, timeout_seconds)

    def revive(self) -> bool:
        """
        Start the supervisor again if it died though the stack should run.

        Called every second by the agent, so it says no quickly.
        """
        if not wanted_up(self._layout) or supervisor_runs(self._layout):
            return False
        start_supervisor(self._layout)
        return True
