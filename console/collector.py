"""
The collector: reads every source, remembers, and composes snapshots.

Each source is read by one thread at a time, on its own schedule; a source that
hangs or fails costs nobody else anything.  All judgement is in
:mod:`console.domain.assemble`; here is only when to read and what to keep.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from console.domain.alerts import Alert
from console.domain.assemble import Identity, absorb, assemble
from console.domain.observed import Failure, Observed, latest_topology
from console.domain.readings import RuntimeReading
from console.domain.services import Health
from console.domain.snapshot import Snapshot
from console.domain.windows import Windows
from console.errors import ConsoleError, Refused
from console.ports import Clock, Runtime, Source
from console.settings import Settings

log = logging.getLogger(__name__)
# Without an agent's log nobody asked for these lines; on a screen they would be dirt.
log.addHandler(logging.NullHandler())

#: A picture older than this is composed anew before it is given out: ages move on.
RECOMPOSE_AFTER_SECONDS = 0.5
#: A failing source keeps its rhythm this often, so that a restart's end is seen at once;
#: then it is asked less and less, down to once in this many seconds.
TRIES_BEFORE_BACKOFF = 5
LONGEST_BACKOFF_SECONDS = 5.0
#: Least pause between two reads of a source that is woken by changes.
LEAST_PAUSE_SECONDS = 0.05
#: How long a fresh collection waits for its slowest source; less than three intervals,
#: or what was read first would be stale before the picture is complete.
COLLECT_TIMEOUT_SECONDS = 2.5
#: Read first: what the others ask depends on what runs.
RUNTIME_SOURCE = "runtime"
#: They say whether what runs also works: read at once when something started or died,
#: and more often while something is coming up, because somebody waits for it.
LIVENESS_SOURCES = frozenset({"health", "broker", "database"})
HURRIED_SECONDS = 0.25


@dataclass
class _Slot:
    """One source with what belongs to its reading."""

    source: Source
    reading: threading.Lock = field(default_factory=threading.Lock)
    wake: threading.Event = field(default_factory=threading.Event)
    failures: int = 0


class Collector:
    """
    Collects one stack.

    Args:
        sources: In the order of the snapshot's ``sources``; the one called
            ``runtime`` is read first.
        settings: Environment and policy.
        runtime: Its name, and its word that something changed.
        clock: Time of the records.
    """

    def __init__(
        self, sources: Sequence[Source], settings: Settings, runtime: Runtime, clock: Clock
    ) -> None:
        self._slots = {source.name: _Slot(source) for source in sources}
        self._policy = settings.policy
        self._identity = Identity(settings.environment, runtime.name)
        self._runtime = runtime
        self._clock = clock
        self._changed = threading.Condition()
        self._observations = {
            source.name: Observed(source.name, source.interval_seconds) for source in sources
        }
        self._windows = Windows()
        self._alerts: tuple[Alert, ...] = ()
        self._ended: tuple[Alert, ...] = ()
        self._latest: Snapshot | None = None
        self._threads: list[threading.Thread] = []
        self._stopping = threading.Event()

    # One picture now -----------------------------------------------------------

    def collect(
        self, names: Collection[str] | None = None, timeout: float = COLLECT_TIMEOUT_SECONDS
    ) -> Snapshot:
        """
        Read sources now, all at once, and return the picture.

        Args:
            names: Which sources; None for all.  Others keep their last reading.
            timeout: Seconds for all of them together; what has not answered by
                then is in the picture as failed.
        """
        wanted = [slot for name, slot in self._slots.items() if names is None or name in names]
        deadline = self._clock.monotonic() + timeout
        first = [slot for slot in wanted if slot.source.name == RUNTIME_SOURCE]
        self._read_all(first, deadline)
        self._read_all([slot for slot in wanted if slot not in first], deadline)
        return self._compose()

    def latest_or_collect(self) -> Snapshot:
        """
        Return the present picture.

        While the background threads run it is theirs, composed anew when it is
        half a second old so that ages are true; else everything is read now.
        """
        if not self._threads or self._latest is None:
            return self.collect()
        with self._changed:
            age = (self._clock.now() - self._latest.taken_at).total_seconds()
            return self._latest if 0 <= age < RECOMPOSE_AFTER_SECONDS else self._compose()

    def remember_alerts(self, alerts: Sequence[Alert], ended: Sequence[Alert] = ()) -> None:
        """Take over alerts of an earlier collector, so that ``since`` outlives a restart."""
        with self._changed:
            self._alerts = tuple(alerts)
            self._ended = tuple(ended)

    # In the background -----------------------------------------------------------

    def start(self) -> None:
        """Keep reading every source on its own schedule; idempotent."""
        with self._changed:
            if self._threads:
                return
            self._stopping = threading.Event()
            self._threads = [
                threading.Thread(
                    target=self._follow,
                    args=(slot, self._stopping),
                    name=f"source-{name}",
                    daemon=True,
                )
                for name, slot in self._slots.items()
            ]
            for thread in self._threads:
                thread.start()

    def stop(self, timeout: float = 3.0) -> None:
        """Stop the threads and close what sources keep open; idempotent."""
        with self._changed:
            threads, self._threads = self._threads, []
            self._stopping.set()
        for slot in self._slots.values():
            slot.wake.set()
        deadline = self._clock.monotonic() + timeout
        for thread in threads:
            thread.join(max(0.0, deadline - self._clock.monotonic()))
        for slot in self._slots.values():
            self._close(slot)

    def wait(self, after: datetime | None, timeout: float) -> Snapshot | None:
        """
        Return a picture taken later than *after*, None when none came in time.

        Args:
            after: ``taken_at`` of the last one seen; None for any.
            timeout: Seconds.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: (
                    self._latest is not None and (after is None or self._latest.taken_at > after)
                ),
                timeout,
            )
            latest = self._latest
        return latest if latest is not None and (after is None or latest.taken_at > after) else None

    # -----------------------------------------------------------------------------

    def _follow(self, slot: _Slot, stopping: threading.Event) -> None:
        """Read one source again and again until told to stop."""
        if slot.source.name != RUNTIME_SOURCE:
            with self._changed:  # the first topology says what there is to ask
                self._changed.wait_for(
                    lambda: latest_topology(self._observations) is not None,
                    slot.source.interval_seconds,
                )
        woken_by_change = False
        while not stopping.is_set():
            begun = self._clock.monotonic()
            slot.wake.clear()
            if slot.reading.acquire(blocking=False):  # else a one-shot is reading it now
                try:
                    self._read(slot)
                finally:
                    slot.reading.release()
                self._compose()
            if woken_by_change:  # only now: what the others ask follows from what runs now
                for name in LIVENESS_SOURCES & self._slots.keys():
                    self._slots[name].wake.set()
            pause = slot.source.interval_seconds
            if slot.failures > TRIES_BEFORE_BACKOFF:
                doubled = pause * 2.0 ** min(10, slot.failures - TRIES_BEFORE_BACKOFF)
                pause = max(pause, min(doubled, LONGEST_BACKOFF_SECONDS))
            if slot.source.name in LIVENESS_SOURCES and self._awaits_a_start():
                pause = min(pause, HURRIED_SECONDS)
            taken = self._clock.monotonic() - begun
            woken_by_change = self._pause(slot, max(LEAST_PAUSE_SECONDS, pause - taken), stopping)

    def _awaits_a_start(self) -> bool:
        latest = self._latest
        return latest is not None and any(
            replica.health is Health.STARTING
            for service in latest.services
            for replica in service.replicas
        )

    def _pause(self, slot: _Slot, seconds: float, stopping: threading.Event) -> bool:
        """Wait until the next read is due; True when the runtime said that something changed."""
        wait_for_change: Callable[[float], bool] | None = getattr(
            slot.source, "wait_for_change", None
        )
        if wait_for_change is None or slot.failures:
            slot.wake.wait(seconds)
            return False
        try:
            changed = wait_for_change(seconds)
        except ConsoleError:
            slot.wake.wait(seconds)
            return False
        if changed:
            stopping.wait(LEAST_PAUSE_SECONDS / 5)  # several changes often come together
        return changed

    def _read_all(self, slots: Sequence[_Slot], deadline: float) -> None:
        """Read several sources at once; give up on what takes longer than the deadline."""
        begun_at = self._clock.now()
        threads = [
            threading.Thread(target=self._read_once, args=(slot, deadline), daemon=True)
            for slot in slots
        ]
        for thread in threads:
            thread.start()
        for slot, thread in zip(slots, threads, strict=True):
            thread.join(max(0.0, deadline - self._clock.monotonic()))
            if thread.is_alive():
                self._record_failure(slot, Failure.BROKEN, "no answer in time", begun_at)

    def _read_once(self, slot: _Slot, deadline: float) -> None:
        if slot.reading.acquire(timeout=max(0.0, deadline - self._clock.monotonic())):
            try:
                self._read(slot)
            finally:
                slot.reading.release()

    def _read(self, slot: _Slot) -> None:
        """Read one source and record what came of it; never raises."""
        topology = latest_topology(self._observations)
        begun_at = self._clock.now()
        try:
            reading = slot.source.read(topology)
        except Refused as error:
            self._record_failure(slot, Failure.NOT_CONFIGURED, error.message, begun_at)
        except ConsoleError as error:
            self._record_failure(slot, Failure.NO_ANSWER, error.message, begun_at)
        except Exception as error:  # one that is broken takes nothing away from the others
            words = f"the source broke: {type(error).__name__}: {error}"
            if not slot.failures:
                log.exception("source %s broke", slot.source.name)
            self._record_failure(slot, Failure.BROKEN, words, begun_at)
        else:
            if slot.failures:
                log.info("source %s answers again", slot.source.name)
            slot.failures = 0
            now = self._clock.now()
            observed = Observed(
                slot.source.name,
                slot.source.interval_seconds,
                reading=reading,
                begun_at=begun_at,
                read_at=now,
            )
            if isinstance(reading, RuntimeReading):
                topology = reading.topology
            with self._changed:
                self._observations = {**self._observations, slot.source.name: observed}
                self._windows = absorb(self._windows, reading, topology, begun_at, now)

    def _record_failure(
        self, slot: _Slot, failure: Failure, words: str, begun_at: datetime
    ) -> None:
        if not slot.failures:
            level = logging.INFO if failure is Failure.NOT_CONFIGURED else logging.WARNING
            log.log(level, "source %s gives nothing: %s", slot.source.name, words)
        slot.failures += 1
        with self._changed:
            before = self._observations[slot.source.name]
            self._observations = {
                **self._observations,
                slot.source.name: replace(before, failure=failure, error=words, failed_at=begun_at),
            }

    def _compose(self) -> Snapshot:
        with self._changed:
            snapshot = assemble(
                self._observations,
                self._windows,
                self._policy,
                self._clock.now(),
                identity=self._identity,
                previous_alerts=self._alerts,
                ended_alerts=self._ended,
            )
            self._alerts, self._ended = snapshot.alerts, snapshot.ended_alerts
            self._latest = snapshot
            self._changed.notify_all()
            return snapshot

    def _close(self, slot: _Slot) -> None:
        """Close a source that nobody reads; one that hangs keeps what it holds."""
        close: Callable[[], None] | None = getattr(slot.source, "close", None)
        if close is not None and slot.reading.acquire(blocking=False):
            try:
                close()
            except (ConsoleError, OSError) as error:
                log.warning("source %s cannot be closed: %s", slot.source.name, error)
            finally:
                slot.reading.release()
