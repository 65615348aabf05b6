"""Whether something keeps this host's clock right: logs, audit and certificates hang on it."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from console.domain.checks import CheckResult, CheckStatus

#: Of the kernel's answer: nothing disciplines the clock.
TIME_ERROR = 5
#: Events of several hosts cannot be put in order beyond this.
TOLERATED_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class ClockReading:
    """
    What the kernel says of its clock.

    Args:
        synchronised: Whether something like chrony keeps it.
        error_seconds: How far off it is at most, if it is kept.
    """

    synchronised: bool
    error_seconds: float


class _Timex(ctypes.Structure):
    """The head of the kernel's ``struct timex`` (adjtimex(2)), and room for the rest."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("rest", ctypes.c_char * 512),
    )


def read_clock() -> ClockReading | None:
    """Ask the kernel, changing nothing; None when it does not tell."""
    answer = _Timex()  # modes 0: only read
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.byref(answer))
    except (OSError, AttributeError):
        return None
    if state < 0:
        return None
    return ClockReading(state != TIME_ERROR, answer.maxerror / 1e6)


def judge_clock(reading: ClockReading | None) -> CheckResult:
    """Judge the clock; one that nobody keeps is no failure, it may be right."""
    if reading is None:
        return CheckResult(
            "clock", CheckStatus.UNKNOWN, "the kernel does not tell", "chronyc tracking"
        )
    if not reading.synchronised:
        return CheckResult(
            "clock",
            CheckStatus.WARN,
            "nothing keeps it synchronised, by the kernel's word",
            "apt-get install chrony (not needed where the hypervisor keeps the clock)",
        )
    if reading.error_seconds > TOLERATED_SECONDS:
        return CheckResult(
            "clock",
            CheckStatus.WARN,
            f"synchronised, but may be off by {reading.error_seconds:.1f} s",
            "chronyc tracking; chronyc makestep",
        )
    return CheckResult(
        "clock",
        CheckStatus.PASS,
        f"synchronised, off by {reading.error_seconds * 1000:.0f} ms at most",
    )
