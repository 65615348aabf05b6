"""Which compose project is meant, and how the ``docker compose`` command is run on it."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from console.domain.text import plain_text
from console.errors import ConsoleError, Unreachable, UsageError
from console.runtimes.compose.env_file import read_env

#: For reading commands; bringing a project up has its own patience.
COMMAND_SECONDS = 30.0
#: What a compose command needs of the operator's environment on our own project: all
#: settings stand in its env file, and a shell that happens to export ``VERSION`` must
#: not change what runs.
NEEDED = (
    "PATH",
    "HOME",
    "LANG",
    "TMPDIR",
    "COMPOSE_PROJECT_NAME",
    "DOCKER_HOST",
    "DOCKER_CONFIG",
    "DOCKER_CONTEXT",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
)
NAME_FILE = "project"
#: The variable that names what is laid over our own file.
OVERRIDES = "COMPOSE_OVERRIDES"


@dataclass(frozen=True, slots=True)
class ComposeProject:
    """
    One compose project.

    Args:
        files: Compose files, in the order they override each other.
        state: Directory of what is generated for it, ``STATE/compose``.
        ours: The product's own, which is prepared and migrated; else any other,
            which is run as its author wrote it.
    """

    files: tuple[Path, ...]
    state: Path
    ours: bool

    @property
    def directory(self) -> Path:
        """Directory that relative paths in the files start from."""
        return self.files[0].parent

    @property
    def env_file(self) -> Path | None:
        """Settings of our own project; others have their ``.env``, which compose finds."""
        return self.state / "env" if self.ours else None

    @property
    def layers(self) -> tuple[Path, ...]:
        """
        Its files and, on our own project, what the env file lays over them.

        Raises:
            UsageError: If the env file names an override that there is not.
        """
        if self.env_file is None:
            return self.files
        names = read_env(self.env_file).get(OVERRIDES, "").replace(",", " ").split()
        chosen = [self.directory / f"docker-compose.{name}.yml" for name in names]
        if missing := [n for n, file in zip(names, chosen, strict=True) if not file.is_file()]:
            raise UsageError(
                f"{OVERRIDES} in {self.env_file} names {plain_text(missing[0], 40)}, "
                "which is no override",
                unchanged="nothing was changed",
                remedy=f"names are those of {self.directory}/docker-compose.NAME.yml",
            )
        return (*self.files, *chosen)

    def recorded_name(self) -> str | None:
        """Return the name it was started under, None when it never was."""
        try:
            return (self.state / NAME_FILE).read_text(encoding="utf-8").strip() or None
        except OSError:
            return None

    def environment(self, profiles: str | None = None) -> dict[str, str]:
        """
        Return the environment of its compose commands.

        Args:
            profiles: Profiles to enable, ``*`` for all; None for the author's choice.
        """
        chosen: Mapping[str, str] = os.environ
        if self.ours:
            chosen = {name: os.environ[name] for name in NEEDED if name in os.environ}
        enabled = {} if profiles is None else {"COMPOSE_PROFILES": profiles}
        return {**chosen, "FRAGRANCE_COMPOSE_STATE": str(self.state), **enabled}

    def command(self, *arguments: str, env_file: Path | None = None) -> list[str]:
        """
        Return the command line of one compose command.

        Args:
            env_file: Instead of the project's own.
        """
        words = ["docker", "compose", "--ansi", "never"]
        if name := self.recorded_name():
            words += ["--project-name", name]
        for file in self.layers if env_file is None else self.files:
            words += ["--file", str(file)]
        if chosen := env_file or self.env_file:
            words += ["--env-file", str(chosen)]
        return [*words, *arguments]

    def run(
        self,
        *arguments: str,
        profiles: str | None = "*",
        timeout_seconds: float = COMMAND_SECONDS,
        variables: Mapping[str, str] | None = None,
        env_file: Path | None = None,
    ) -> str:
        """
        Run one compose command and return its output.

        Args:
            variables: Settings that count instead of those that are set.
            env_file: Instead of the project's own, and then without its overrides.

        Raises:
            Unreachable: If there is no compose, or it does not end in time.
            ConsoleError: If it fails; with its last words.
        """
        command = self.command(*arguments, env_file=env_file)
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                cwd=self.directory,
                env=self.environment(profiles) | dict(variables or {}),
                timeout=timeout_seconds,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise self._unreachable(arguments, error) from error
        if done.returncode != 0:
            raise failed(arguments, done.stderr.decode(errors="replace"))
        return done.stdout.decode(errors="replace")

    def stream(
        self,
        arguments: Sequence[str],
        progress: Callable[[str], None],
        timeout_seconds: float,
        profiles: str | None = None,
    ) -> None:
        """
        Run one compose command and hand on every line it says.

        Raises:
            Unreachable: If there is no compose, or it does not end in time.
            ConsoleError: If it fails; with its last words.
        """
        try:
            process = subprocess.Popen(
                self.command("--progress", "plain", *arguments),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                env=self.environment(profiles),
            )
        except OSError as error:
            raise self._unreachable(arguments, error) from error
        said: list[str] = []
        late = threading.Event()

        def give_up() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(timeout_seconds, give_up)
        timer.start()
        try:
            with process:
                assert process.stdout is not None  # noqa: S101 -- asked for above
                for raw in process.stdout:
                    line = plain_text(raw.decode(errors="replace"), 300)
                    if line:
                        said = [*said[-20:], line]
                        progress(line)
        finally:
            timer.cancel()
        if late.is_set():
            raise self._unreachable(arguments, subprocess.TimeoutExpired("", timeout_seconds))
        if process.returncode != 0:
            raise failed(arguments, "\n".join(said))

    def _unreachable(self, arguments: Sequence[str], error: Exception) -> Unreachable:
        verb = f"docker compose {arguments[0]}"
        if isinstance(error, subprocess.TimeoutExpired):
            return Unreachable(
                f"{verb} did not end within {error.timeout:g} s",
                unchanged="what runs goes on running",
                remedy="docker info",
            )
        return Unreachable(
            f"{verb} cannot be run: {getattr(error, 'strerror', None) or error}",
            unchanged="nothing was changed",
            remedy="install Docker Compose 2.40 or newer: compose/engine/setup",
        )


def failed(arguments: Sequence[str], said: str) -> ConsoleError:
    """Return the error of a compose command that failed, from what it said."""
    lines = [line for line in (plain_text(text, 300) for text in said.splitlines()) if line]
    verb = f"docker compose {arguments[0]}"
    if any("Cannot connect to the Docker daemon" in line for line in lines):
        return Unreachable(
            f"{verb}: the Docker Engine does not answer",
            unchanged="nothing was changed",
            remedy="docker info; compose/engine/setup starts it",
        )
    return ConsoleError(
        f"{verb} failed: {lines[-1] if lines else 'it said nothing'}",
        unchanged="what ran before runs on",
        remedy="fragrance status",
    )
