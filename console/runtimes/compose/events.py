"""The engine's events about one project, received by one thread that comes back by itself."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from console.errors import ConsoleError
from console.runtimes.compose.containers import ContainerTable
from console.runtimes.compose.daemon import PROJECT_LABEL, Daemon

log = logging.getLogger(__name__)
log.addHandler(logging.NullHandler())

#: Health checks are run by ``exec``, whose events would wake us several times a second.
EVENTS = (
    "create",
    "start",
    "restart",
    "die",
    "oom",
    "kill",
    "stop",
    "pause",
    "unpause",
    "destroy",
    "rename",
    "update",
    "health_status",
)
#: Of those that nobody has asked for yet.
MOST_KEPT = 500
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0


class Watcher:
    """
    Tells when something happened to a project's containers.

    Args:
        daemon: The engine.
        table: Told which containers to ask about anew.
        project: Name of the project; asked when the stream is opened.
    """

    def __init__(self, daemon: Daemon, table: ContainerTable, project: Callable[[], str]) -> None:
        self._daemon = daemon
        self._table = table
        self._project = project
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._connected = False
        self._version = self._seen = 0
        self._out_of_memory: set[str] = set()
        self._told: deque[Mapping[str, Any]] = deque(maxlen=MOST_KEPT)

    @property
    def connected(self) -> bool:
        """Whether events are being received now."""
        return self._connected

    def start(self) -> None:
        """Begin to receive, in the background; idempotent."""
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._follow, name="docker-events", daemon=True
                )
                self._thread.start()

    def wait(self, timeout_seconds: float) -> bool:
        """Wait until something happened since the last call, or the timeout; True if so."""
        self.start()
        with self._changed:
            changed = self._changed.wait_for(
                lambda: self._version != self._seen, max(0.0, timeout_seconds)
            )
            self._seen = self._version
            return changed

    def _follow(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                for event in self._stream():
                    pause = FIRST_PAUSE_SECONDS
                    self._take(event)
            except ConsoleError as error:
                log.info("no events from the engine: %s", error.message)
            except Exception:  # they only come sooner than the next look, which goes on
                log.exception("the engine's events cannot be understood")
            if self._connected:
                self._connected = False
                self._table.doubt_all()
                self._tell()  # whoever looks now learns that the engine is gone
            time.sleep(pause)
            pause = min(LONGEST_PAUSE_SECONDS, pause * 2)

    def _stream(self) -> Iterator[Mapping[str, Any]]:
        """Yield events until the engine ends the stream, which it does only when it ends."""
        filters = {
            "type": ["container"],
            "event": list(EVENTS),
            "label": [f"{PROJECT_LABEL}={self._project()}"],
        }
        stream = self._daemon.events(filters)
        self._connected = True
        self._table.doubt_all()  # whatever happened before was not seen
        self._tell()
        yield from stream

    def taken(self) -> list[Mapping[str, Any]]:
        """Return the events received since the last call, as the engine sent them."""
        events = []
        while self._told:
            events.append(self._told.popleft())
        return events

    def _take(self, event: Mapping[str, Any]) -> None:
        self._told.append(event)
        container = str(event.get("id") or (event.get("Actor") or {}).get("ID") or "")
        action = str(event.get("Action", ""))
        if action == "oom":
            self._out_of_memory.add(container)
        elif action == "die":
            code = (event.get("Actor") or {}).get("Attributes", {}).get("exitCode", "0")
            self._table.died(
                container,
                int(code) if str(code).isdecimal() else 0,
                out_of_memory=container in self._out_of_memory,
            )
            self._out_of_memory.discard(container)
        self._table.doubt([container])
        self._tell()

    def _tell(self) -> None:
        with self._changed:
            self._version += 1
            self._changed.notify_all()
