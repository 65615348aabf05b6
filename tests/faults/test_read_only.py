"""Production is read-only: every changing command is refused and says how to elevate."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from console.cli.main import build_parser, main
from console.clock import SystemClock
from console.duties.elevation import ElevationDuty
from console.engine import Engine
from console.journal.store import JournalStore
from console.settings import Settings
from tests.faults.toy_stack import build_toy, running_toy
from tests.stack import wait_for

#: What to type for an argument, by its name in the help; a new name may need a line here.
WORDS = {"SERVICE=N": "app=3", "SERVICE": "app", "ID": "op-1", "NAME=VALUE": "LOG_LEVEL=DEBUG"}
#: Takes write access itself.
EXEMPT = {("elevate",)}


def leaves(
    parser: argparse.ArgumentParser, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    """Yield every command that can be typed, with its parser."""
    below = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    if not below:
        yield path, parser
    for action in below:
        for name, child in action.choices.items():
            yield from leaves(child, (*path, name))


def changing_commands() -> list[list[str]]:
    """Return a command line for each command that asks before it changes something."""
    found = []
    for path, parser in leaves(build_parser()):
        options = {text for action in parser._actions for text in action.option_strings}
        if not options & {"--yes", "--dry-run"} or path in EXEMPT:
            continue
        line = list(path)
        for action in parser._actions:
            if not action.option_strings and action.nargs != "?":
                choices = list(action.choices or ())
                line.append(choices[0] if choices else WORDS.get(str(action.metavar), "app"))
            elif action.required:
                line += [action.option_strings[-1], WORDS.get(str(action.metavar), "1")]
        line += [text for text in ("--yes",) if text in options]
        found.append([*line, *(["--reason", "test"] if "--reason" in options else [])])
    return [*found, ["keys", "create", "me"], ["keys", "revoke", "me"]]


class TenMinutesLater(SystemClock):
    """The system's time when five minutes of write access are over."""

    def now(self) -> datetime:
        return super().now() + timedelta(minutes=10)


def build_later(settings: Settings) -> Engine:
    """Build the engine as it is ten minutes from now."""
    engine = build_toy(settings)
    engine.clock = TenMinutesLater()
    engine.journal = JournalStore(settings.state, engine.clock)
    return engine


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Give a light stack that runs, with one operation done."""
    state: Path = tmp_path_factory.mktemp("toy") / "state"
    with running_toy(state) as engine:
        scaled = engine.submit(engine.plan("scale", {"targets": {"app": 3}}), "to have one")
        wait_for(lambda: engine.operation(scaled.id).finished, 60, "it did not end")
        yield engine


@pytest.fixture
def production(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """Give the stack as production sees it, for commands run in this process too."""
    monkeypatch.setenv("FRAGRANCE_STATE", str(engine.settings.state))
    monkeypatch.setenv("APP_ENV", "production")
    settings = engine.settings
    return build_toy(Settings(settings.project, settings.state, environment="production"))


def test_the_commands_are_found_by_what_they_ask() -> None:
    names = {tuple(line[:2]) for line in changing_commands()}

    assert {("scale", "app=3"), ("restart", "app"), ("operations", "undo")} <= names
    assert len(names) >= 9


@pytest.mark.parametrize("line", changing_commands(), ids=" ".join)
def test_it_is_refused_and_says_how_to_elevate(
    production: Engine, line: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = production.audit()

    code, _ = main(line, build_toy)

    said = capsys.readouterr()
    assert code == 3, said
    assert "read-only: this is production" in said.err
    assert "next: fragrance elevate --minutes" in said.err
    assert said.out == ""
    assert production.audit() == before


def test_write_access_is_shown_runs_out_and_is_recorded_with_its_use(
    production: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    def access() -> object:
        assert main(["status", "--json"], build_toy)[0] == 0
        return json.loads(capsys.readouterr().out)["access"]

    assert access() == {"write": False, "until": None}
    granted = production.elevate(5, "queue grows")
    assert granted.until is not None
    assert access() == {"write": True, "until": granted.until.isoformat()}
    code, _ = main(["restart", "app", "--yes", "--reason", "stuck", "--json"], build_toy)
    end = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (code, end["outcome"]) == (0, "done")

    refused, _ = main(["restart", "app", "--yes", "--reason", "stuck"], build_later)
    assert refused == 3
    assert "read-only" in capsys.readouterr().err
    duty = ElevationDuty(build_later(production.settings).journal)
    duty.attend(production.collector.collect())
    duty.attend(production.collector.collect())

    expired, *earlier = production.audit(3)
    assert expired["outcome"] == "expired"
    assert expired["details"] == {
        "granted_to": str(production.actor),
        "used_by": end["operation_id"],
    }
    assert [entry["outcome"] for entry in earlier] == ["done", "granted"]
    assert access() == {"write": False, "until": None}
    assert production.verify_audit().valid
