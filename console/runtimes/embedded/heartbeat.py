"""
Whether the supervisor is at work: one that hangs still holds its lock.

Its records are then what was true when it was last heard, and nobody restarts what
dies, so what they say is not known any more.
"""

from __future__ import annotations

import contextlib
import os
import time

from console.runtimes.embedded.layout import Layout

#: How often it is heard at least while it is well.
BEAT_SECONDS = 1.0
#: Not heard for longer than this it hangs; far beyond any pause of a busy machine.
SILENT_SECONDS = 15.0


def beat(layout: Layout) -> None:
    """
    Say that the supervisor is at work.

    The file's time is set to the monotonic clock, which no correction of the time of
    day and no sleep of the machine moves.
    """
    now = time.monotonic_ns()
    # On a full disk the first one may fail: then nothing is said, rather than all ended.
    with contextlib.suppress(OSError):
        try:
            os.utime(layout.heartbeat, ns=(now, now))
        except FileNotFoundError:
            layout.heartbeat.touch()
            os.utime(layout.heartbeat, ns=(now, now))


def doubt(layout: Layout) -> str:
    """Return that the supervisor was not heard for long, empty while it is."""
    try:
        heard = layout.heartbeat.stat().st_mtime_ns
    except OSError:
        return ""  # of a version that does not say
    silence = (time.monotonic_ns() - heard) / 1e9
    if silence <= SILENT_SECONDS:
        return ""
    # In steps, so that not every look is news.
    return f"the supervisor has not been heard for {silence - silence % 5:.0f} s"
