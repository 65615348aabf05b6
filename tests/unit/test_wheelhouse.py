"""The wheelhouse holds what the lock names, by hash, and nothing else."""

from __future__ import annotations

from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

from console.install import InstallError, Locked, read_lock


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """Give the script, which has no ending that Python would know it by."""
    path = Path(__file__).resolve().parents[2] / "compose" / "engine" / "wheelhouse"
    loader = SourceFileLoader("wheelhouse", str(path))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.fixture
def only_pip(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, project: Path
) -> dict[str, Locked]:
    """Let the lock name one small package."""
    wanted = read_lock((project / "compose" / "pip.txt").read_text(encoding="utf-8"))
    monkeypatch.setattr(script, "wanted_packages", lambda: wanted)
    return wanted


def test_everything_the_images_install_is_wanted_and_hashed(script: ModuleType) -> None:
    wanted = script.wanted_packages()

    assert {"pip", "fastapi", "celery", "torch", "transformers"} <= wanted.keys()
    assert "textual" not in wanted
    assert all(script.locked_hashes(package) for package in wanted.values())


@pytest.mark.usefixtures("only_pip")
def test_missing_is_fetched_and_unknown_or_damaged_is_dropped(
    script: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "old-1.0-py3-none-any.whl").write_bytes(b"of another lock")
    script.fill(tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.startswith("pip-")
    first = wheel.stat()

    assert "1 wheels" in script.fill(tmp_path)
    assert wheel.stat().st_mtime_ns == first.st_mtime_ns  # left alone

    wheel.write_bytes(wheel.read_bytes()[:1000])
    script.fill(tmp_path)
    assert wheel.stat().st_size == first.st_size


def test_a_wheel_with_another_hash_is_refused(
    script: ModuleType, only_pip: dict[str, Locked], tmp_path: Path
) -> None:
    text = only_pip["pip"].text
    real = next(iter(script.locked_hashes(only_pip["pip"])))
    only_pip["pip"] = Locked(text.replace(real, "0" * 64), frozenset())

    with pytest.raises(InstallError) as caught:
        script.fill(tmp_path)

    assert caught.value.exit_code == 5
    assert not list(tmp_path.glob("*.whl"))
