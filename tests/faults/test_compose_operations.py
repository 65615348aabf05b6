"""Operations of the compose runtime when runners die: a light project on the real engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from console.bootstrap import build_engine
from console.engine import Engine
from console.settings import load_settings
from tests.faults.harness import FaultHarness
from tests.stack import wait_for
from tests.toy_compose import ToyProject

pytestmark = [pytest.mark.docker, pytest.mark.slow]

MIB = 1024**2


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    made = ToyProject(tmp_path_factory.mktemp("toy") / "project")
    try:
        started = made.stack.fragrance("start", "--detach", timeout=120)
        assert started.returncode == 0, started.stderr
        engine = build_engine(load_settings(state=str(made.state), file=str(made.file)))
        wait_for(
            lambda: all(s.ready == s.desired for s in engine.collector.collect().services),
            60,
            "everything is ready",
        )
        yield engine
        engine.close()
    finally:
        made.remove()


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("verb", "wish"),
    [
        ("resize", {"service": "app", "cpus": "0.25", "memory": "80M"}),
        ("settings", {"values": {"MARK": "new"}, "hold_seconds": 0}),
    ],
)
def test_a_crash_at_every_boundary_is_survived(
    engine: Engine, verb: str, wish: dict[str, object]
) -> None:
    assert FaultHarness(engine, seconds=180).crash_everywhere(verb, wish) >= 18
