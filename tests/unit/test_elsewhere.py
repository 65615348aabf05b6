"""Servers that are somebody else's: what follows from their addresses, and who is asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from console.domain.services import Role, Topology
from console.errors import ConsoleError, NotSupported, Refused
from console.runtimes.compose.elsewhere import elsewhere
from console.runtimes.compose.environment import needed_secrets
from console.runtimes.compose.secret_command import ask_command
from console.sources.addresses import running_url

DATABASE = "postgresql://kim:p%40ss@db.example:6432/shop?sslmode=require"
BOTH = {"COMPOSE_OVERRIDES": "gpu external-postgres,external-redis"}


def test_what_the_exporters_ask_follows_from_the_addresses(tmp_path: Path) -> None:
    (tmp_path / "redis_url").write_text("rediss://:hush@[::1]:6380/0\n")

    found = elsewhere(tmp_path, BOTH, {"DATABASE_URL": DATABASE, "REDIS_URL": "redis://other"})

    assert found.secrets == {
        "database_url": DATABASE,
        "postgres_password": "p@ss",
        "postgres_exporter_user": "kim",
        "postgres_exporter_uri": "db.example:6432/shop?sslmode=require",
        "redis_url": "rediss://:hush@[::1]:6380/0",
        "redis_password": "hush",
        "redis_exporter_passwords": json.dumps({"rediss://[::1]:6380": "hush"}),
    }
    assert found.variables == {"EXTERNAL_REDIS_ADDRESS": "rediss://[::1]:6380"}


def test_usual_ports_and_no_password_are_understood(tmp_path: Path) -> None:
    given = {"DATABASE_URL": "postgresql+psycopg://kim@db/x", "REDIS_URL": "redis://broker"}

    found = elsewhere(tmp_path, BOTH, given)

    assert found.secrets["postgres_exporter_uri"] == "db:5432/x?sslmode=disable"
    assert found.secrets["postgres_password"] == ""
    assert found.variables == {"EXTERNAL_REDIS_ADDRESS": "redis://broker:6379"}


def test_without_an_override_nothing_follows(tmp_path: Path) -> None:
    found = elsewhere(tmp_path, {}, {"DATABASE_URL": DATABASE})

    assert (found.secrets, found.variables) == ({}, {})


@pytest.mark.parametrize("url", ["", "mysql://a@b/c", "postgresql:///x", "postgresql://h:port/x"])
def test_no_address_is_refused_and_never_shown(tmp_path: Path, url: str) -> None:
    with pytest.raises(Refused, match="external-postgres needs an address") as refused:
        elsewhere(tmp_path, BOTH, {"DATABASE_URL": url, "REDIS_URL": "redis://x"})

    assert str(tmp_path / "database_url") in refused.value.remedy
    assert not url or url not in str(refused.value)


def test_passwords_of_others_are_not_judged() -> None:
    assert "postgres_password" in needed_secrets({})
    assert {"postgres_password", "redis_password"}.isdisjoint(needed_secrets(BOTH))
    assert {"database_url", "redis_url", "secret_key"} <= set(needed_secrets(BOTH))


class Outside:
    """A runtime none of whose services is a store."""

    def __init__(self, url: str | None) -> None:
        self._url = url

    def external_url(self, role: Role) -> str | None:
        return self._url if role is Role.DATABASE else None


def test_who_has_no_such_service_asks_the_server_of_others() -> None:
    nothing = Topology(running=True, services=())
    runtime: Any = Outside(DATABASE)

    assert running_url(runtime, nothing, Role.DATABASE) == DATABASE
    with pytest.raises(NotSupported, match="broker"):
        running_url(runtime, nothing, Role.BROKER)


def test_a_secret_comes_from_the_operators_own_program_and_is_never_shown() -> None:
    assert ask_command("printf 'of %s\\n' {name}", "redis_password") == "of redis_password"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("sh -c 'echo hush; exit 3'", "gave no secret_key: it ended with 3"),
        ("true", "gave no secret_key: it ended with 0"),
        ("/nowhere/vault {name}", "cannot be run: No such file"),
        ("sh -c 'unfinished", "cannot be read"),
    ],
)
def test_a_program_that_gives_none_is_refused(command: str, words: str) -> None:
    with pytest.raises(ConsoleError, match=words) as refused:
        ask_command(command, "secret_key")
    assert "hush" not in str(refused.value)
    assert refused.value.unchanged
