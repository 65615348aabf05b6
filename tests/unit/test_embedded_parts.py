"""The small parts of the embedded runtime: files, ports, secrets, words, figures."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from console.domain.services import ReplicaState, Role
from console.errors import Refused, Unreachable
from console.runtimes.embedded.bring_up import bring_up, make_directories
from console.runtimes.embedded.child import describe_exit, fill
from console.runtimes.embedded.environment import product_environment, system_environment
from console.runtimes.embedded.execute import OUTPUT_BYTES, execute
from console.runtimes.embedded.layout import Layout
from console.runtimes.embedded.observe import compose_topology
from console.runtimes.embedded.port_choice import RANGE, choose_ports
from console.runtimes.embedded.secret_files import ensure_secrets, read_secret
from console.runtimes.embedded.specs import (
    Catalogue,
    Program,
    ReplicaRecord,
    ReplicaSpec,
    ServiceDefinition,
)
from console.runtimes.embedded.statistics import Statistics
from console.runtimes.files import JsonDirectory, write_atomic
from console.runtimes.naming import lowest_free_names, service_of
from tests.contract.runtimes import SmallBlueprint
from tests.stack import wait_for

PROGRAM = Program(command=("true",), environment={"PATH": os.environ["PATH"]}, directory="/")
SERVICE = ServiceDefinition(
    name="web",
    role=Role.APP,
    program=PROGRAM,
    labels={"console.health.url": "http://127.0.0.1:{port}/ready"},
)
SPEC = ReplicaSpec(name="web-1", service="web", program=PROGRAM)


@dataclass
class Note:
    text: str


def test_a_file_is_replaced_as_a_whole_and_private(tmp_path: Path) -> None:
    path = tmp_path / "note"
    write_atomic(path, b"old")
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["note"]


def test_a_damaged_file_does_not_hide_the_others(tmp_path: Path) -> None:
    notes = JsonDirectory(tmp_path, Note)
    notes.write("good", Note("yes"))
    notes.file("bad").write_text("{")
    notes.file("wrong").write_text('{"text": 5}')
    (tmp_path / ".half.tmp").write_text("x")
    assert notes.read() == {"good": Note("yes"), "bad": None, "wrong": None}
    notes.write("bad", Note("mended"))
    assert notes.read()["bad"] == Note("mended")
    notes.remove("bad")
    notes.remove("bad")
    assert notes.get("bad") is None
    assert JsonDirectory(tmp_path / "absent", Note).read() == {}


def test_names_fill_the_gaps() -> None:
    assert lowest_free_names("app", 3, ["app-2", "other-1"]) == ["app-1", "app-3", "app-4"]
    assert lowest_free_names("app", 0, []) == []
    assert service_of("worker-llm-12") == "worker-llm"
    assert service_of("supervisor") == ""


def test_ports_of_last_time_are_kept_and_taken_ones_replaced() -> None:
    told: list[str] = []
    taken = {8000, 15432}
    ports = choose_ports(
        {"app": 8000, "postgres": 15432, "redis": 16379},
        {"redis": 17000},
        told.append,
        lambda port: port not in taken,
    )
    assert ports == {"app": 8001, "postgres": 15433, "redis": 17000}
    assert told == [
        "port 8000 is in use by another program: app gets 8001",
        "port 15432 is in use by another program: postgres gets 15433",
    ]


def test_two_purposes_never_get_one_port() -> None:
    ports = choose_ports({"a": 9000, "b": 9000}, {}, lambda _: None, lambda _: True)
    assert sorted(ports.values()) == [9000, 9001]


def test_an_exhausted_range_is_refused() -> None:
    with pytest.raises(Refused, match=f"8000 to {8000 + RANGE - 1}"):
        choose_ports({"app": 8000}, {}, lambda _: None, lambda _: False)


def test_secrets_are_made_once_and_addresses_follow_the_ports(tmp_path: Path) -> None:
    assert ensure_secrets(tmp_path, {"postgres": 1, "redis": 2})
    first = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert not ensure_secrets(tmp_path, {"postgres": 7, "redis": 2})
    second = {path.name: path.read_text() for path in tmp_path.iterdir()}
    changed = {name for name in first if first[name] != second[name]}
    assert changed == {"database_url", "pgpass"}
    assert ":7/fragrance" in second["database_url"]
    assert len(first["secret_key"]) >= 32
    assert read_secret(tmp_path, "absent") is None


def test_of_the_operators_environment_only_what_is_named_is_passed_on() -> None:
    environ = {"PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "x", "LOG_LEVEL": "DEBUG", "LANG": ""}
    assert system_environment(environ) == {"PATH": "/bin"}
    assert product_environment(environ) == {"LOG_LEVEL": "DEBUG"}


@pytest.mark.parametrize(
    ("status", "words"),
    [(0, "exited with 0"), (1 << 8, "exited with 1"), (9, "killed by SIGKILL")],
)
def test_an_exit_is_put_in_words(status: int, words: str) -> None:
    assert describe_exit(status) == words


def test_only_known_names_are_filled_in() -> None:
    assert fill("{fd} {unknown} {}", {"fd": "7"}) == "7 {unknown} {}"


def record(**changes: object) -> ReplicaRecord:
    fields: dict[str, object] = {
        "name": "web-1",
        "service": "web",
        "state": ReplicaState.RUNNING,
        "started_at": datetime(2026, 1, 1, tzinfo=UTC),
        "ports": {"private": 4000},
    }
    return ReplicaRecord(**(fields | changes))  # type: ignore[arg-type]  # fields of a test


def test_a_record_of_a_process_that_is_gone_is_not_believed() -> None:
    gone = record(pid=2**22 + 1, start_ticks=1)
    for supervised, state in ((True, ReplicaState.BACKOFF), (False, ReplicaState.EXITED)):
        topology = compose_topology(
            Catalogue(services=(SERVICE,)),
            {"web-1": SPEC},
            {"web-1": gone},
            supervised=supervised,
        )
        (replica,) = topology.services[0].replicas
        assert (replica.state, replica.pid, replica.started_at) == (state, None, None)
        assert replica.exit_reason == "its process is gone"
        assert replica.health_url == "http://127.0.0.1:4000/ready"


def test_a_recycled_pid_is_somebody_else() -> None:
    ours = record(pid=os.getpid(), start_ticks=1)
    topology = compose_topology(
        Catalogue(services=(SERVICE,)), {"web-1": SPEC}, {"web-1": ours}, supervised=True
    )
    assert topology.services[0].replicas[0].pid is None


def test_figures_count_the_whole_tree_of_a_replica() -> None:
    code = "import os, signal\nif os.fork() == 0:\n    while True: pass\nsignal.pause()\n"
    process = subprocess.Popen([sys.executable, "-S", "-c", code], start_new_session=True)
    try:
        statistics = Statistics()
        roots = {"web-1": process.pid, "gone-1": 2**22 + 1}
        assert statistics.read(roots)["web-1"].cpu_cores is None
        wait_for(
            lambda: (statistics.read(roots)["web-1"].cpu_cores or 0) > 0.1, 20, "the child's CPU"
        )
        assert "gone-1" not in statistics.read(roots)
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def test_a_command_that_hangs_is_ended_with_all_it_started() -> None:
    spec = ReplicaSpec(name="web-1", service="web", program=PROGRAM)
    with pytest.raises(Unreachable, match=r"longer than 0\.3 s"):
        execute(spec, ["sh", "-c", "sleep 60 & sleep 60"], 0.3)
    assert execute(spec, ["no-such-program"], 5).exit_code == 127


def test_of_a_long_output_the_end_is_kept() -> None:
    code = f"print('a' * {OUTPUT_BYTES}); print('the end')"
    done = execute(SPEC, ["python", "-c", code], 20)
    assert len(done.output) == OUTPUT_BYTES
    assert done.output.endswith("the end\n")


def test_a_state_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused, match="cannot be written"):
        make_directories(Layout(tmp_path / "file" / "state"))


def test_a_full_disk_is_refused_before_anything_starts(tmp_path: Path) -> None:
    blueprint = SmallBlueprint()
    blueprint.free_bytes_needed = 2**62
    with pytest.raises(Refused, match="are needed"):
        bring_up(Layout(tmp_path), blueprint, None, "dev", os.environ, lambda _: None)
    assert not list(Layout(tmp_path).replicas.iterdir())


def test_readers_never_see_half_a_file(tmp_path: Path) -> None:
    notes = JsonDirectory(tmp_path, Note)
    notes.write("n", Note("x" * 5000))
    done = threading.Event()

    def write() -> None:
        for number in range(300):
            notes.write("n", Note(str(number % 10) * 5000), durable=False)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    reader = JsonDirectory(tmp_path, Note)
    while not done.is_set():
        note = reader.read()["n"]
        assert note is not None
        assert len(set(note.text)) == 1
    writer.join()
