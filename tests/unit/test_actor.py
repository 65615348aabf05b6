"""Who acts is the login user, whatever sudo and the environment say."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from console.operations.actor import current_actor

NOBODY = pwd.getpwnam("nobody")


@pytest.fixture
def unset(tmp_path: Path) -> Path:
    path = tmp_path / "loginuid"
    path.write_text(str(2**32 - 1))
    return path


def test_the_login_uid_stands_before_sudo(tmp_path: Path) -> None:
    path = tmp_path / "loginuid"
    path.write_text(f"{NOBODY.pw_uid}\n")

    actor = current_actor({"SUDO_USER": "root"}, path)

    assert (actor.user, actor.uid, actor.origin) == ("nobody", NOBODY.pw_uid, "local")


@pytest.mark.skipif(os.getuid() != 0, reason="only of root is SUDO_USER believed")
def test_without_a_login_uid_root_is_who_called_sudo(unset: Path) -> None:
    assert current_actor({"SUDO_USER": "nobody"}, unset).user == "nobody"
    assert current_actor({"SUDO_USER": "no such user"}, unset).uid == 0


def test_an_unprivileged_user_cannot_say_who_they_are(
    unset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: NOBODY.pw_uid)

    assert current_actor({"SUDO_USER": "root"}, unset).user == "nobody"


def test_a_uid_without_a_name_is_told_as_such(tmp_path: Path) -> None:
    path = tmp_path / "loginuid"
    path.write_text("3999999")

    assert current_actor({}, path).user == "uid 3999999"


@pytest.mark.parametrize(
    ("environ", "origin"),
    [
        ({}, "local"),
        ({"SSH_CONNECTION": "192.0.2.7 50000 192.0.2.1 22"}, "ssh 192.0.2.7"),
        ({"SSH_CLIENT": "2001:db8::1 50000 22"}, "ssh 2001:db8::1"),
        ({"SSH_CONNECTION": "fe80::1%eth0 1 2 3"}, "ssh fe80::1"),
        ({"SSH_CONNECTION": "\x1b[31mevil 1 2 3"}, "ssh unknown address"),
        ({"SSH_CONNECTION": "  "}, "local"),
    ],
)
def test_the_origin_is_an_address_or_said_to_be_none(
    unset: Path, environ: dict[str, str], origin: str
) -> None:
    assert current_actor(environ, unset).origin == origin
