"""
API keys: made once, shown once, kept as a hash.

A key reads ``fk_<lookup>_<secret>``.  The lookup part finds the row, the hash of the
whole is compared in constant time.  The secret has 256 random bits, so a plain SHA-256
is enough: there is nothing to guess that a slow hash would protect.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from backend.database import ApiKey

_KEY_FORM = re.compile(r"fk_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")
_NO_KEY_SHA256 = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True, slots=True)
class KeyIdentity:
    """Who calls."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class KeyListing:
    """A key as listed; the key itself cannot be shown again."""

    name: str
    lookup: str
    created_at: datetime
    revoked_at: datetime | None


class KeyNameTaken(ValueError):
    """An active key of that name exists."""


def create_key(session: Session, name: str) -> str:
    """
    Make a key and return it, the only time it can be seen.

    Raises:
        KeyNameTaken: If an active key has that name.
    """
    taken = session.execute(
        select(ApiKey.id).where(ApiKey.name == name, ApiKey.revoked_at.is_(None))
    ).first()
    if taken is not None:
        raise KeyNameTaken(f"an active key named {name} exists: revoke it first")
    lookup = secrets.token_hex(6)
    key = f"fk_{lookup}_{secrets.token_urlsafe(32)}"
    session.add(ApiKey(name=name, lookup=lookup, key_sha256=_sha256(key)))
    return key


def list_keys(session: Session) -> list[KeyListing]:
    """Return every key, newest first."""
    rows = session.execute(
        select(ApiKey.name, ApiKey.lookup, ApiKey.created_at, ApiKey.revoked_at).order_by(
            ApiKey.created_at.desc()
        )
    )
    return [KeyListing(*row) for row in rows]


def revoke_key(session: Session, name: str) -> bool:
    """Revoke the active key of that name; False where there is none. Works at once."""
    revoked = session.execute(
        update(ApiKey)
        .where(ApiKey.name == name, ApiKey.revoked_at.is_(None))
        .values(revoked_at=func.now())
        .returning(ApiKey.id)
    ).first()
    return revoked is not None


async def identify(session: AsyncSession, key: str) -> KeyIdentity | None:
    """Return whose key this is; None for a wrong or revoked one."""
    form = _KEY_FORM.fullmatch(key)
    row = None
    if form is not None:
        found = await session.execute(
            select(ApiKey.id, ApiKey.name, ApiKey.key_sha256).where(
                ApiKey.lookup == form[1], ApiKey.revoked_at.is_(None)
            )
        )
        row = found.one_or_none()
    # Compared whether or not there is a row, so that time tells nothing.
    expected = row.key_sha256 if row is not None else _NO_KEY_SHA256
    matches = hmac.compare_digest(_sha256(key), expected)
    return KeyIdentity(row.id, row.name) if row is not None and matches else None


def _sha256(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
