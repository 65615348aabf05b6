"""Operations of the compose runtime when runners die: a light project on the real engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from console.bootstrap import build_engine
from console.domain.snapshot import Snapshot
from console.engine import Engine
from console.settings import load_settings
from tests.faults.cases import CASES
from tests.faults.forked_runner import forking
from tests.faults.harness import FaultHarness, leave_an_old_log
from tests.stack import wait_for
from tests.toy_compose import ToyProject

pytestmark = [pytest.mark.docker, pytest.mark.slow]

#: Fewer crashes than these would mean that a plan has lost steps.
AT_LEAST = {"scale": 10, "resize": 18, "settings": 18, "maintenance": 10}
#: What the product's own command does with old checkpoints, as far as a plan can tell.
CHECKPOINTS = """
import json, pathlib, sys
kept, packed = pathlib.Path("/tmp/kept"), pathlib.Path("/tmp/packed")
names = [word for word in sys.argv[3:] if "/" in word]
if not packed.exists():
    packed.mkdir()
    kept.mkdir()
    (kept / "job.step-1").touch()
if sys.argv[2] == "list":
    found = [path.name.replace(".", "/") for path in kept.iterdir()]
    print(json.dumps([dict(name=n, size_bytes=1) for n in found if not names or n in names]))
for name in names if sys.argv[2] != "list" else ():
    there, wanted = (kept, packed) if sys.argv[2] == "archive" else (packed, kept)
    path = there / name.replace("/", ".")
    if path.exists():
        path.rename(wanted / path.name)
"""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    made = ToyProject(tmp_path_factory.mktemp("toy") / "project")
    workers = made.directory / "workers"
    workers.mkdir()
    (workers / "__main__.py").write_text(CHECKPOINTS)
    text = made.file.read_text().partition("\n")[2]
    # Requests under way are counted, and checkpoints are kept.
    counted = 'console.metrics.url: "http://{address}:8000/metrics"'
    text = text.replace("console.role: app\n", f"console.role: app\n      {counted}\n")
    text = text.replace("console.role: other\n", "console.role: other\n      console.queue: rl\n")
    text = text.replace(
        "command: [sleep, infinity]\n",
        'command: [sh, -c, "ln -s python3 /usr/bin/python; exec sleep infinity"]\n'
        "    working_dir: /project\n    volumes: [./:/project:ro]\n",
    )
    made.write(text)
    try:
        started = made.stack.fragrance("start", "--detach", timeout=120)
        assert started.returncode == 0, started.stderr
        engine = build_engine(load_settings(state=str(made.state), file=str(made.file)))
        wait_for(
            lambda: all(s.ready == s.desired for s in engine.collector.collect().services),
            60,
            "everything is ready",
        )
        with forking(
            made.state, "console.bootstrap:build_engine", "--file", str(made.file)
        ) as forks:
            engine._launch_runner = forks.launch
            yield engine
        engine.close()
    finally:
        made.remove()


@pytest.fixture
def harness(engine: Engine) -> FaultHarness:
    def checkpoints(snapshot: Snapshot) -> list[str]:
        store = snapshot.service("store")
        assert store is not None
        command = ["python", "-m", "workers", "checkpoints", "list"]
        return [engine.runtime.exec(store.replicas[0].name, command, 30).output]

    return FaultHarness(
        engine,
        seconds=180,
        prepare=lambda: leave_an_old_log(engine.settings.state),
        told=checkpoints,
    )


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("verb", "wish"), CASES["compose"])
def test_a_crash_at_every_boundary_is_survived(
    harness: FaultHarness, verb: str, wish: dict[str, object]
) -> None:
    def scale(replicas: int) -> None:
        plan = harness.engine.plan("scale", {"targets": {"app": replicas}, "hold_seconds": 0})
        assert harness.run(plan).verified

    if wish.get("complete"):  # each of its many crashes stops and starts everything there is
        scale(1)
    assert harness.crash_everywhere(verb, wish) >= AT_LEAST.get(verb, 6)
    if wish.get("complete"):
        scale(2)
