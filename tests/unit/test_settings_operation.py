"""Planning other settings: what is meant, whom it concerns, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.contracts.settings import Settings
from console.domain.operations import OperationState
from console.domain.plans import Risk
from console.domain.policy import Policy
from console.domain.tunables import RULES, wrong_with
from console.errors import NotSupported, Refused, UsageError
from console.operations.request import PlanRequest
from console.operations.settings import plan_settings
from console.runtimes.compose.project import ComposeProject
from console.runtimes.compose.variables import Variables, changed_lines
from console.runtimes.embedded.environment import (
    APP_SETTINGS,
    SETTINGS,
    WORKER_SETTINGS,
)
from console.runtimes.embedded.environment import PRODUCT as PRODUCT_VARIABLES
from console.runtimes.explanations import explanations
from tests.fakes.clock import FakeClock
from tests.fakes.stack import ModelStack
from tests.unit.test_runner import Bench, boundaries


@pytest.fixture
def stack() -> ModelStack:
    return ModelStack(FakeClock())


def test_replicas_of_all_services_it_concerns_are_replaced_new_ones_first(
    stack: ModelStack,
) -> None:
    plan = stack.plan("settings", {"values": {"LOG_LEVEL": "DEBUG"}})

    assert [s.name for s in plan.steps] == [
        "write-settings",
        *("start-app-3", "gate-app-3", "stop-app-1"),
        *("start-app-4", "gate-app-4", "stop-app-2"),
        *("start-worker-llm-2", "gate-worker-llm-2", "drain-worker-llm-1", "stop-worker-llm-1"),
        *("start-worker-rl-2", "gate-worker-rl-2", "drain-worker-rl-1", "stop-worker-rl-1"),
    ]
    assert plan.summary == "LOG_LEVEL default (usual) → DEBUG (app, worker-llm, worker-rl)"
    assert plan.undo[0].arguments["values"] == {"LOG_LEVEL": None}


def test_the_undo_of_a_second_change_is_the_first_value(stack: ModelStack) -> None:
    stack.values["LOG_LEVEL"] = "WARNING"

    plan = stack.plan("settings", {"values": {"LOG_LEVEL": ""}})

    assert plan.steps[0].arguments["values"] == {"LOG_LEVEL": None}
    assert plan.undo[0].arguments["values"] == {"LOG_LEVEL": "WARNING"}
    assert stack.plan("settings", {"values": {"LOG_LEVEL": "WARNING"}}).steps == ()


def test_what_concerns_nothing_that_runs_is_only_written(stack: ModelStack) -> None:
    plan = stack.plan("settings", {"values": {"PROMETHEUS_RETENTION": "7d"}})

    assert [s.name for s in plan.steps] == ["write-settings"]
    assert any("no replica that runs is replaced" in w for w in plan.warnings)


MORE = {"values": {"POSTGRES_MAX_CONNECTIONS": "200"}}


def test_what_cannot_run_twice_is_stopped_before_and_its_name_is_typed(stack: ModelStack) -> None:
    plan = stack.plan("settings", MORE)

    assert [s.name for s in plan.steps] == [
        "write-settings",
        *("stop-postgres-1", "start-postgres-2", "gate-postgres-2"),
    ]
    assert [s.name for s in plan.undo] == [
        "write-settings",
        *("stop-postgres-2", "start-postgres-1", "gate-postgres-1"),
    ]
    assert plan.typed == "postgres"
    assert plan.steps[1].risk is Risk.HIGH
    assert any("postgres is stopped for it" in words for words in plan.warnings)
    assert stack.plan("settings", {"values": {"LOG_LEVEL": "DEBUG"}}).typed == ""


def test_a_database_made_anew_survives_a_crash_at_every_boundary(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    before = bench.stack.world()
    plan = bench.stack.plan("settings", MORE)
    done = bench.run(plan)
    assert (done.state, done.verified) == (OperationState.DONE, True)
    after = bench.stack.world()
    assert [name for name, _ in after["postgres"]] == ["postgres-2"]
    assert bench.again(done, "undo").state is OperationState.UNDONE
    assert bench.stack.world() == before
    for at in boundaries(plan.steps):
        for mode in ("run", "undo"):
            ended = bench.again(bench.crash(bench.stack.plan("settings", MORE), at), mode)
            assert ended.verified, (at, mode, ended.outcome_message)
            if mode == "run":
                assert bench.stack.world() == after, at
                bench.again(ended, "undo")
            assert bench.stack.world() == before, (at, mode)


def test_a_database_that_does_not_get_well_is_as_before(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    before = bench.stack.world()
    bench.stack.unwell = {"postgres-2"}

    ended = bench.run(bench.stack.plan("settings", MORE))

    assert ended.state is OperationState.REVERTED
    assert bench.stack.world() == before


def test_what_would_lose_its_data_is_refused_with_the_way(stack: ModelStack) -> None:
    stack.lost_with["postgres"] = "its data is in the container itself"
    with pytest.raises(Refused, match="its data is in the container itself") as error:
        stack.plan("settings", MORE)

    assert "fragrance stop" in error.value.remedy
    assert "POSTGRES_MAX_CONNECTIONS" in error.value.remedy


@pytest.mark.parametrize(
    ("values", "why", "next_"),
    [
        ({"LOG_LEVLE": "DEBUG"}, "no setting 'LOG_LEVLE'", "LOG_LEVEL"),
        ({"nonsense": "1"}, "no setting", "settings list"),
        ({"LOG_LEVEL": "LOUD"}, "is not one of", "settings get LOG_LEVEL"),
        ({"LLM_MAX_BATCH_SIZE": "0"}, "whole number from 1 to 256", "settings get"),
        ({"LLM_MAX_BATCH_SIZE": "8\nX=1"}, "has a character", "settings get"),
        ({"APP_MEMORY_LIMIT": "1G"}, "is not changed as a setting", "fragrance resize"),
        ({"SECRET_KEY": "hunter2"}, "is a secret", "a file"),
        ({}, "no setting is named", "settings set"),
    ],
)
def test_a_wish_that_makes_no_sense_is_a_usage_error(
    stack: ModelStack, values: dict[str, str], why: str, next_: str
) -> None:
    with pytest.raises(UsageError, match=why) as error:
        stack.plan("settings", {"values": values})

    assert next_ in error.value.remedy
    assert "hunter2" not in error.value.message


def test_a_runtime_without_settings_refuses(stack: ModelStack) -> None:
    class Poor:
        name = "embedded"

    with pytest.raises(NotSupported, match="embedded cannot change settings"):
        plan_settings(
            PlanRequest(
                stack.snapshot(),
                Policy(),
                Poor(),  # type: ignore[arg-type]  # a runtime that can do next to nothing
                {"values": {"LOG_LEVEL": "DEBUG"}},
            )
        )


def test_a_value_with_which_nothing_gets_well_is_taken_back(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    before = bench.stack.world()
    bench.stack.unwell = {"worker-llm-2"}

    plan = bench.stack.plan("settings", {"values": {"LLM_MAX_BATCH_SIZE": "256"}})
    ended = bench.run(plan)

    assert (ended.state, ended.exit_code) == (OperationState.REVERTED, 1)
    assert bench.stack.world() == before


# What the product accepts -----------------------------------------------------

PRODUCT = {n.lower(): r for n, r in RULES.items() if n.lower() in Settings.model_fields}


VALUES = (
    *("0", "1", "5", "16", "64", "65", "100", "101", "256", "257", "1023", "1024", "65536"),
    *("65537", "-1", "0.5", "0.0", "true", "false", "INFO", "json", "120/minute", "rubbish"),
)


@pytest.mark.parametrize("name", sorted(PRODUCT))
def test_what_is_let_through_the_product_accepts(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def accepted(text: str) -> bool:
        monkeypatch.setenv(name.upper(), text)
        try:
            Settings()
        except ValueError:
            return False
        return True

    for value in VALUES:
        if not wrong_with(name.upper(), value):
            assert accepted(value), value
        elif value not in {"0", "1", "0.0"} and name != "rate_limit":  # other words for a flag
            assert not accepted(value), value


def test_every_setting_of_a_stack_of_processes_is_the_products() -> None:
    names = {*SETTINGS, *APP_SETTINGS, *(n for group in WORKER_SETTINGS.values() for n in group)}

    assert {name.lower() for name in names} <= Settings.model_fields.keys()
    assert names <= {*PRODUCT_VARIABLES}, "what start takes from a shell"


def test_a_port_is_a_port() -> None:
    assert wrong_with("REDIS_PORT", "6379") == ""
    assert wrong_with("REDIS_PORT", "70000")


# The file ---------------------------------------------------------------------


def test_only_the_named_lines_of_a_file_change() -> None:
    text = "# mine\nA=1\n\n B = 2\nC=x=y"

    assert changed_lines(text, {"B": "3", "D": "4"}) == "# mine\nA=1\n\nB=3\nC=x=y\nD=4\n"
    assert changed_lines(text, {"A": None, "Z": None}) == "# mine\n\n B = 2\nC=x=y\n"
    assert changed_lines("", {"A": "1"}) == "A=1\n"
    assert changed_lines(changed_lines("A=1\n", {"B": "2"}), {"B": None}) == "A=1\n"


def test_what_is_set_is_read_without_secrets(tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text("image: ${IMAGE:-a}\nenvironment: [$A, ${API_TOKEN}, $$NO, ${STORE}]\n")
    env = "A=1\nAPI_TOKEN=s3cret\nOTHER=x\nIMAGE=\nSTORE=redis://:s3cret@store\n"
    (tmp_path / "real").write_text(env)
    (tmp_path / "real").chmod(0o640)
    (tmp_path / ".env").symlink_to("real")
    variables = Variables(ComposeProject((file,), tmp_path / "state", ours=False))

    assert variables.values() == {"A": "1"}
    variables.write({"A": None, "IMAGE": "b"})
    assert variables.values() == {"IMAGE": "b"}
    assert (tmp_path / "real").read_text() == env.replace("A=1\n", "").replace("=\n", "=b\n")
    assert (tmp_path / ".env").is_symlink()
    assert (tmp_path / "real").stat().st_mode & 0o777 == 0o640


def test_a_file_that_cannot_be_read_stops_no_picture(tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text("image: ${IMAGE:-a}\n")
    (tmp_path / ".env").mkdir()
    variables = Variables(ComposeProject((file,), tmp_path / "state", ours=False))

    assert variables.values() == {}
    with pytest.raises(Refused, match="cannot be changed"):
        variables.write({"IMAGE": "b"})


def test_every_setting_of_the_example_is_explained(project: Path) -> None:
    found = explanations(project / ".env.example")

    assert found["CACHE_TTL"] == (
        "Seconds for which the result of a brief is used again.",
        "7200",
    )
    assert "json" in found["LOG_FORMAT"][0]
    assert all(text for text, _ in found.values())
