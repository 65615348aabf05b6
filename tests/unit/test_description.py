"""What a description may show, and how what runs is compared with what is written down."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.domain.description import grouped, variables_of
from console.domain.services import Limits
from console.runtimes.compose.containers import parse_container
from console.runtimes.compose.desired import Desired, Leaving
from console.runtimes.compose.drift import drifts
from console.runtimes.compose.event_words import event_of
from console.runtimes.compose.model import Model, parse_model
from console.runtimes.compose.project import ComposeProject

SECRETS = {"db_password": "t0p-secret\n", "tiny": "abc"}


@pytest.mark.parametrize(
    ("name", "value", "hidden"),
    [
        ("LOG_LEVEL", "INFO", ""),
        ("POSTGRES_PASSWORD", "x", "its name is a secret's"),
        ("POSTGRES_PASSWORD_FILE", "/run/secrets/db_password", ""),
        ("SECRET_KEY", "", ""),
        ("my.api-key", "x", "its name is a secret's"),
        ("MONKEY_COUNT", "3", ""),
        ("BROKER", "redis://:pw@redis:6379/0", "it holds a password"),
        ("HOME_PAGE", "https://example.org/a:b", ""),
        ("OPTIONS", "--password=t0p-secret", "it holds the secret db_password"),
        ("WORDS", "abcdef", ""),
    ],
)
def test_secrets_are_known_by_name_form_and_content(name: str, value: str, hidden: str) -> None:
    (variable,) = variables_of({name: value}, SECRETS)
    assert variable.hidden == hidden
    assert variable.value == (None if hidden else value)


def test_replicas_with_the_same_difference_are_told_together() -> None:
    found = grouped([(f"app-{n}", "another image", "up") for n in range(1, 6)])
    assert [drift.what for drift in found] == ["app-1, app-2, app-3 and 2 more: another image"]


# Containers against the file --------------------------------------------------------

SERVICE = {
    "image": "product:v1",
    "environment": {"GREETING": "100 $$", "QUIET": None},
    "command": ["serve", "--port", "80"],
    "labels": {"console.role": "app"},
    "deploy": {"replicas": 2, "resources": {"limits": {"cpus": "1.5", "memory": "1073741824"}}},
}
PROJECT = ComposeProject(files=(Path("compose.yaml"),), state=Path("none"), ours=False)


def model() -> Model:
    return parse_model({"name": "p", "services": {"app": SERVICE}}, {"app": "new-hash"})


def drift(*containers: dict[str, object], desired: Desired | None = None) -> list[tuple[str, str]]:
    from dataclasses import replace

    parsed = [
        replace(parse_container(found), image=str(found.get("ListedImage", "product:v1")))
        for found in containers
    ]
    found = drifts(PROJECT, model(), desired or Desired(), parsed)["app"]
    return [(one.what, one.mend) for one in found]


def container(number: int, **changes: object) -> dict[str, object]:
    config: dict[str, object] = {
        "Env": changes.pop("env", ["GREETING=100 $", "PATH=/bin"]),
        "Cmd": changes.pop("cmd", ["serve", "--port", "80"]),
        "Labels": {
            "console.role": "app",
            "com.docker.compose.service": "app",
            "com.docker.compose.container-number": str(number),
            "com.docker.compose.config-hash": changes.pop("hash", "new-hash"),
        },
    }
    host = {"NanoCpus": changes.pop("nano", 1_500_000_000), "Memory": 1024**3}
    return {
        "Id": f"id{number}",
        "Name": f"/p-app-{number}",
        "State": {"Status": "running", "Pid": 7},
        "Config": config,
        "HostConfig": host,
        **changes,
    }


def test_what_is_as_the_file_says_does_not_drift() -> None:
    assert drift(container(1), container(2)) == []


def test_limits_changed_while_it_runs_leave_another_hash_and_no_drift() -> None:
    assert drift(container(1, hash="old-hash"), container(2)) == []


def test_another_environment_is_named_and_mended_by_compose() -> None:
    ((what, mend),) = drift(container(1, hash="old", env=["GREETING=hello"]), container(2))
    assert what == "app-1: made with another environment GREETING"
    assert mend == "docker compose --ansi never --file compose.yaml " + (
        "up --detach --no-deps --scale app=2 app"
    )


def test_another_command_is_named_by_its_part() -> None:
    ((what, _),) = drift(container(1), container(2, hash="old", cmd=["sleep", "9"]))
    assert what == "app-2: made with another command"


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        ("product:v0", "runs product:v0, the compose file says product:v1"),
        ("sha256:" + "0" * 64, "runs an image that product:v1 no longer means"),
        ("0123456789ab", "runs an image that product:v1 no longer means"),
    ],
)
def test_another_image_is_told(listed: str, said: str) -> None:
    ((what, _),) = drift(container(1, ListedImage=listed), container(2))
    assert said in what


def test_other_limits_are_mended_by_a_resize() -> None:
    ((what, mend),) = drift(container(1, nano=500_000_000), container(2))
    assert what == "app-1: has 0.5 cores, 1G of memory; written down are 1.5 cores, 1G of memory"
    assert mend == "fragrance resize app --cpus 1.5 --memory 1G"


def test_replicas_beside_the_recorded_ones_are_told() -> None:
    recorded = Desired(replicas={"app": ("app-1",)})
    assert drift(container(1), container(2), desired=recorded) == [
        ("2 replicas, 1 are recorded: app-2 is not", "fragrance scale app=1")
    ]
    wanted = Desired(replicas={"app": ("app-1", "app-2", "app-3")})
    assert drift(container(1), container(2), desired=wanted) == [
        ("app-3 is recorded and is not there", "fragrance start --detach")
    ]


def test_what_is_leaving_is_no_drift() -> None:
    leaving = Desired(
        replicas={"app": ("app-1",)},
        leaving={"app-2": Leaving(container="id2", grace_seconds=10, since=0)},
    )
    assert drift(container(1), container(2, hash="old", cmd=["x"]), desired=leaving) == []


def test_a_digest_gives_no_value_back() -> None:
    marks = model().services[0].marks
    assert "100" not in str(marks)
    assert all(len(digest) == 8 for digest in marks.values())
    assert "environment QUIET" not in marks
    assert model().services[0].limits == Limits(1.5, 1024**3)


@pytest.mark.parametrize(
    ("action", "attributes", "words", "grave"),
    [
        ("start", {}, "started", False),
        ("die", {"exitCode": "137"}, "ended: killed by SIGKILL", True),
        ("die", {"exitCode": "0"}, "ended: exited with 0", False),
        ("oom", {}, "out of memory: the kernel kills", True),
        ("kill", {"signal": "15"}, "was sent signal 15", False),
        ("health_status: unhealthy", {}, "its health check says unhealthy", True),
        ("update", {}, "its limits were changed", False),
    ],
)
def test_events_of_the_engine_are_told_in_words(
    action: str, attributes: dict[str, str], words: str, grave: bool
) -> None:
    actor = {"Attributes": {"name": "p-app-1", **attributes}}
    told = event_of({"Action": action, "Actor": actor, "time": 1_700_000_000}, "p")
    assert (told.replica, told.words, told.grave) == ("app-1", words, grave)
    assert told.at.year == 2023
