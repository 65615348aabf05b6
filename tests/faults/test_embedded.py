"""The embedded runtime when things die: real supervisor, tiny replicas."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from console.clock import SystemClock
from console.domain.services import ReplicaFact, ReplicaState
from console.errors import Refused, Unreachable
from console.runtimes.embedded import heartbeat
from console.runtimes.embedded.blueprint import Progress, Site
from console.runtimes.embedded.bring_up import bring_up
from console.runtimes.embedded.launch import start_supervisor, supervisor_pid
from console.runtimes.embedded.layout import Layout
from console.runtimes.embedded.leftovers import find_leftovers, marker
from console.runtimes.embedded.processes import marked_processes, read_stat
from console.runtimes.embedded.specs import Companion
from console.runtimes.locks import FileLock, is_locked, lock_holder
from console.settings import Settings
from console.sources.runtime_state import RuntimeSource
from tests.contract.runtimes import SERVE, FullRuntime, SmallBlueprint, embedded
from tests.stack import wait_for

SECONDS = 15.0
QUIET: Progress = lambda _: None  # noqa: E731  a default for many calls


class Bench:
    """A small stack and what one needs to look into it."""

    def __init__(self, state: Path, **programs: str) -> None:
        self.layout = Layout(state)
        self.blueprint = SmallBlueprint(programs=programs)
        self.runtime: FullRuntime = embedded(state, self.blueprint).runtime

    def up(self) -> Bench:
        self.runtime.bring_up(QUIET)
        self.wait_running()
        return self

    def replica(self, name: str) -> ReplicaFact:
        for service in self.runtime.topology().services:
            for replica in service.replicas:
                if replica.name == name:
                    return replica
        raise AssertionError(f"no {name}")

    def pid(self, name: str) -> int:
        pid = self.replica(name).pid
        assert pid is not None
        return pid

    def pids(self) -> set[int]:
        return set(marked_processes(marker(self.layout)))

    def running(self, *names: str) -> bool:
        return all(self.replica(n).state is ReplicaState.RUNNING for n in names)

    def wait_running(self, *names: str) -> None:
        wanted = names or ("web-1", "web-2", "job-1")
        wait_for(lambda: self.running(*wanted), SECONDS, f"{wanted} run")

    def supervisor(self) -> int:
        pid = supervisor_pid(self.layout)
        assert pid is not None
        return pid

    def port(self) -> int:
        return int(json.loads(self.layout.services.read_text())["ports"]["web"])


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    """Make small stacks; each is taken down, and must then leave nothing behind."""
    made: list[Bench] = []

    def make_one(**programs: str) -> Bench:
        made.append(Bench(tmp_path / f"state {len(made)}", **programs))
        return made[-1]

    yield make_one
    for bench in made:
        bench.runtime.take_down(QUIET, 5)
        assert not find_leftovers(bench.layout)
        assert not bench.pids()


def connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError:
        return False
    return True


def test_a_killed_replica_is_back_at_its_address(make: Callable[..., Bench]) -> None:
    bench = make().up()
    address = bench.replica("web-1").health_url
    other = bench.pid("web-2")
    os.kill(bench.pid("web-1"), signal.SIGKILL)
    wait_for(lambda: bench.replica("web-1").restarts == 1, SECONDS, "restarted", every=0.02)
    again = bench.replica("web-1")
    assert again.exit_reason == "killed by SIGKILL"
    assert again.health_url == address, "its private address outlives its process"
    assert bench.pid("web-2") == other


def test_the_grandchildren_of_a_dead_replica_go_with_it(make: Callable[..., Bench]) -> None:
    forks = "import os, signal\nif os.fork() == 0: signal.pause()\n" + SERVE
    bench = make(job=forks).up()
    wait_for(lambda: len(bench.pids()) == 4, SECONDS, "the grandchild lives")
    before = bench.pids()
    os.kill(bench.pid("job-1"), signal.SIGKILL)
    wait_for(lambda: len(bench.pids() - before) == 2, SECONDS, "job and its child are new")
    assert len(bench.pids()) == 4


def test_a_replica_that_cannot_live_is_tried_ever_more_slowly(make: Callable[..., Bench]) -> None:
    bench = make(job="import sys; print('no model', file=sys.stderr); sys.exit(7)")
    bench.runtime.bring_up(QUIET)
    wait_for(lambda: bench.replica("job-1").restarts >= 3, SECONDS, "tried again")
    wait_for(lambda: bench.replica("job-1").state is ReplicaState.BACKOFF, SECONDS, "waits")
    assert bench.replica("job-1").exit_reason == "exited with 7"
    count = bench.replica("job-1").restarts
    assert count < 8, "0.2 s doubling: it may not spin"
    bench.wait_running("web-1", "web-2")


def test_a_killed_supervisor_leaves_no_orphan_and_is_revived(make: Callable[..., Bench]) -> None:
    bench = make().up()
    port = bench.port()
    assert connects(port)
    before = bench.pids()
    os.kill(bench.supervisor(), signal.SIGKILL)
    wait_for(lambda: not bench.pids(), 5, "every replica was told by the kernel")
    stopped = bench.runtime.topology()
    assert not stopped.running
    assert {r.state for s in stopped.services for r in s.replicas} == {ReplicaState.EXITED}
    assert bench.runtime.revive()
    bench.wait_running()
    assert bench.port() == port
    assert connects(port), "the shared socket is bound again"
    assert not bench.pids() & before
    assert bench.replica("web-1").restarts == 1
    assert bench.replica("web-1").exit_reason == "its supervisor died"


def test_revive_waits_for_a_replica_that_is_slow_to_leave(make: Callable[..., Bench]) -> None:
    slow = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (time.sleep(8), sys.exit(0)))\n"
        "while True: signal.pause()\n"
    )
    bench = make(job=slow).up()
    old = bench.pid("job-1")
    os.kill(bench.supervisor(), signal.SIGKILL)
    wait_for(lambda: not bench.runtime.topology().running, SECONDS, "supervisor gone")
    assert bench.replica("job-1").state is ReplicaState.STOPPING
    assert bench.runtime.revive()
    bench.wait_running("web-1", "web-2")
    assert bench.pids() >= {old}, "the others did not wait for it"
    bench.wait_running("job-1")
    assert old not in bench.pids()
    assert bench.pid("job-1") != old


@pytest.mark.slow
def test_a_deaf_leftover_is_killed_before_its_successor_starts(make: Callable[..., Bench]) -> None:
    deaf = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nsignal.pause()\n"
    bench = make(job=deaf).up()
    old = bench.pid("job-1")
    os.kill(bench.supervisor(), signal.SIGKILL)
    wait_for(lambda: not bench.runtime.topology().running, SECONDS, "supervisor gone")
    assert bench.runtime.revive()
    wait_for(lambda: bench.replica("job-1").pid not in (None, old), 30, "another process")
    assert old not in bench.pids()


def test_a_deaf_replica_is_killed_when_its_grace_is_over(make: Callable[..., Bench]) -> None:
    deaf = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nsignal.pause()\n"
    bench = make(job=deaf).up()
    began = time.monotonic()
    bench.runtime.remove_replica("job-1", 1.0)
    wait_for(
        lambda: "job-1" not in [p.stem for p in bench.layout.replicas.glob("*.json")],
        SECONDS,
        "gone",
    )
    assert time.monotonic() - began > 0.9


def test_stop_works_without_a_supervisor_too(make: Callable[..., Bench]) -> None:
    bench = make().up()
    os.kill(bench.supervisor(), signal.SIGKILL)
    bench.runtime.take_down(QUIET, 5)
    assert not bench.pids()
    assert not bench.runtime.revive()


def test_a_hung_supervisor_can_be_stopped(make: Callable[..., Bench]) -> None:
    bench = make().up()
    pid = bench.supervisor()
    os.kill(pid, signal.SIGSTOP)
    ended = threading.Timer(3.0, lambda: os.kill(pid, signal.SIGCONT))
    ended.start()
    try:
        bench.runtime.take_down(QUIET, 1)
    finally:
        ended.join()
    assert not bench.pids()


def test_a_hung_supervisor_makes_what_it_says_unknown(
    make: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "SILENT_SECONDS", 3.0)
    bench = make().up()
    source = RuntimeSource(bench.runtime)
    wait_for(lambda: bench.runtime.topology().doubt == "", SECONDS, "it is heard")
    pid = bench.supervisor()
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_for(lambda: bench.runtime.topology().doubt, SECONDS, "it is missed")
        with pytest.raises(Unreachable, match="supervisor has not been heard for"):
            source.read(None)
        assert bench.runtime.topology().running, "stop and logs still find what there is"
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_for(lambda: bench.runtime.topology().doubt == "", SECONDS, "it is heard again")
    monkeypatch.undo()  # a busy machine may pause it for seconds
    assert source.read(None).topology.running


def test_there_is_one_supervisor_however_many_are_started(make: Callable[..., Bench]) -> None:
    bench = make().up()
    pid = bench.supervisor()
    start_supervisor(bench.layout)
    assert bench.supervisor() == pid
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not bench.pids(), SECONDS, "all gone")
    threads = [threading.Thread(target=start_supervisor, args=(bench.layout,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    bench.wait_running()
    assert len(bench.pids()) == 3


def test_two_starts_at_once_make_one_stack(make: Callable[..., Bench]) -> None:
    bench = make()
    told: list[str] = []
    threads = [
        threading.Thread(target=bench.runtime.bring_up, args=(told.append,)) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    bench.wait_running()
    assert told.count("completed") == 1
    assert told[-1] == "already running"
    assert len(bench.pids()) == 3


def test_a_start_that_was_cut_short_is_finished_by_the_next(make: Callable[..., Bench]) -> None:
    bench = make()
    whole = bench.blueprint.complete

    def cut_short(site: Site, progress: Progress) -> None:
        raise KeyboardInterrupt

    bench.blueprint.complete = cut_short  # type: ignore[method-assign]  # the fault
    with pytest.raises(KeyboardInterrupt):
        bench.runtime.bring_up(QUIET)
    bench.wait_running()
    before = bench.pids()
    bench.blueprint.complete = whole  # type: ignore[method-assign]  # mended
    told: list[str] = []
    bench.runtime.bring_up(told.append)
    assert "completed" in told
    bench.wait_running()
    assert bench.pids() == before, "what runs is not restarted for it"


def test_a_stop_interrupts_a_start(make: Callable[..., Bench]) -> None:
    bench = make()
    waiting = threading.Event()
    failures: list[BaseException] = []

    def wait_for_ever(site: Site, progress: Progress) -> None:
        waiting.set()
        while True:
            site.check()
            time.sleep(0.02)

    def start() -> None:
        try:
            bench.runtime.bring_up(QUIET)
        except Refused as error:
            failures.append(error)

    bench.blueprint.complete = wait_for_ever  # type: ignore[method-assign]  # the fault
    thread = threading.Thread(target=start)
    thread.start()
    assert waiting.wait(SECONDS)
    bench.runtime.take_down(QUIET, 5)
    thread.join(SECONDS)
    assert [str(f) for f in failures] == ["somebody stopped the stack while it was starting"]
    assert not bench.pids()


def test_a_port_that_a_stranger_took_is_replaced_and_said(make: Callable[..., Bench]) -> None:
    bench = make().up()
    port = bench.port()
    bench.runtime.take_down(QUIET, 5)
    with socket.create_server(("127.0.0.1", port)):
        told: list[str] = []
        bench.runtime.bring_up(told.append)
        bench.wait_running()
        assert bench.port() != port
        assert any(f"port {port} is in use by another program" in line for line in told)
        assert connects(bench.port())
        assert bench.runtime.topology().endpoints["api"].endswith(str(bench.port()))


def test_a_damaged_spec_stops_nobody_and_is_mended_by_start(make: Callable[..., Bench]) -> None:
    bench = make().up()
    web, job = bench.pid("web-1"), bench.pid("job-1")
    (bench.layout.replicas / "web-1.json").write_text('{"name": 5')
    bench.runtime.start_replica("web", "web-3", {})
    bench.wait_running("web-1", "web-3")
    assert (bench.pid("web-1"), bench.pid("job-1")) == (web, job)
    fact = bench.runtime.topology().service("web")
    assert fact is not None
    assert fact.desired == 3
    bench.runtime.take_down(QUIET, 5)
    bench.runtime.bring_up(QUIET)
    bench.wait_running("web-1", "web-2", "web-3", "job-1")


def test_a_damaged_record_is_survived(make: Callable[..., Bench]) -> None:
    bench = make().up()
    old = bench.pid("job-1")
    for record in bench.layout.run.glob("*.json"):
        record.write_bytes(b"\0\xff not json")
    assert bench.runtime.topology().running
    os.kill(bench.supervisor(), signal.SIGKILL)
    wait_for(lambda: not bench.runtime.topology().running, SECONDS, "supervisor gone")
    assert bench.runtime.revive()
    bench.wait_running()
    assert old not in bench.pids()
    assert len(bench.pids()) == 3


def test_a_spec_deleted_by_hand_is_a_farewell(make: Callable[..., Bench]) -> None:
    bench = make().up()
    old = bench.pid("web-2")
    (bench.layout.replicas / "web-2.json").unlink()
    wait_for(lambda: old not in bench.pids(), SECONDS, "web-2 left")
    assert bench.running("web-1", "job-1")


def test_the_companion_is_kept_running_and_ended_by_stop(make: Callable[..., Bench]) -> None:
    bench = make()
    lock = bench.layout.agent_lock
    code = (
        "import fcntl, os, signal, sys\n"
        "f = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)\n"
        "fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
        "signal.pause()\n"
    )
    companion = Companion(
        command=(sys.executable, "-S", "-c", code, str(lock)), lock=str(lock), directory="/"
    )
    bring_up(bench.layout, bench.blueprint, companion, "dev", os.environ, QUIET)
    wait_for(lambda: is_locked(lock), SECONDS, "the companion lives")
    first = lock_holder(lock)
    assert first is not None
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: is_locked(lock) and lock_holder(lock) != first, SECONDS, "it lives again")
    os.kill(bench.supervisor(), signal.SIGKILL)
    wait_for(lambda: not bench.pids(), SECONDS, "all replicas gone")
    assert is_locked(lock), "it must outlive the supervisor: it is who revives it"
    bench.runtime.take_down(QUIET, 5)
    assert not is_locked(lock)


def test_an_idle_supervisor_uses_next_to_nothing(make: Callable[..., Bench]) -> None:
    bench = make().up()

    def ticks() -> int:
        stat = read_stat(bench.supervisor())
        assert stat is not None
        return stat.cpu_ticks

    while bench.runtime.wait_for_change(0.5):
        pass
    before = ticks()
    assert not bench.runtime.wait_for_change(4), "nothing happens, so nothing is written"
    assert ticks() - before <= 2, "0.5 % of a core over four seconds"


def test_asking_whether_a_lock_is_held_keeps_nobody_from_taking_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch()
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            is_locked(path)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for _ in range(200):
            with FileLock(path) as lock:
                assert lock.acquire(2.0)
    finally:
        done.set()
        asking.join()


def test_a_stack_that_never_was_is_empty(tmp_path: Path) -> None:
    from console.runtimes.embedded import EmbeddedRuntime

    runtime = EmbeddedRuntime(Settings(project=tmp_path, state=tmp_path / "s"), SystemClock())
    topology = runtime.topology()
    assert not topology.running
    assert topology.services == ()
