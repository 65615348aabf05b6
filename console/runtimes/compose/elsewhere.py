"""
Servers of somebody else that the overrides name: database, broker, store of logs.

Their addresses are secrets.  The first start takes them from the shell (``DATABASE_URL``,
``REDIS_URL``, ``LOG_STORE_URL``) or finds them where the operator has put them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from console.errors import Refused
from console.runtimes.compose.project import OVERRIDES

POSTGRES, REDIS, LOGS = "external-postgres", "external-redis", "logs"
#: Secret that an override asks for, and what its address begins with.
ASKED: Mapping[str, tuple[str, tuple[str, ...]]] = {
    POSTGRES: ("database_url", ("postgresql", "postgres", "postgresql+psycopg")),
    REDIS: ("redis_url", ("redis", "rediss")),
    LOGS: ("log_store_url", ("http", "https")),
}
#: Of the exporter's driver; ours prefers encryption, which that one cannot say.
SSL_MODES = ("disable", "require", "verify-ca", "verify-full")


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """
    What follows from the addresses.

    Args:
        secrets: Contents by name of the file; they follow the addresses.
        variables: For the env file; no secret.
    """

    secrets: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)


def asked_for(variables: Mapping[str, str]) -> list[tuple[str, tuple[str, tuple[str, ...]]]]:
    """Return the secrets that the chosen overrides ask for: name, override, schemes."""
    chosen = variables.get(OVERRIDES, "").replace(",", " ").split()
    return [(name, (o, schemes)) for o, (name, schemes) in ASKED.items() if o in chosen]


def elsewhere(
    directory: Path, variables: Mapping[str, str], environ: Mapping[str, str]
) -> Elsewhere:
    """
    Return what follows from the addresses of the servers that are not ours.

    Args:
        directory: Of the secrets; an address that is there counts.
        variables: Of the env file; ``COMPOSE_OVERRIDES`` is among them.
        environ: Where addresses are that are not there yet.

    Raises:
        Refused: If an address is missing or is none.
    """
    found = Elsewhere()
    for name, (override, schemes) in asked_for(variables):
        url = _given(directory / name) or environ.get(name.upper(), "").strip()
        parts = _parts(url)
        if parts is None or parts.scheme not in schemes:
            raise Refused(
                f"{override} needs an address ({schemes[0]}://…), and the secret {name} has none",
                unchanged="nothing was started",
                remedy=f"write it into {directory / name}, mode 444, then type the command again",
            )
        found.secrets[name] = url
        if override == POSTGRES:
            found.secrets.update(_postgres(parts))
        elif override == REDIS:
            found.secrets.update(_redis(parts))
            found.variables["EXTERNAL_REDIS_ADDRESS"] = _redis_address(parts)
    return found


def _given(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _parts(url: str) -> SplitResult | None:
    """Return the parts of an address, None where there is no host or the port is none."""
    try:
        parts = urlsplit(url)
        return parts if parts.hostname and (parts.port is None or parts.port) else None
    except ValueError:
        return None


def _postgres(parts: SplitResult) -> dict[str, str]:
    asked = parse_qs(parts.query).get("sslmode", ["disable"])[0]
    mode = asked if asked in SSL_MODES else "disable"
    return {
        "postgres_password": unquote(parts.password or ""),
        "postgres_exporter_user": unquote(parts.username or ""),
        "postgres_exporter_uri": f"{_place(parts, 5432)}{parts.path or '/postgres'}?sslmode={mode}",
    }


def _redis(parts: SplitResult) -> dict[str, str]:
    password = unquote(parts.password or "")
    return {
        "redis_password": password,
        "redis_exporter_passwords": json.dumps({_redis_address(parts): password}),
    }


def _redis_address(parts: SplitResult) -> str:
    user = f"{parts.username}@" if parts.username else ""
    return f"{parts.scheme}://{user}{_place(parts, 6379)}"


def _place(parts: SplitResult, usual: int) -> str:
    host = parts.hostname or ""
    return f"[{host}]:{parts.port or usual}" if ":" in host else f"{host}:{parts.port or usual}"
