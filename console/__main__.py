"""
Composition root: parse, and open the screens when the answer is the console.

The import of ``screens`` below is the only line of this package that names them.
"""

from __future__ import annotations

import sys

from console.bootstrap import build_engine
from console.cli.main import SHOW_CONSOLE, main, report
from console.errors import ConsoleError


def run() -> int:
    """Run the command line of this process and return its exit code."""
    code, settings = main(sys.argv[1:], build_engine)
    if code != SHOW_CONSOLE or settings is None:
        return code
    from screens.app import open_console

    try:
        return open_console(build_engine(settings))
    except ConsoleError as error:
        report(error)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(run())
