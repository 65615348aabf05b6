"""Where a runner is put so that the end of a login does not reach it."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from console.operations import launch


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a host that systemd runs, whose ``systemd-run`` does as it is told."""
    program = tmp_path / "bin" / "systemd-run"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexit 0\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(launch, "SYSTEMD", tmp_path)
    monkeypatch.setattr(launch, "LINGER", tmp_path / "linger")
    (tmp_path / "linger").mkdir()
    return tmp_path


def test_root_gets_a_scope_of_the_system(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    assert launch._scope() == [str(host / "bin" / "systemd-run"), "--scope", "--quiet", "--collect"]


def test_a_users_scope_is_taken_only_if_it_outlives_the_login(
    host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = pwd.getpwnam("nobody")
    monkeypatch.setattr(os, "geteuid", lambda: nobody.pw_uid)
    assert launch._scope() == []

    (host / "linger" / "nobody").touch()
    assert "--user" in launch._scope()


def test_without_systemd_there_is_none(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "SYSTEMD", host / "absent")
    assert launch._scope() == []


def test_a_scope_that_cannot_be_made_is_done_without(
    host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    (host / "bin" / "systemd-run").write_text("#!/bin/sh\nexit 1\n")

    assert launch._scope() == []
