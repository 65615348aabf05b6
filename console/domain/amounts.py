"""Amounts as operators write them: ``1.5`` cores, ``512M`` of memory."""

from __future__ import annotations

import re

_CORES = re.compile(r"\d{1,4}(\.\d{1,3})?|\.\d{1,3}")
_SIZE = re.compile(r"(\d{1,7}(?:\.\d{1,3})?)\s*([KMG])(?:i?B)?", re.IGNORECASE)
_UNITS = {"K": 1024, "M": 1024**2, "G": 1024**3}


def parse_cores(text: str) -> float | None:
    """Return a number of cores, above 0; None for anything else."""
    cores = float(text) if _CORES.fullmatch(text) else 0.0
    return cores or None


def parse_size(text: str) -> int | None:
    """Return whole KiB in bytes, of ``512M``, ``1.5GiB``; None without a unit, and for nonsense."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        return None
    return round(float(found[1]) * _UNITS[found[2].upper()] / 1024) * 1024 or None


def cores_text(cores: float) -> str:
    """Return cores as :func:`parse_cores` takes them."""
    return f"{cores:g}"


def size_text(size_bytes: int) -> str:
    """Return whole KiB in bytes as :func:`parse_size` takes them."""
    for unit in ("G", "M"):
        if size_bytes % _UNITS[unit] == 0:
            return f"{size_bytes // _UNITS[unit]}{unit}"
    return f"{size_bytes // 1024}K"
