"""
The resident agent: collects once for everybody who watches one stack.

``python -m console.agent --state DIR``.  It leaves its last picture in the state,
keeps a short history, and starts the runtime's supervision again should that die.
Whatever of this fails is said once in its log and tried again; only the loss of
its lock, or a signal, ends it.
"""

from __future__ import annotations

import argparse
import logging
import logging.handlers
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol

from console.capabilities import StartsStack, TellsEvents
from console.collector import Collector
from console.domain.decisions import Decision
from console.domain.differences import eventful, happenings, significant
from console.domain.happenings import Happening, Kind
from console.domain.observed import NOT_READ_YET
from console.domain.operations import Actor
from console.domain.snapshot import AgentState, Snapshot
from console.duties.autoscale import ACTOR_NAME, AutoscaleDuty
from console.duties.elevation import ElevationDuty
from console.duties.settling import SettleDuty
from console.engine import Engine
from console.errors import ConsoleError
from console.journal.agent_lock import AgentLock
from console.journal.history import EVERY_SECONDS
from console.modes import adopt_umask, make_directory, open_file
from console.ports import Clock, Film, History, Pictures, Runtime
from console.settings import Settings, load_settings, policy_path

log = logging.getLogger("console.agent")

#: The picture is written at least this often, so that its age can be seen.
PICTURE_SECONDS = 1.0
#: Pictures of the past are no closer than this, whatever happens.
FILM_LEAST_SECONDS = 1.0
REVIVE_SECONDS = 2.0
#: How often duties are attended to; each has a rhythm of its own besides.
DUTY_SECONDS = 1.0
#: Alerts of a picture older than this began anew for all we know.
ALERTS_KEPT_SECONDS = 300.0
LOG_BYTES = 1024 * 1024


class Duty(Protocol):
    """Something the agent does by itself, from one snapshot at a time."""

    @property
    def name(self) -> str:
        """For the log."""

    def attend(self, snapshot: Snapshot) -> None:
        """Do what is due now; may take some seconds, in a thread of the duties."""


class Agent:
    """
    The agent's loop, apart from process, lock and signals.

    Args:
        collector: Observes.
        pictures: Where the last snapshot goes.
        history: Where figures go.
        runtime: Its supervision is revived, where it has one.
        clock: Time.
        still_wanted: Asked now and then; False ends the loop (its lock is gone).
        duties: What it does by itself, one after the other.
        decisions: The autoscaler's, for the picture.
        film: Where pictures of the past go.
        film_seconds: Between two of these where nothing happens.
    """

    def __init__(
        self,
        collector: Collector,
        pictures: Pictures,
        history: History,
        runtime: Runtime,
        clock: Clock,
        still_wanted: Callable[[], bool] = lambda: True,
        duties: Sequence[Duty] = (),
        decisions: Callable[[], tuple[Decision, ...]] = tuple,
        film: Film | None = None,
        film_seconds: float = 10.0,
    ) -> None:
        self._collector = collector
        self._pictures = pictures
        self._history = history
        self._runtime = runtime
        self._clock = clock
        self._still_wanted = still_wanted
        self._duties = duties
        self._decisions = decisions
        self._seen: Snapshot | None = None
        self._told: Snapshot | None = None
        self._ending = threading.Event()
        self._failing: set[str] = set()
        self._written: tuple[object, ...] | None = None
        self._written_at = self._kept_at = self._filmed_at = float("-inf")
        self._film, self._film_seconds = film, film_seconds
        self._filmed: tuple[object, ...] | None = None

    def run(self) -> None:
        """Collect until :meth:`end` is called or the agent is no longer wanted."""
        self._take_over_alerts()
        self._collector.start()
        helpers = [
            threading.Thread(target=self._keep_alive, name="revive", daemon=True),
            threading.Thread(target=self._attend, name="duties", daemon=True),
        ]
        for helper in helpers:
            helper.start()
        seen = None
        try:
            while not self._ending.is_set() and self._still_wanted():
                snapshot = self._collector.wait(seen, PICTURE_SECONDS)
                if snapshot is None:
                    snapshot = self._collector.latest_or_collect()
                seen = snapshot.taken_at
                self._seen = replace(
                    snapshot, agent=AgentState.RUNNING, autoscale=self._decisions()
                )
                self._keep(self._seen)
                self._tell(self._seen)
        finally:
            self._ending.set()
            self._collector.stop()
            for helper in helpers:
                helper.join(1.0)

    def end(self) -> None:
        """Make :meth:`run` return soon; may be called from a signal handler."""
        self._ending.set()

    def _tell(self, snapshot: Snapshot) -> None:
        """Keep what happened since the last picture in which everything had been asked."""
        runtime = self._runtime
        if isinstance(runtime, TellsEvents) and (events := runtime.events()):
            told = [
                Happening(e.at, Kind.RUNTIME, e.replica, f"{e.replica} {e.words}", e.grave)
                for e in events
            ]
            self._duty("happenings", lambda: self._history.note(told))
        if not _whole(snapshot):
            return
        before, self._told = self._told, snapshot
        if before is not None and (happened := happenings(before, snapshot)):
            self._duty("happenings", lambda: self._history.note(happened))

    def _keep(self, snapshot: Snapshot) -> None:
        now = self._clock.monotonic()
        state = significant(snapshot)
        if state != self._written or now - self._written_at >= PICTURE_SECONDS:
            if self._duty("picture", lambda: self._pictures.write(snapshot)):
                self._written = state
            self._written_at = now
        if now - self._kept_at >= EVERY_SECONDS:
            self._duty("history", lambda: self._history.append(snapshot))
            self._kept_at = now
        if self._film is not None and _whole(snapshot):
            self._shoot(self._film, snapshot, now)

    def _shoot(self, film: Film, snapshot: Snapshot, now: float) -> None:
        """Keep the picture for who looks back: in its rhythm, and when something happened."""
        state, since = eventful(snapshot), now - self._filmed_at
        if since >= self._film_seconds or (
            state != self._filmed and since >= FILM_LEAST_SECONDS
        ):  # fmt: skip
            self._duty("film", lambda: film.append(snapshot))
            self._filmed, self._filmed_at = state, now

    def _attend(self) -> None:
        """Attend to the duties, apart from the pictures: one that takes long delays none."""
        while not self._ending.wait(DUTY_SECONDS):
            if self._seen is not None:
                for duty in self._duties:
                    self._duty(duty.name, partial(duty.attend, self._seen))

    def _keep_alive(self) -> None:
        """Start the supervision again whenever it died though the stack should run."""
        runtime = self._runtime
        if not isinstance(runtime, StartsStack):
            return
        while not self._ending.wait(REVIVE_SECONDS):
            self._duty("supervision", lambda: self._revive(runtime))

    def _revive(self, runtime: StartsStack) -> None:
        if runtime.revive():
            log.warning("the supervision had died and was started again")

    def _take_over_alerts(self) -> None:
        last = self._pictures.read()
        if last is None:
            return
        if (self._clock.now() - last.taken_at).total_seconds() <= ALERTS_KEPT_SECONDS:
            self._collector.remember_alerts(last.alerts, last.ended_alerts)
            self._told = last  # what happened meanwhile is told as well

    def _duty(self, name: str, do: Callable[[], None]) -> bool:
        """Do one thing; a failure is told once, as is the recovery."""
        try:
            do()
        except ConsoleError as error:
            if name not in self._failing:
                log.warning("%s fails, going on without it: %s", name, error.message)
        except Exception:
            if name not in self._failing:
                log.exception("%s fails, going on without it", name)
        else:
            if name in self._failing:
                log.info("%s works again", name)
            self._failing.discard(name)
            return True
        self._failing.add(name)
        return False


def _whole(snapshot: Snapshot) -> bool:
    """Whether every source has been asked: what was not is no news, and no past either."""
    return not any(s.age_seconds is None and s.error == NOT_READ_YET for s in snapshot.sources)


class PolicyWatch:
    """
    Whether the policy file was changed since the agent began.

    The agent ends then, and whoever keeps it starts it again with the new policy.  One
    that cannot be used is told once and left alone: better the old one than none.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._path = policy_path(settings.file)
        self._mark = self._look()

    def changed(self) -> bool:
        """Look at the file; True when it says something else now."""
        mark = self._look()
        if mark == self._mark:
            return False
        self._mark = mark
        try:
            found = load_settings(
                state=str(self._settings.state),
                file=None if self._settings.file is None else str(self._settings.file),
            )
        except ConsoleError as error:
            log.warning("the policy was changed and cannot be used: %s", error.message)
            return False
        if found.policy == self._settings.policy:
            return False
        log.info("the policy was changed: the agent begins anew")
        return True

    def _look(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size


def _scale_by(engine: Engine) -> Callable[[str, int, str], str | None]:
    """Return what scales a service for the autoscaler, through the ordinary journal."""

    def scale(service: str, target: int, reason: str) -> str | None:
        plan = engine.plan("scale", {"targets": {service: target}})
        if not plan.steps:
            return None
        return engine.submit(plan, reason, Actor(ACTOR_NAME, os.getuid())).id

    return scale


def main(argv: Sequence[str]) -> int:
    """Run the agent of one state directory; 0 at once when it has one already."""
    from console.bootstrap import build_engine
    from console.journal.film import FilmStore
    from console.journal.history import HistoryStore
    from console.journal.picture import PictureFile

    parser = argparse.ArgumentParser(prog="console.agent", description=__doc__)
    parser.add_argument("--state", metavar="DIR", required=True)
    parser.add_argument("--file", metavar="COMPOSE_FILE")
    arguments = parser.parse_args(argv)
    try:
        settings = load_settings(state=arguments.state, file=arguments.file)
        make_directory(settings.state)
        adopt_umask(settings.state)
        lock = AgentLock(settings.state)
        if not lock.take():
            return 0
    except (ConsoleError, OSError) as error:
        print(f"console.agent: {error}", file=sys.stderr)
        return 1
    os.close(open_file(settings.state / "agent.log", os.O_WRONLY))
    _log_to(settings.state / "agent.log")
    engine = build_engine(settings)
    history = HistoryStore(settings.state, engine.clock)
    film = FilmStore(settings.state, engine.clock, settings.policy.rewind)
    policy = PolicyWatch(settings)
    autoscaler = AutoscaleDuty(engine.journal, settings.policy, engine.clock, _scale_by(engine))
    agent = Agent(
        engine.collector,
        PictureFile(settings.state),
        history,
        engine.runtime,
        engine.clock,
        lambda: lock.still_ours() and not policy.changed(),
        [
            SettleDuty(engine.journal, settings.policy, engine.clock),
            ElevationDuty(engine.journal),
            autoscaler,
        ],
        autoscaler.decisions,
        film,
        settings.policy.rewind.every_seconds,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: agent.end())
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # whoever started it may hang up
    log.info("agent begins, environment %s", settings.environment)
    try:
        agent.run()
    except Exception:
        log.exception("agent ends by a fault of its own")
        return 1
    finally:
        history.close()
        film.close()
        log.info("agent ends")
        lock.release()
    return 0


def _log_to(path: Path) -> None:
    handler = logging.handlers.RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=1)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
