"""Files of the state are made in one way, so that a group can share it."""

from __future__ import annotations

import re
from pathlib import Path

MAKES = re.compile(r"\.mkdir\(|\.write_text\(|\.write_bytes\(|O_CREAT")
#: Makes files by itself: the way itself, and what is not of the state or has a reader of its own.
MAY = {
    "console/modes.py",
    "console/install.py",  # .venv
    "console/cli/logs.py",  # a file of the operator's, where they say
    "console/runtimes/compose/edge.py",  # read by nginx
    "console/runtimes/compose/systemd.py",  # a unit
    "console/runtimes/embedded/postgres_server.py",  # PostgreSQL's own
}


def test_only_one_module_decides_who_may_read_the_state(project: Path) -> None:
    found = {
        path.relative_to(project).as_posix()
        for path in (project / "console").rglob("*.py")
        if MAKES.search(path.read_text(encoding="utf-8"))
    }

    assert found - MAY == set(), "use make_directory, open_file (console.modes) or write_atomic"
    assert "console/modes.py" in found
