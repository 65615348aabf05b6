"""Graphics processors: as their driver's program tells of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from console.domain.readings import Gpu
from console.sources import gpu
from console.sources.gpu import GpuReader, parse_gpus
from screens.look import THEMES, look_of
from screens.overview_figures import figure_lines
from screens.view import View
from tests.fakes import pictures

MIB = 1024**2
TWO = "NVIDIA H200, 37, 2048, 143771\nTesla, with a comma, [N/A], [N/A], 16384\nnonsense\n"


def test_each_is_a_line_and_what_is_not_told_is_unknown() -> None:
    assert parse_gpus(TWO) == (
        Gpu("NVIDIA H200", 0.37, 2048 * MIB, 143771 * MIB),
        Gpu("Tesla, with a comma", None, None, 16384 * MIB),
    )
    assert parse_gpus("") == ()


def test_the_driver_is_asked_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program, asked = tmp_path / gpu.PROGRAM, tmp_path / "asked"
    program.write_text(f"#!/bin/sh\necho x >>{asked}\nprintf 'H200, 5, 10, 20\\n'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    reader = GpuReader()
    for _ in range(3):
        assert reader.read() == (Gpu("H200", 0.05, 10 * MIB, 20 * MIB),)
    assert asked.read_text() == "x\n"


def test_a_host_without_one_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "PROGRAM", "no-such-program-anywhere")
    assert GpuReader().read() == ()


def test_the_overview_has_a_line_for_each() -> None:
    picture = pictures.normal()
    assert picture.host is not None
    host = replace(picture.host, gpus=parse_gpus(TWO))
    picture = replace(picture, host=host)
    view = View("dev", False, "ana", snapshot=picture)
    lines = [line.plain for line in figure_lines(view, picture, look_of(THEMES[0]), 80)]
    assert any("GPU       NVIDIA H200   37%   memory 2.0G/140G" in line for line in lines)
    assert any("Tesla, with a comma   –   memory –/16G" in line for line in lines)
