"""
The door to the screens: :func:`open_console`, the one thing the command line names.

Kept light on purpose: the terminal is judged and Textual's environment prepared
before anything of Textual is imported.
"""

from __future__ import annotations

import gc
import os
import sys
from typing import TYPE_CHECKING

from screens.preferences import Preferences
from screens.terminal import below_ssh, inspect_terminal, textual_environment, why_undrawable

if TYPE_CHECKING:
    from console.engine import Engine


#: How long a thread that reads may keep a key waiting; Python's own measure is 5 ms.
SWITCH_SECONDS = 0.001


def open_console(engine: Engine) -> int:
    """
    Show the console until it is left.

    Args:
        engine: The stack to watch and operate.

    Returns:
        0 when left by the operator, 2 when this terminal cannot draw, 128 + n
        when signal n ended it, 1 when the console itself failed.
    """
    streams = (sys.__stdin__, sys.__stdout__, sys.__stderr__)
    interactive = all(stream is not None and stream.isatty() for stream in streams)
    reason = why_undrawable(os.environ, interactive=interactive)
    if reason is not None:
        print(f"fragrance: {reason}", file=sys.stderr)
        print("  unchanged: nothing was started or changed", file=sys.stderr)
        print(
            "  next: fragrance watch   (one line per change)\n"
            "        fragrance status  (one picture; --json for machines)",
            file=sys.stderr,
        )
        return 2
    terminal = inspect_terminal(
        os.environ, over_ssh=below_ssh(), low_bandwidth=engine.settings.low_bandwidth
    )
    for name, value in textual_environment(terminal).items():
        os.environ.setdefault(name, value)

    # Nothing of what the start makes is garbage: looking for it would only delay it.
    # The console turns the collector on again when the first screen is drawn.
    gc.disable()
    sys.setswitchinterval(SWITCH_SECONDS)
    engine.watch()  # without an agent, what takes longest is asked while the screens load
    from screens.application import ConsoleApp

    preferences = Preferences.of_user(os.environ, engine.settings.state)
    app = ConsoleApp(engine, terminal=terminal, preferences=preferences)
    app.run(mouse=preferences.mouse)
    _forget_lost_terminal()
    return app.return_code or 0


def _forget_lost_terminal() -> None:
    """
    Let what is left to write go nowhere when the terminal has gone.

    Python writes its buffers once more at the end and, failing, answers with an exit
    code of its own instead of ours.
    """
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is None:
            continue
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
