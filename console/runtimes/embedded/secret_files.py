"""Secrets of the product: made once, one file each, never in argv or a spec."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path

from console.runtimes.files import write_atomic

#: Made once and kept: changing them would lock us out of our own data.
GENERATED = ("postgres_password", "redis_password", "secret_key")


def ensure_secrets(directory: Path, ports: Mapping[str, int]) -> bool:
    """
    Make the missing secrets and write the addresses that contain them.

    Args:
        directory: Exists, 0700.
        ports: With ``postgres`` and ``redis``.

    Returns:
        Whether any secret was made.
    """
    made = False
    values: dict[str, str] = {}
    for name in GENERATED:
        values[name] = read_secret(directory, name) or ""
        if not values[name]:
            values[name] = secrets.token_urlsafe(48)
            write_atomic(directory / name, values[name].encode())
            made = True
    postgres, redis = values["postgres_password"], values["redis_password"]
    place = f"127.0.0.1:{ports['postgres']}"
    derived = {
        "database_url": f"postgresql+psycopg://fragrance:{postgres}@{place}/fragrance",
        "redis_url": f"redis://:{redis}@127.0.0.1:{ports['redis']}/0",
        # In the format that libpq reads by itself: host:port:database:user:password.
        "pgpass": f"{place}:*:fragrance:{postgres}",
    }
    for name, value in derived.items():
        if read_secret(directory, name) != value:
            write_atomic(directory / name, value.encode())
    return made


def read_secret(directory: Path, name: str) -> str | None:
    """Return a secret, None when there is none."""
    try:
        return (directory / name).read_text().strip() or None
    except OSError:
        return None
