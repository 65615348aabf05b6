"""The graphics processors of this host, where the driver's own program is there to ask."""

from __future__ import annotations

import shutil
import subprocess
import time

from console.domain.readings import Gpu
from console.domain.text import plain_text

PROGRAM = "nvidia-smi"
QUERY = (
    "--query-gpu=name,utilization.gpu,memory.used,memory.total",
    "--format=csv,noheader,nounits",
)
TIMEOUT_SECONDS = 1.0
#: The driver is asked no more often: each time costs it a tenth of a second.
EVERY_SECONDS = 10.0
_MIB = 1024**2


class GpuReader:
    """Asks the driver now and then, and answers from memory in between."""

    def __init__(self) -> None:
        self._program = shutil.which(PROGRAM)
        self._asked_at = float("-inf")
        self._gpus: tuple[Gpu, ...] = ()

    def read(self) -> tuple[Gpu, ...]:
        """Return them; empty where there are none, or their driver does not answer."""
        if self._program is None or time.monotonic() - self._asked_at < EVERY_SECONDS:
            return self._gpus
        self._asked_at = time.monotonic()
        try:
            done = subprocess.run(
                [self._program, *QUERY],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=TIMEOUT_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            self._gpus = ()
        else:
            self._gpus = parse_gpus(done.stdout) if done.returncode == 0 else ()
        return self._gpus


def parse_gpus(said: str) -> tuple[Gpu, ...]:
    """Return what the program says, one a line; what is no number is unknown."""
    found = []
    for line in said.splitlines():
        parts = [part.strip() for part in line.rsplit(",", 3)]
        if len(parts) != 4:
            continue
        used, memory, total = (_number(part) for part in parts[1:])
        found.append(
            Gpu(
                name=plain_text(parts[0], 60),
                used_ratio=None if used is None else used / 100,
                memory_used_bytes=None if memory is None else round(memory * _MIB),
                memory_bytes=None if total is None else round(total * _MIB),
            )
        )
    return tuple(found)


def _number(text: str) -> float | None:
    return float(text) if text.isascii() and text.isdecimal() else None
