"""
Which replicas the proxy sends requests to.

The members of an upstream are a file that nginx includes.  A change is written,
tested, loaded and then proven: nginx serves the number of the configuration that
answers, because ``nginx -s reload`` succeeds before anything has changed.  A member
that was taken out has left only when the workers of the old configuration, which
may still send to it, are gone.
"""

from __future__ import annotations

import http.client
import re
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from console.domain.services import Role, Route
from console.domain.text import plain_text
from console.errors import ConsoleError, Unreachable
from console.runtimes.compose.containers import Container
from console.runtimes.compose.daemon import CHANGE_SECONDS, Daemon
from console.runtimes.compose.edge import upstream_members
from console.runtimes.compose.execute import descendants, execute
from console.runtimes.compose.model import Model, ServiceModel
from console.runtimes.files import write_atomic
from console.runtimes.locks import FileLock

DRAIN_LABEL = "console.drain"
STATUS_PORT = 8081
#: Answers in a row, each on a connection of its own, that must be of the new configuration.
PROOFS = 20
PROOF_SECONDS = 0.5
PROVEN_WITHIN_SECONDS = 10.0
POLL_SECONDS = 0.05
COMMAND_SECONDS = 15.0
LOCK_SECONDS = 30.0
_MEMBER = re.compile(r"^\s*server\s+([\w.-]+):\d+\s+resolve", re.MULTILINE)
_GENERATION = re.compile(r'return 200 "(\d+)')
#: Title of a worker that finishes what it has and takes nothing new.
_LEAVING_TITLE = b"is shutting down"


class Routing:
    """
    The upstreams of one project's proxy.

    Args:
        directory: ``STATE/compose/nginx/upstreams``, mounted into the proxy.
        daemon: The engine.
    """

    def __init__(self, directory: Path, daemon: Daemon) -> None:
        self._directory = directory
        self._daemon = daemon
        self._guard = threading.Lock()
        self._proven: tuple[str, str, object] | None = None

    def serves(self, service: ServiceModel) -> bool:
        """Whether the members of *service* are ours to set."""
        return service.labels.get(DRAIN_LABEL) == "http" and self._file(service.name).is_file()

    def routes(self, model: Model, containers: Sequence[Container]) -> dict[str, Route]:
        """Return where each replica of the proxied services stands, by container id."""
        served = [service for service in model.services if self.serves(service)]
        if not served:
            return {}
        proxy = _proxy(model, containers)
        in_force = proxy is not None and self._is_in_force(proxy)
        old_workers = in_force and proxy is not None and _has_old_workers(proxy)
        found: dict[str, Route] = {}
        for service in served:
            members = self._members(service.name)
            for container in containers:
                if container.service != service.name:
                    continue
                if not in_force:
                    route = Route.PENDING
                elif container.name in members:
                    route = Route.IN
                else:
                    route = Route.LEAVING if old_workers else Route.OUT
                found[container.id] = route
        return found

    def set_member(
        self,
        model: Model,
        service: ServiceModel,
        name: str,
        containers: Sequence[Container],
        *,
        member: bool,
    ) -> None:
        """
        Let the container called *name* get requests, or none any more.

        Returns once the new configuration answers; idempotent.

        Raises:
            Unreachable: If the proxy does not run or does not answer in time.
            ConsoleError: If nginx does not accept the configuration; the old one stays.
        """
        proxy = _proxy(model, containers)
        if proxy is None:
            raise Unreachable(
                "the proxy does not run",
                unchanged="requests are sent as before",
                remedy="fragrance status",
            )
        with self._changing():
            there = {c.name for c in containers if c.service == service.name}
            before = self._members(service.name)
            # What is gone is taken out on the way.
            kept = [m for m in before if m in there and m != name]
            after = sorted([*kept, name] if member else kept, key=_number)
            if sorted(before, key=_number) != after or not self._is_in_force(proxy):
                self._apply(proxy, service.name, after)

    def reload(self, model: Model, containers: Sequence[Container]) -> None:
        """
        Have the proxy load whatever its files say now; nothing where it does not run.

        Raises:
            Unreachable: If it does not answer in time.
            ConsoleError: If nginx does not accept the configuration; the old one stays.
        """
        proxy = _proxy(model, containers)
        served = next((s.name for s in model.services if self.serves(s)), None)
        if proxy is not None and served is not None:
            with self._changing():
                self._apply(proxy, served, self._members(served))

    def write_first(self, service: str, names: Iterable[str]) -> None:
        """Write the members before the proxy is started."""
        members = sorted(names, key=_number)
        with self._changing():
            if sorted(self._members(service), key=_number) != members:
                self._write(service, upstream_members(members))
                self._write("generation", _generation_text(self._generation() + 1))

    # -------------------------------------------------------------------------

    def _apply(self, proxy: Container, service: str, members: list[str]) -> None:
        old = {file: self._file(file).read_text() for file in (service, "generation")}
        generation = self._generation() + 1
        try:
            self._write(service, upstream_members(members))
            self._write("generation", _generation_text(generation))
            self._check(proxy)
        except BaseException:
            for file, text in old.items():
                self._write(file, text)
            raise
        # Needs no pid file and passes through an init; says as little as -s reload.
        self._daemon.call(lambda c: c.kill(proxy.id, signal="HUP"), CHANGE_SECONDS)
        deadline = time.monotonic() + PROVEN_WITHIN_SECONDS
        while not self._is_in_force(proxy):
            if time.monotonic() >= deadline:
                raise Unreachable(
                    f"the proxy still answers with an old configuration after "
                    f"{PROVEN_WITHIN_SECONDS:g} s",
                    unchanged="requests are sent as before",
                    remedy=f"fragrance logs {proxy.service}",
                )
            time.sleep(POLL_SECONDS)

    def _check(self, proxy: Container) -> None:
        command = ["nginx", "-e", "stderr", "-q", "-t"]
        done = execute(self._daemon, proxy.id, proxy.name, command, COMMAND_SECONDS)
        if done.exit_code != 0:
            raise ConsoleError(
                f"nginx declines the configuration: {plain_text(done.output[-400:], 300)}",
                unchanged="requests are sent as before",
                remedy=f"see {self._directory.parent}",
            )

    def _is_in_force(self, proxy: Container) -> bool:
        """Whether the proxy answers with the configuration that is written, every time."""
        wanted = str(self._generation())
        key = (wanted, proxy.id, proxy.started_at)
        with self._guard:
            if self._proven == key:
                return True
        address = next(iter(proxy.addresses.values()), None)
        if address is None:
            return False
        for _ in range(PROOFS):
            if _ask_generation(address) != wanted:
                return False
        with self._guard:
            self._proven = key
        return True

    def _generation(self) -> int:
        try:
            found = _GENERATION.search(self._file("generation").read_text(encoding="utf-8"))
        except OSError:
            return 0
        return int(found[1]) if found else 0

    def _members(self, service: str) -> list[str]:
        try:
            return _MEMBER.findall(self._file(service).read_text(encoding="utf-8"))
        except OSError:
            return []

    def _write(self, name: str, text: str) -> None:
        # Read by another user, inside a container; the state directory itself is closed.
        write_atomic(self._file(name), text.encode(), mode=0o644)

    def _file(self, name: str) -> Path:
        return self._directory / f"{name}.conf"

    def _changing(self) -> FileLock:
        lock = FileLock(self._directory.parent.parent / "routing.lock")
        if not lock.acquire(LOCK_SECONDS):
            raise Unreachable(
                "somebody else is changing where requests are sent",
                unchanged="nothing was changed",
                remedy="fragrance status, then try again",
            )
        return lock


def _generation_text(generation: int) -> str:
    return f'return 200 "{generation}";\n'


def proxies(model: Model, containers: Sequence[Container]) -> list[Container]:
    """Return the running containers of the proxy."""
    names = {service.name for service in model.services if service.role is Role.PROXY}
    return [c for c in containers if c.service in names and c.state == "running"]


def _proxy(model: Model, containers: Sequence[Container]) -> Container | None:
    return next(iter(proxies(model, containers)), None)


def _ask_generation(address: str) -> str | None:
    connection = http.client.HTTPConnection(address, STATUS_PORT, timeout=PROOF_SECONDS)
    try:
        connection.request("GET", "/generation")
        return connection.getresponse().read(64).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _has_old_workers(proxy: Container) -> bool:
    """Whether a worker of an earlier configuration still finishes requests."""
    if proxy.pid is None:
        return False
    for pid in descendants(proxy.pid):
        try:
            title = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if _LEAVING_TITLE in title:
            return True
    return False


def _number(name: str) -> tuple[int, str]:
    tail = name.rpartition("-")[2]
    return (int(tail) if tail.isdecimal() else 0, name)
