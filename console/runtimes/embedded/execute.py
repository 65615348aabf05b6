"""Running one command beside a replica, with its environment."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence

from console.errors import Unreachable
from console.ports import ExecResult
from console.runtimes.embedded.specs import ReplicaSpec

#: Most of the output that is kept; of more the end, where the result stands.
OUTPUT_BYTES = 64 * 1024
CANNOT_RUN = 127


def execute(spec: ReplicaSpec, command: Sequence[str], timeout_seconds: float) -> ExecResult:
    """
    Run *command* as the replica runs: environment, directory and identity.

    ``python`` is the interpreter that the replicas run on.

    Raises:
        Unreachable: After the timeout; everything it had started is killed.
    """
    program = spec.program
    arguments = [sys.executable if command[0] == "python" else command[0], *command[1:]]
    # A file and not a pipe: a grandchild that keeps it open must not hold us up.
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(
                [*program.wrapper, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=program.directory,
                env=program.environment | {"REPLICA_NAME": spec.name},
                start_new_session=True,
            )
        except OSError as error:
            return ExecResult(CANNOT_RUN, f"{arguments[0]}: {error.strerror}")
        try:
            code = process.wait(timeout_seconds)
        except subprocess.TimeoutExpired as error:
            raise Unreachable(
                f"{' '.join(command)} in {spec.name} took longer than {timeout_seconds:g} s",
                unchanged=f"{spec.name} runs on",
                remedy=f"fragrance logs {spec.name}",
            ) from error
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        size = output.seek(0, os.SEEK_END)
        output.seek(max(0, size - OUTPUT_BYTES))
        return ExecResult(code, output.read().decode(errors="replace"))
