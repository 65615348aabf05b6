"""A compose project that knows nothing of us: opened, watched, scaled, restarted, stopped."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import httpx
import pytest

from tests.contract.runtimes import docker
from tests.foreign.glass import Glass
from tests.foreign.project import SERVICES, Shop
from tests.stack import PROJECT, wait_for

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Give the shop as its author has it running, with no thought of us."""
    name = f"fragrance-test-{os.getpid()}-{secrets.token_hex(2)}"
    made = Shop(tmp_path_factory.mktemp("foreign") / name / ".fragrance")
    try:
        made.compose("up", "--detach", timeout=180)
        yield made
    finally:
        made.remove()


@pytest.fixture
def closed(tmp_path: Path) -> Shop:
    """Give a shop that nobody has brought up."""
    return Shop(tmp_path / f"fragrance-test-{os.getpid()}-closed" / ".fragrance")


def answers(shop: Shop, count: int = 40) -> set[str]:
    """Ask the shop and return the replicas that answered."""
    found = set()
    with httpx.Client(base_url=f"http://127.0.0.1:{shop.port}", timeout=5) as client:
        for _ in range(count):
            found.add(client.get("/").raise_for_status().text.split()[0])
    return found


def test_it_is_opened_and_nothing_is_claimed_that_nobody_tells(shop: Shop) -> None:
    wait_for(lambda: shop.status()["overall"] == "healthy", 30, "healthy")
    status = shop.status()

    services = {service["name"]: service for service in status["services"]}
    assert services.keys() == SERVICES, "neither the job that is done nor the profile"
    assert {name: (s["ready"], s["desired"]) for name, s in services.items()} == dict.fromkeys(
        SERVICES, (1, 1)
    )
    checked = {name: s["health"] for name, s in services.items() if name not in ("worker", "proxy")}
    assert checked == dict.fromkeys(("web", "db", "cache"), "healthy")
    for name in ("worker", "proxy"):
        assert services[name]["health"] == "unknown"
        assert "nothing is configured to ask" in services[name]["reason"]
    assert f"http://127.0.0.1:{shop.port}" in status["endpoints"].values()
    assert len(shop.containers("init")) == 1, "the job did run"


def test_a_death_is_told_by_watch_with_its_reason(shop: Shop) -> None:
    watch = subprocess.Popen(
        shop.command("watch"), cwd=PROJECT, env=shop.environment(), text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    lines: list[str] = []

    def listen() -> None:
        assert watch.stdout is not None
        lines.extend(watch.stdout)

    listener = Thread(target=listen)
    listener.start()
    try:
        wait_for(lambda: any("worker" in line for line in lines), 20, "the first picture")
        docker("kill", f"{shop.name}-worker-1")
        told, *_ = wait_for(
            lambda: [line for line in lines if "killed by SIGKILL" in line],
            20,
            "the death is told",
        )
    finally:
        watch.send_signal(signal.SIGINT)
        watch.wait(10)
        listener.join(10)
        assert watch.stdout is not None
        watch.stdout.close()
        shop.said += lines
    assert "worker" in told
    assert watch.returncode == 130
    found = shop.service("worker")
    assert (found["health"], found["ready"]) == ("unhealthy", 0)
    assert shop.status()["overall"] == "degraded"


def test_a_restart_brings_back_what_was_killed(shop: Shop) -> None:
    before = shop.containers("worker")[0]
    done = shop.fragrance("restart", "worker", "--yes", "--reason", "it was killed")

    assert done.returncode == 0, done.stderr
    assert "done and verified" in done.stdout
    after = shop.containers("worker")[0]
    assert after["Id"] == before["Id"]
    assert after["State"]["Running"]
    assert after["State"]["StartedAt"] > before["State"]["StartedAt"]
    assert "packing" in docker("logs", "--since", after["State"]["StartedAt"], after["Id"])


def test_logs_are_merged_in_the_order_of_time(shop: Shop) -> None:
    httpx.get(f"http://127.0.0.1:{shop.port}/order", timeout=5).raise_for_status()

    def lines() -> list[dict[str, str]]:
        done = shop.fragrance("logs", "web", "worker", "db", "--json")
        assert done.returncode == 0, done.stderr
        found = [json.loads(line) for line in done.stdout.splitlines()]
        return found if any("packed" in line["text"] for line in found) else []

    found = wait_for(lines, 15, "the order is packed")
    assert [line["at"] for line in found] == sorted(line["at"] for line in found)
    assert {line["replica"] for line in found} == {"web-1", "worker-1", "db-1"}
    said = [line["text"] for line in found]
    came, packed = (
        next(n for n, text in enumerate(said) if word in text) for word in ("came in", "packed")
    )
    assert came < packed


def test_it_is_scaled_and_what_was_added_works(shop: Shop) -> None:
    first = shop.containers("web")[0]
    done = shop.fragrance("scale", "web=3", "--yes", "--reason", "many fish", timeout=120)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "done and verified" in done.stdout
    assert shop.running("web") == [f"{shop.name}-web-{n}" for n in (1, 2, 3)]
    wait_for(lambda: len(answers(shop)) == 3, 15, "each of the three answers")
    done = shop.fragrance("scale", "web=1", "--yes", "--reason", "fewer fish", timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [each["Id"] for each in shop.containers("web")] == [first["Id"]]
    assert "Recreate" not in shop.compose("--progress", "plain", "up", "--detach")
    assert [each["Id"] for each in shop.containers("web")] == [first["Id"]]


@pytest.mark.parametrize("service", ["db", "cache"])
def test_two_servers_are_never_let_onto_one_database(shop: Shop, service: str) -> None:
    done = shop.fragrance("scale", f"{service}=2", "--yes")

    assert done.returncode == 3, done.stdout + done.stderr
    assert f"{service} cannot be scaled" in done.stderr
    assert "unchanged: nothing was changed" in done.stderr
    assert len(shop.containers(service)) == 1


def test_the_console_shows_a_death_and_scales_by_keys(shop: Shop) -> None:
    with shop.console() as glass:
        glass.until(lambda text: "5 of 5 services ready" in text, "not open", 20)
        docker("kill", f"{shop.name}-worker-1")
        glass.until(lambda text: "killed by SIGKILL" in text, "the death is unseen", 20)
        assert "not ready: worker 0/1" in glass.text
        assert "source " not in glass.text, "nothing is wrong with what was never there"
        docker("start", f"{shop.name}-worker-1")
        glass.until(lambda text: "5 of 5 services ready" in text, "not well again", 20)

        _scale_by_keys(shop, glass, "+", "1 → 2")
        assert shop.running("web") == [f"{shop.name}-web-{n}" for n in (1, 2)]
        glass.type("\x1b")
        glass.until(lambda text: "Overview" in text and "o follows" not in text, "not back", 10)
        _scale_by_keys(shop, glass, "-", "2 → 1")
        assert shop.running("web") == [f"{shop.name}-web-1"]
        glass.type("\x1b")
        glass.until(lambda text: "Overview" in text and "o follows" not in text, "not back", 10)
        glass.type("q")
        assert glass.end(10) == 0


def _scale_by_keys(shop: Shop, glass: Glass, key: str, change: str) -> None:
    for _ in SERVICES:
        if any(line.startswith("›") and " web " in line for line in glass.text.splitlines()):
            break
        glass.type("\x1b[B")
        glass.look(0.3)
    glass.type(key)
    glass.look(1.0)
    if "settle it first" in glass.text:  # the end of the last one is not yet in the picture
        glass.look(2.0)
        glass.type(key)
    glass.until(lambda text: change in text, "the target is not drawn", 5)
    glass.type("\r")
    glass.until(lambda text: "exact commands" in text, "no plan", 20)
    glass.look(1.0)  # a plan that has just come takes no keys
    glass.type("y")
    glass.until(lambda text: "DONE" in text and "verified" in text, "no end", 60)


def test_it_is_stopped_and_started_again_with_all_it_had(shop: Shop) -> None:
    names = sorted({*SERVICES, "init"})
    before = {name: [each["Id"] for each in shop.containers(name)] for name in names}
    order = "INSERT INTO orders (what) VALUES ('a fish'); SELECT count(*) FROM orders"
    count = ["exec", "--no-TTY", "db", "sh", "-c"]
    ask = 'PGPASSWORD="$POSTGRES_PASSWORD" psql -h 127.0.0.1 -U shop -At postgres -c "%s"'
    assert shop.compose(*count, ask % order).split()[-1] == "1"

    stopped = shop.fragrance("stop", "--yes", "--reason", "the night", timeout=120)

    assert stopped.returncode == 0, stopped.stderr
    assert [name for name in names if shop.running(name)] == []
    assert {name: [each["Id"] for each in shop.containers(name)] for name in names} == before
    assert {s["health"] for s in shop.status()["services"]} == {"stopped"}

    started = shop.fragrance("start", "--detach", "--reason", "the morning", timeout=120)

    assert started.returncode == 0, started.stderr
    status = shop.status()
    assert status["overall"] == "healthy"
    assert status["agent"] == "running"
    assert {s["name"] for s in status["services"]} == SERVICES
    kept = {name: [each["Id"] for each in shop.containers(name)] for name in SERVICES}
    assert kept == {name: before[name] for name in SERVICES}
    assert shop.compose(*count, ask % "SELECT count(*) FROM orders").strip() == "1"
    assert not shop.containers("debug")


def test_nothing_of_its_passwords_was_said_or_kept(shop: Shop) -> None:
    inside = docker("inspect", f"{shop.name}-db-1", f"{shop.name}-worker-1")
    assert all(secret in inside for secret in shop.secrets), "the shop does have them"
    assert (shop.state / "compose" / "model.json").is_file()
    assert shop.state.stat().st_mode & 0o077 == 0

    kept = [path for path in shop.state.rglob("*") if path.is_file()]
    told = [*shop.said, *(path.read_bytes().decode(errors="replace") for path in kept)]
    assert len(told) > 8
    assert not [text for text in told for secret in shop.secrets if secret in text]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("services: [unbalanced", "yaml"),
        ("services: {web: {image: x, colour: red}}", "colour"),
        ("services: {web: {image: '${NOBODY_SETS_THIS:?set it}'}}", "NOBODY_SETS_THIS"),
        ("services: {web: {image: x, depends_on: [nobody]}}", "nobody"),
    ],
)
def test_a_file_that_compose_declines_is_one_clear_error(
    closed: Shop, text: str, said: str
) -> None:
    closed.file.write_text(text)
    for command in (["status"], ["scale", "web=2", "--yes"], ["start", "--detach"]):
        done = closed.fragrance(*command)
        assert done.returncode in {2, 5}, (command, done.returncode, done.stderr)
        assert said in done.stderr, command
        assert done.stderr.count("fragrance: ") == 1
    if said != "colour":
        return  # the console says it in the same words
    with closed.console() as glass:
        glass.until(lambda text: said in text, "the console does not say why", 20)
        assert "UNKNOWN  what runs cannot be seen" in glass.text
        assert "STOPPED" not in glass.text
        glass.type("q")
        assert glass.end(10) == 0


def test_a_file_that_is_missing_is_one_clear_error(closed: Shop) -> None:
    closed.file.unlink()
    for command in ([], ["status"], ["watch"], ["scale", "web=2", "--yes"], ["start", "--detach"]):
        done = closed.fragrance(*command)
        assert done.returncode == 2, done.stderr
        assert f"there is no compose file at {closed.file}" in done.stderr
    assert not closed.state.exists()


def test_an_engine_that_is_not_there_is_one_clear_error(closed: Shop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    for nowhere in ("unix:///nowhere/docker.sock", f"tcp://127.0.0.1:{port}"):
        for command in (["status"], ["scale", "web=2", "--yes"], ["start", "--detach"]):
            done = closed.fragrance(*command, DOCKER_HOST=nowhere)
            assert done.returncode == 5, (command, done.returncode, done.stderr)
            assert "the Docker Engine is not running" in done.stderr
            assert done.stderr.count("fragrance: ") == 1


def test_a_directory_that_takes_no_state_is_named_with_the_way_out(
    shop: Shop, closed: Shop, tmp_path: Path
) -> None:
    closed.state.write_text("not a directory, so that not even root can write into it")
    for stack, command in (
        (closed, ["start", "--detach"]),
        (shop, ["scale", "web=2", "--yes", "--state", str(closed.state)]),
    ):
        done = stack.fragrance(*command)
        assert done.returncode in {3, 5}, (command, done.stderr)
        assert "--state" in done.stderr, done.stderr
        assert "unchanged: " in done.stderr
    assert len(shop.containers("web")) == 1
    assert closed.fragrance("status").returncode == 0
    elsewhere = tmp_path / "elsewhere"
    assert closed.fragrance("status", "--state", str(elsewhere)).returncode == 0
    assert not closed.compose("ps", "--all", "--quiet")
    shutil.rmtree(elsewhere, ignore_errors=True)
