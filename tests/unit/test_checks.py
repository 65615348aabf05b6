"""Host checks: what does not suffice is said with a remedy, and never passes."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from console.checks.host import check_embedded, check_host, judge_overcommit
from console.domain.checks import CheckResult, CheckStatus
from console.settings import Settings


def check(name: str, state: Path) -> CheckResult:
    return next(r for r in check_host(Settings(state, state)) if r.id == name)


def test_every_check_answers_once_and_whatever_is_not_well_has_a_remedy(tmp_path: Path) -> None:
    results = check_host(Settings(tmp_path, tmp_path / "not" / "there" / "yet"))
    results += check_embedded()

    assert len({r.id for r in results}) == len(results) > 6
    assert all(r.summary for r in results)
    assert all(r.remedy for r in results if r.status is not CheckStatus.PASS)


def test_a_full_disk_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1024**3))

    result = check("disk", tmp_path)

    assert result.status is CheckStatus.FAIL
    assert "1.0 GiB" in result.summary


def test_little_memory_warns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=1024**3))

    assert check("memory", tmp_path).status is CheckStatus.WARN


def test_a_missing_git_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert check("git", tmp_path).status is CheckStatus.FAIL


@pytest.mark.parametrize(
    ("mode", "status"),
    [
        ("1", CheckStatus.PASS),
        ("0", CheckStatus.WARN),
        ("2", CheckStatus.WARN),
        ("7", CheckStatus.WARN),
        (None, CheckStatus.UNKNOWN),
    ],
)
def test_a_kernel_that_may_refuse_a_fork_is_told(mode: str | None, status: CheckStatus) -> None:
    assert judge_overcommit(mode).status is status
