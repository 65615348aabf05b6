"""
Scaling on Docker, against what compose does by itself in the same run.

Three questions: how long until new workers take tasks; what a smaller number of workers
costs the tasks in hand; whether the application's users notice that its number changes.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import secrets
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import redis

from backend.contracts.tasks import HEARTBEAT_PREFIX, JobKind, shared_url
from backend.dispatch import Message, Publisher
from tests.benchmarks.figures import Figure
from tests.compose_stack import PORTS, SMALL, VERSION, ComposeStack, docker, free_ports
from tests.servers import wait_until
from tests.stack import PROJECT, Stack

RUNS = 3
TASKS = 1000
TASK_SECONDS = (0.2, 5.0)
THREADS = 16
CLIENTS = 8
STEADY_SECONDS = 5.0

#: Workers that sleep as they are told, with the product's own Celery settings and limits
#: on how long they may take to stop.
SLEEPERS = """
name: {name}
services:
  redis:
    image: fragrance-base-services:local
    entrypoint: [redis-server, --bind, "*", --protected-mode, "no", --save, "", --maxmemory-policy, noeviction]
    healthcheck: {{test: [CMD, redis-cli, ping], interval: 1s}}
    labels:
      console.role: broker
      console.url: "redis://{{address}}:6379/0"
  worker:
    image: fragrance-ai-worker-rl:v{version}
    entrypoint: [sh, -c, "exec python -m tests.tiny_worker $$HOSTNAME {threads}"]
    environment: {{REDIS_URL: "redis://redis:6379/0"}}
    volumes: ["{tests}:/app/tests:ro"]
    working_dir: /app
    stop_grace_period: 60s
    depends_on: {{redis: {{condition: service_healthy}}}}
    healthcheck: {{disable: true}}
    deploy: {{replicas: 4}}
    labels:
      console.role: worker
      console.queue: llm
      console.broker: database=0 unacked=unacked steps=0,3,6,9
      console.drain: celery
"""  # noqa: E501 - YAML


def measure() -> list[Figure]:
    """Bring up what is measured, measure, and take it down."""
    with tempfile.TemporaryDirectory(prefix="fragrance-bench-") as directory:
        place = Path(directory)
        figures = _tasks(place / "tasks")
        with _product(place / "product") as (stack, containers):
            figures += _registered(stack, containers)
            figures += _requests(stack, containers)
    return figures


# The product --------------------------------------------------------------------


@contextmanager
def _product(state: Path) -> Iterator[tuple[Stack, ComposeStack]]:
    name = f"fragrance-bench-{os.getpid()}"
    ports = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
    containers = ComposeStack(state, name)
    given = {**SMALL, **ports, "COMPOSE_PROJECT_NAME": name, "RATE_LIMIT_ENABLED": "false"}
    stack = Stack(state, given, runtime="compose")
    try:
        _done(stack.fragrance("start", "--detach", timeout=600))
        yield stack, containers
    finally:
        stack.close()
        stack.fragrance("stop", timeout=180)
        containers.close()


def _registered(stack: Stack, containers: ComposeStack) -> list[Figure]:
    """Time worker-llm 1 → 4 until the broker has a sign of life of all four."""
    url = f"redis://{containers.address('redis')}:6379/0"
    password = (containers.directory / "secrets" / "redis_password").read_text().strip()
    broker = redis.Redis.from_url(shared_url(url), password=password, socket_timeout=5)

    def until_four(command: list[str], environment: dict[str, str]) -> float:
        begin = time.perf_counter()
        with subprocess.Popen(
            command, env=environment, cwd=PROJECT, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        ) as changing:  # fmt: skip
            wait_until(lambda: _alive(broker) == 4, 240, "four workers are registered")
            seconds = time.perf_counter() - begin
            if changing.wait(timeout=240):
                raise RuntimeError(f"{command} ended with {changing.returncode}")
        _done(stack.fragrance("scale", "worker-llm=1", "--yes", "--reason", "bench", timeout=240))
        wait_until(lambda: _alive(broker) == 1, 60, "one worker is registered")
        return seconds

    ours, peers = [], []
    for _ in range(RUNS):
        scale = stack.command("scale", "worker-llm=4", "--yes", "--reason", "bench")
        ours.append(until_four(scale, stack.environment()))
        up = ("up", "--detach", "--no-recreate", "--no-deps", "--scale", "worker-llm=4")
        peers.append(until_four(containers.command(*up, "worker-llm"), dict(os.environ)))
    return [
        Figure(
            "worker-llm 1 → 4, all registered", statistics.median(ours), "s", RUNS,
            peer=statistics.median(peers), peer_name="compose up --scale",
        )
    ]  # fmt: skip


def _alive(broker: redis.Redis) -> int:
    """Return how many LLM workers say that they take tasks."""
    keys = list(broker.scan_iter(match=f"{HEARTBEAT_PREFIX}*"))
    beats = [json.loads(beat) for beat in broker.mget(keys) if beat] if keys else []
    return sum(beat["queue"] == "llm" and bool(beat["accepting"]) for beat in beats)


def _requests(stack: Stack, containers: ComposeStack) -> list[Figure]:
    """Ask and post through the edge, connections kept, while app goes 2 → 5 → 2."""
    # What is posted is stored and queued for real; nobody need work it off meanwhile.
    _done(stack.fragrance("scale", "worker-llm=0", "--yes", "--reason", "bench", timeout=240))
    ending = threading.Event()
    counts = {"asked": 0, "posted": 0, "failed": 0}
    seconds: list[float] = []
    said: set[str] = set()

    def use(number: int) -> None:
        with containers.client(stack.key) as client:
            for turn in itertools.count():
                if ending.is_set():
                    return
                begin = time.perf_counter()
                try:
                    if turn % 2:
                        text = f"brief number {turn}: green tea and cedar for {number}"
                        counts["posted"] += 1
                        answer = client.post("/v1/briefs", json={"text": text})
                    else:
                        counts["asked"] += 1
                        answer = client.get("/v1/ingredients")
                    good = answer.status_code == (202 if turn % 2 else 200)
                    trouble = f"{answer.status_code} {answer.text[:200]}"
                except httpx.HTTPError as error:
                    good, trouble = False, f"{type(error).__name__}: {error}"
                if not good:
                    counts["failed"] += 1
                    said.add(trouble)
                seconds.append(time.perf_counter() - begin)

    users = [threading.Thread(target=use, args=(number,)) for number in range(CLIENTS)]
    for user in users:
        user.start()
    try:
        for target in (5, 2):
            time.sleep(STEADY_SECONDS)
            wish = ("scale", f"app={target}", "--yes", "--reason", "bench")
            _done(stack.fragrance(*wish, timeout=400))
        time.sleep(STEADY_SECONDS)
    finally:
        ending.set()
        for user in users:
            user.join(60)
    total = counts["asked"] + counts["posted"]
    note = f"of {total}, {counts['posted']} of them POST; {'; '.join(sorted(said)) or 'no error'}"
    seconds.sort()
    return [
        Figure("app 2 → 5 → 2, failed requests", counts["failed"], "requests", 1, note=note),
        Figure("  their p99 meanwhile", seconds[int(0.99 * len(seconds))], "s", 1),
    ]


# Tasks --------------------------------------------------------------------------


def _tasks(place: Path) -> list[Figure]:
    """Put the same tasks on the queue twice and take three of four workers away."""
    lost, twice, seconds = _fewer(place / "ours", _scale_down)
    peer_lost, peer_twice, peer_seconds = _fewer(place / "peer", _compose_down)
    note = f"{TASKS} tasks of {TASK_SECONDS[0]}-{TASK_SECONDS[1]} s, {THREADS} a worker"
    peer = "compose up --scale"
    return [
        Figure("worker 4 → 1, tasks lost", lost, "tasks", 1, "lower", peer_lost, peer, note),
        Figure("worker 4 → 1, tasks run twice", twice, "tasks", 1, "lower", peer_twice, peer),
        Figure("worker 4 → 1", seconds, "s", 1, "lower", peer_seconds, peer),
    ]


class _Sleepers(Stack):
    @property
    def file(self) -> Path:
        return self.state.parent / "compose.yaml"

    def command(self, *arguments: str) -> list[str]:
        return [*super().command(*arguments), "--file", str(self.file)]

    def compose(self, *arguments: str) -> None:
        command = ["docker", "compose", "--file", str(self.file), *arguments]
        _done(subprocess.run(command, capture_output=True, text=True, timeout=400, check=False))


def _scale_down(project: _Sleepers) -> None:
    _done(project.fragrance("scale", "worker=1", "--yes", "--reason", "bench", timeout=400))


def _compose_down(project: _Sleepers) -> None:
    project.compose("up", "--detach", "--no-recreate", "--scale", "worker=1", "worker")


def _fewer(place: Path, scale_down: Callable[[_Sleepers], None]) -> tuple[int, int, float]:
    """Return how many tasks were lost, how many ran twice, and the seconds it took."""
    place.mkdir(parents=True)
    name = f"fragrance-bench-{os.getpid()}-{secrets.token_hex(2)}"
    tests = place / "tests"
    tests.mkdir()
    (tests / "__init__.py").touch()
    worker = (PROJECT / "tests" / "tiny_worker.py").read_text()
    (tests / "tiny_worker.py").write_text(worker)
    project = _Sleepers(place / ".fragrance", {}, runtime="compose")
    text = SLEEPERS.format(name=name, version=VERSION, tests=tests, threads=THREADS)
    project.file.write_text(text)
    place.parent.parent.chmod(0o755)
    try:
        _done(project.fragrance("start", "--detach", timeout=200))
        address = docker(
            "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}",
            f"{name}-redis-1",
        )  # fmt: skip
        url = f"redis://{address}:6379/0"
        counts = redis.Redis.from_url(shared_url(url), socket_timeout=5, decode_responses=True)
        wait_until(
            lambda: len(list(counts.scan_iter(match=f"{HEARTBEAT_PREFIX}*"))) == 4, 120, "4 workers"
        )
        chance = random.Random(1)  # noqa: S311 - the same tasks each time
        publisher = Publisher(url)
        ids = [f"sleep-{chance.uniform(*TASK_SECONDS):.2f}-{n}" for n in range(TASKS)]
        for job_id in ids:
            publisher.publish(Message(job_id, JobKind.COMPOSE, None))
        wait_until(lambda: counts.hlen("begun") >= 4 * THREADS, 60, "all workers are busy")
        begin = time.perf_counter()
        scale_down(project)
        seconds = time.perf_counter() - begin
        with_rest = TASKS * TASK_SECONDS[1] / THREADS
        wait_until(lambda: _at_rest(counts, url), with_rest, "nothing is under way")
        begun = {str(k): int(v) for k, v in counts.hgetall("begun").items()}
        ended = {str(k): int(v) for k, v in counts.hgetall("ended").items()}
    finally:
        project.fragrance("stop", "--yes", timeout=200)
        project.compose("down", "--volumes", "--timeout", "1")
    return len(set(ids) - set(ended)), sum(count > 1 for count in begun.values()), seconds


def _at_rest(counts: redis.Redis, url: str) -> bool:
    """Tell whether no message is left anywhere, and nothing runs; looked at twice."""
    broker = redis.Redis.from_url(url, socket_timeout=5)
    looks = []
    for _ in range(2):
        looks.append((broker.llen("llm"), broker.hlen("unacked"), counts.hlen("begun")))
        time.sleep(1)
    return looks[0] == looks[1] and looks[0][:2] == (0, 0)


def _done(done: subprocess.CompletedProcess[str]) -> None:
    if done.returncode:
        raise RuntimeError(f"{done.args} ended with {done.returncode}: {done.stderr[-2000:]}")
