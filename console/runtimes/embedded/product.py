"""The product as the embedded runtime runs it: services, commands, data, order."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from functools import cached_property

from console.domain.services import Role
from console.errors import ConsoleError, Refused, Unreachable
from console.install import REFUSED, UNREACHABLE, Environment, InstallError, install
from console.modes import make_directory
from console.runtimes.embedded import postgres_server, redis_server
from console.runtimes.embedded.blueprint import Progress, Site
from console.runtimes.embedded.environment import (
    APP_SETTINGS,
    SETTINGS,
    WORKER_SETTINGS,
    product_environment,
    system_environment,
)
from console.runtimes.embedded.secret_files import ensure_secrets, read_secret
from console.runtimes.embedded.specs import Program, ServiceDefinition
from console.settings import PROJECT

MIGRATION_SECONDS = 300.0
SERVER_SECONDS = 60.0
GIB = 1024**3


class ProductBlueprint:
    """Application, workers, PostgreSQL and Redis on this machine, without Docker."""

    preferred_ports: Mapping[str, int] = {"app": 8000, "postgres": 15432, "redis": 16379}
    free_bytes_needed = GIB

    @cached_property
    def release(self) -> str:
        """Version in the VERSION file."""
        try:
            return (PROJECT / "VERSION").read_text().strip()
        except OSError:
            return ""

    def endpoints(self, site: Site) -> dict[str, str]:
        """Return the address of the API."""
        return {"api": f"http://127.0.0.1:{site.ports['app']}"}

    def services(self, site: Site) -> tuple[ServiceDefinition, ...]:
        """Return the catalogue, product first."""
        return (
            _app(site, self._environment(site)),
            _worker("llm", self._environment(site)),
            _worker("rl", self._environment(site)),
            _postgres(site),
            _redis(site),
        )

    def prepare(self, site: Site, progress: Progress) -> None:
        """Make directories, secrets and the configuration of Redis."""
        root = site.layout.root
        _install_packages()
        _refuse_lost_password(site)
        for name in ("redis", "checkpoints", "models", "cache", "tensorboard"):
            make_directory(root / name)
        if ensure_secrets(site.layout.secrets, site.ports):
            progress("made secrets")
        redis_server.write_configuration(
            site.layout.secrets / "redis.conf",
            root / "redis",
            site.ports["redis"],
            _secret(site, "redis_password"),
        )

    def complete(self, site: Site, progress: Progress) -> None:
        """Make the database, wait for the servers, bring the schema to its head."""
        identity = postgres_server.choose_identity(site.layout)
        if postgres_server.make_data_directory(identity, _secret(site, "postgres_password")):
            progress("made the database")
        redis_server.wait_for_redis(
            site.ports["redis"], _secret(site, "redis_password"), SERVER_SECONDS, site.check
        )
        postgres_server.wait_for_postgres(site.ports["postgres"], SERVER_SECONDS, site.check)
        progress("postgres and redis answer")
        self._migrate(site)
        progress("schema is at its head")

    def _migrate(self, site: Site) -> None:
        command = [sys.executable, "-m", "backend", "migrate", "upgrade", "head"]
        try:
            done = subprocess.run(
                command,
                cwd=PROJECT,
                env=self._environment(site),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=MIGRATION_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise Unreachable(
                f"the migration did not end within {MIGRATION_SECONDS:g} s",
                unchanged="the schema is at the last revision that was finished",
                remedy="fragrance logs postgres",
            ) from error
        if done.returncode != 0:
            raise ConsoleError(
                "the migration failed: " + " / ".join(done.stdout.strip().splitlines()[-3:]),
                unchanged="the schema is at the last revision that was finished",
                remedy="fragrance logs postgres, then fragrance start",
            )

    def _environment(self, site: Site) -> dict[str, str]:
        root = site.layout.root
        return {
            **system_environment(site.environ),
            "APP_ENV": site.environment,
            # The console reads these logs; it knows levels and times only from JSON.
            "LOG_FORMAT": "json",
            "HF_HOME": str(root / "cache"),
            **product_environment(site.environ),
            "SECRETS_DIR": str(site.layout.secrets),
            "CHECKPOINT_DIR": str(root / "checkpoints"),
            "TENSORBOARD_DIR": str(root / "tensorboard"),
            "MODEL_DIR": str(root / "models"),
            "VERSION": self.release,
            "PYTHONUNBUFFERED": "1",
        }


def _install_packages() -> None:
    """
    Install the product's packages: only this runtime runs it in this environment.

    Raises:
        Refused: If there is no room for them.
        Unreachable: If they cannot be fetched.
    """
    environment = Environment(PROJECT)
    if environment.installed("embedded") or environment.installed("dev"):
        return
    try:
        install(PROJECT, "embedded")
    except InstallError as error:
        kinds = {REFUSED: Refused, UNREACHABLE: Unreachable}
        raise kinds.get(error.exit_code, ConsoleError)(
            str(error), unchanged="nothing was started", remedy=error.remedy
        ) from error


def _refuse_lost_password(site: Site) -> None:
    """A new password would not open the data that is there."""
    data = postgres_server.choose_identity(site.layout).data
    if (data / "PG_VERSION").exists():
        _secret(site, "postgres_password")


def _secret(site: Site, name: str) -> str:
    value = read_secret(site.layout.secrets, name)
    if value is None:
        raise ConsoleError(
            f"the secret {name} is gone from {site.layout.secrets}",
            unchanged="no data was touched",
            remedy="put the file back from your backup: a new one would not open the old data",
        )
    return value


def _app(site: Site, environment: dict[str, str]) -> ServiceDefinition:
    return ServiceDefinition(
        name="app",
        role=Role.APP,
        replicas=2,
        labels={
            "console.role": "app",
            "console.drain": "http",
            "console.health.url": "http://127.0.0.1:{port}/ready",
            "console.metrics.url": "http://127.0.0.1:{port}/metrics",
        },
        program=Program(
            command=(
                *(sys.executable, "-m", "backend", "serve"),
                *("--fd", "{shared_fd}", "--fd", "{private_fd}"),
            ),
            environment=environment,
            directory=str(PROJECT),
            # The server itself finishes its requests within 30 s.
            grace_seconds=35,
            shared_port=site.ports["app"],
            private_socket=True,
        ),
        settings=SETTINGS + APP_SETTINGS,
    )


def _worker(queue: str, environment: dict[str, str]) -> ServiceDefinition:
    database = {"llm": 0, "rl": 1}[queue]
    return ServiceDefinition(
        name=f"worker-{queue}",
        role=Role.WORKER,
        labels={
            "console.role": "worker",
            "console.queue": queue,
            "console.broker": f"database={database} unacked=unacked steps=0,3,6,9",
            "console.drain": "celery",
        },
        program=Program(
            command=(sys.executable, "-m", "workers", queue),
            environment=environment,
            directory=str(PROJECT),
            grace_seconds=60,
        ),
        settings=SETTINGS + WORKER_SETTINGS[queue],
    )


def _postgres(site: Site) -> ServiceDefinition:
    identity = postgres_server.choose_identity(site.layout)
    programs = str(postgres_server.binary("postgres").parent)
    system = system_environment(site.environ)
    return ServiceDefinition(
        name="postgres",
        role=Role.DATABASE,
        labels={"console.role": "database"},
        url_secret="database_url",  # noqa: S106  the name of a file
        program=Program(
            command=(
                str(postgres_server.binary("postgres")),
                *("-D", str(identity.data), "-p", str(site.ports["postgres"])),
            ),
            # For people and dumps that are run beside it: exec in this replica.
            environment=system
            | {
                "PATH": f"{programs}:{system.get('PATH', '/usr/bin:/bin')}",
                "PGHOST": "127.0.0.1",
                "PGPORT": str(site.ports["postgres"]),
                "PGUSER": postgres_server.USER,
                "PGDATABASE": postgres_server.DATABASE,
                "PGPASSFILE": str(site.layout.secrets / "pgpass"),
            },
            directory=str(PROJECT),
            wrapper=identity.wrapper,
            stop_signal="INT",
            tier=0,
            requires=str(identity.data / "PG_VERSION"),
            exclusive_directory=str(identity.data),
            stale_files=("postmaster.pid",),
        ),
    )


def _redis(site: Site) -> ServiceDefinition:
    directory = site.layout.root / "redis"
    programs = str(redis_server.server_binary().parent)
    system = system_environment(site.environ)
    return ServiceDefinition(
        name="redis",
        role=Role.BROKER,
        labels={"console.role": "broker"},
        url_secret="redis_url",  # noqa: S106  the name of a file
        program=Program(
            command=(
                str(redis_server.server_binary()),
                str(site.layout.secrets / "redis.conf"),
            ),
            environment=system | {"PATH": f"{programs}:{system.get('PATH', '/usr/bin:/bin')}"},
            directory=str(PROJECT),
            tier=0,
            exclusive_directory=str(directory),
        ),
    )
