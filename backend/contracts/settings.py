"""
The one settings loader of application and workers.

It lives among the contracts because workers may import nothing else of the application.
Priority, highest first: environment variable, file of the lower-case name in the directory
that ``SECRETS_DIR`` names, section of ``APP_ENV`` in the YAML file, its ``default``
section, the default here.  An unset or empty variable counts as not given.
"""

from __future__ import annotations

import os
import re
import socket
import uuid
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)

from backend.contracts import tasks

_ALIASES = {"development": "dev", "production": "prod"}
_PACKAGED_FILE = Path(__file__).with_name("settings.yaml")
_SECRET_KEY_MIN_LENGTH = 32


class SettingsError(ValueError):
    """The settings cannot be read or contradict each other; says which one and why."""


@dataclass(frozen=True, slots=True)
class LlmSettings:
    """Settings of the LLM worker; ``concurrency`` counts engines (model copies)."""

    concurrency: int
    max_batch_size: int
    use_gpu: bool
    enable_quantization: bool
    use_cache: bool
    cache_ttl_seconds: int
    model_home: Path | None


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """Settings of the HTTP interface."""

    cors_origins: tuple[str, ...]
    rate_limit_enabled: bool
    rate_limit: str
    max_body_bytes: int
    docs_enabled: bool
    metrics_enabled: bool


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """Settings of the RL worker."""

    concurrency: int
    batch_size: int
    checkpoint_directory: Path
    tensorboard_directory: Path


class Settings(BaseSettings):
    """
    Every setting of the product, by its name in lower case.

    Use the typed accessors (:attr:`llm`, :attr:`api`, :attr:`rl`) where a group is needed.
    """

    model_config = SettingsConfigDict(
        case_sensitive=False, extra="ignore", env_ignore_empty=True, frozen=True
    )

    app_env: Literal["dev", "staging", "prod"] = "dev"
    version: str = ""
    vcs_ref: str = "unknown"
    build_date: str = "unknown"
    replica_name: str = Field(default_factory=lambda: f"replica-{uuid.uuid4().hex[:8]}")

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "INFO"
    log_format: Literal["json", "human"] = "human"
    log_dir: Path | None = None
    sentry_dsn: SecretStr | None = None

    database_url: SecretStr | None = None
    redis_url: SecretStr | None = None
    secret_key: SecretStr | None = None
    db_pool_size: int = Field(default=5, ge=1, le=100)
    db_pool_timeout: float = Field(default=5.0, gt=0, description="seconds")

    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    rate_limit_enabled: bool = True
    rate_limit: str = "120/minute"
    max_body_bytes: int = Field(default=65536, ge=1024)
    prometheus_enabled: bool = True

    llm_worker_concurrency: int = Field(default=2, ge=1, le=64)
    llm_max_batch_size: int = Field(default=8, ge=1, le=256)
    rl_worker_concurrency: int = Field(default=1, ge=1, le=64)
    rl_batch_size: int = Field(default=64, ge=1, le=65536)
    use_gpu: bool = False
    enable_quantization: bool = False
    use_cache: bool = True
    cache_ttl: int = Field(default=7200, ge=0, description="seconds")

    checkpoint_dir: Path = Path(".fragrance/embedded/checkpoints")
    tensorboard_dir: Path = Path(".fragrance/embedded/tensorboard")
    hf_home: Path | None = None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources; ``.env`` files are read by whoever starts the process."""
        del dotenv_settings, file_secret_settings
        return (
            init_settings,
            env_settings,
            *_secret_files(settings_cls),
            _YamlSections(settings_cls),
        )

    @field_validator("app_env", mode="before")
    @classmethod
    def _short_environment(cls, value: object) -> object:
        return _ALIASES.get(value, value) if isinstance(value, str) else value

    @field_validator("sentry_dsn", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return value or None

    @field_validator("replica_name")
    @classmethod
    def _expand_host_name(cls, value: str) -> str:
        """In a container the host name is its id: unique, and known to whoever runs it."""
        return value.replace("%h", socket.gethostname())

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper_level(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split_origins(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part for part in re.split(r"[\s,]+", value) if part)
        return value

    @model_validator(mode="after")
    def _refuse_unsafe_production(self) -> Self:
        if self.app_env == "prod":
            if "*" in self.cors_origins:
                raise ValueError("CORS_ORIGINS must not be * in production")
            key = self.secret_key.get_secret_value() if self.secret_key else ""
            if len(key) < _SECRET_KEY_MIN_LENGTH:
                raise ValueError("SECRET_KEY needs at least 32 characters in production")
        return self

    @property
    def release(self) -> str:
        """The version that runs: VERSION, else the VERSION file, else ``unknown``."""
        return self.version or packaged_version()

    @property
    def database_dsn(self) -> str:
        """The database URL in the form SQLAlchemy wants; raises SettingsError if unset."""
        url = _revealed(self.database_url, "DATABASE_URL")
        for scheme in ("postgresql://", "postgres://"):
            if url.startswith(scheme):
                return "postgresql+psycopg://" + url.removeprefix(scheme)
        return url

    @property
    def redis_dsn(self) -> str:
        """The Redis URL; see :mod:`backend.contracts.tasks` for the other databases."""
        return _revealed(self.redis_url, "REDIS_URL")

    @property
    def shared_redis_dsn(self) -> str:
        """The Redis URL of cache, heartbeats, counters and rate limits."""
        return tasks.shared_url(self.redis_dsn)

    def broker_dsn(self, queue: tasks.Queue) -> str:
        """Return the Redis URL of a queue's broker."""
        return tasks.broker_url(self.redis_dsn, queue)

    @property
    def llm(self) -> LlmSettings:
        """The settings of the LLM worker."""
        return LlmSettings(
            self.llm_worker_concurrency,
            self.llm_max_batch_size,
            self.use_gpu,
            self.enable_quantization,
            self.use_cache,
            self.cache_ttl,
            self.hf_home,
        )

    @property
    def rl(self) -> WorkerSettings:
        """The settings of the RL worker."""
        return WorkerSettings(
            self.rl_worker_concurrency,
            self.rl_batch_size,
            self.checkpoint_dir,
            self.tensorboard_dir,
        )

    @property
    def api(self) -> ApiSettings:
        """The settings of the HTTP interface."""
        return ApiSettings(
            self.cors_origins,
            self.rate_limit_enabled,
            self.rate_limit,
            self.max_body_bytes,
            docs_enabled=True,
            metrics_enabled=self.prometheus_enabled,
        )


class _YamlSections(PydanticBaseSettingsSource):
    """The section of the environment over the default section."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return nothing: the file is read as a whole by :meth:`__call__`."""
        del field
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        path = Path(os.environ.get("SETTINGS_FILE") or _PACKAGED_FILE)
        named = self.current_state.get("app_env") or os.environ.get("APP_ENV") or "dev"
        environment = _ALIASES.get(str(named), str(named))
        try:
            sections = yaml.load(path.read_text(), Loader=_YAML_LOADER) or {}  # noqa: S506 - safe
            merged = {**(sections.get("default") or {}), **(sections.get(environment) or {})}
        except (OSError, yaml.YAMLError, AttributeError, TypeError) as error:
            raise SettingsError(f"settings file {path} cannot be read: {error}") from error
        unknown = sorted(set(merged) - set(self.settings_cls.model_fields))
        if unknown:
            raise SettingsError(f"settings file {path} has unknown names: {', '.join(unknown)}")
        return merged


# The C loader where libyaml is there; both are the safe ones.
_YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _secret_files(settings_cls: type[BaseSettings]) -> list[PydanticBaseSettingsSource]:
    directory = os.environ.get("SECRETS_DIR")
    if not directory:
        return []
    if not Path(directory).is_dir():
        raise SettingsError(f"SECRETS_DIR {directory} is not a directory")
    return [SecretsSettingsSource(settings_cls, secrets_dir=directory, env_ignore_empty=True)]


def _revealed(secret: SecretStr | None, name: str) -> str:
    if secret is None:
        raise SettingsError(f"{name} is not set: give it in the environment or in SECRETS_DIR")
    return secret.get_secret_value().strip()


@cache
def packaged_version() -> str:
    """Return the version in the VERSION file beside the packages, ``unknown`` without one."""
    for directory in (Path(__file__).parents[2], Path.cwd()):
        try:
            return (directory / "VERSION").read_text().strip()
        except OSError:
            continue
    return "unknown"


def load_settings() -> Settings:
    """
    Read the settings once more from every source.

    Raises:
        SettingsError: If one is missing, malformed or unsafe for the environment; the
            message names the setting and never shows its value.
    """
    from pydantic import ValidationError

    try:
        return Settings()
    except ValidationError as error:
        parts = [
            f"{'.'.join(str(p) for p in item['loc']).upper() or 'settings'}: {item['msg']}"
            for item in error.errors(include_input=False, include_url=False)
        ]
        raise SettingsError("; ".join(parts)) from None
