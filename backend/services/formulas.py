"""Stored formulas: one, many, and those that smell alike."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from backend.database import FormulaRecord


class BadCursor(ValueError):
    """The cursor was not made by this API."""


async def find_formula(session: AsyncSession, formula_id: str) -> FormulaRecord | None:
    """Return a formula, or None."""
    return await session.get(FormulaRecord, formula_id)


async def list_formulas(
    session: AsyncSession, limit: int, cursor: str | None
) -> tuple[Sequence[FormulaRecord], str | None]:
    """
    Return formulas, newest first.

    Args:
        session: In a transaction.
        limit: At most this many.
        cursor: From the call before, None to begin.
    Returns:
        The formulas and the cursor of the next page, None at the end.
    Raises:
        BadCursor: If the cursor cannot be read.
    """
    query = select(FormulaRecord).order_by(FormulaRecord.created_at.desc(), FormulaRecord.id.desc())
    if cursor is not None:
        columns = (FormulaRecord.created_at, FormulaRecord.id)
        values = zip(_read_cursor(cursor), columns, strict=True)
        place = tuple_(*(literal(value, column.type) for value, column in values))
        query = query.where(tuple_(*columns) < place)
    rows = (await session.execute(query.limit(limit + 1))).scalars().all()
    page = rows[:limit]
    return page, _write_cursor(page[-1]) if len(rows) > limit else None


async def similar_formulas(
    session: AsyncSession, vector: Sequence[float], limit: int, without_id: str | None = None
) -> list[tuple[FormulaRecord, float]]:
    """
    Return the formulas nearest to a vector and their cosine similarity, nearest first.

    Args:
        session: In a transaction.
        vector: From :mod:`backend.contracts.embedding`.
        limit: At most this many.
        without_id: A formula to leave out, the one that was asked about.
    """
    distance = FormulaRecord.embedding.cosine_distance(list(vector))
    # The index answers with hnsw.ef_search candidates, before any filter.
    await session.execute(select(func.set_config("hnsw.ef_search", str(max(40, limit + 1)), True)))
    query = (
        select(FormulaRecord, distance)
        .where(FormulaRecord.embedding.is_not(None))
        .order_by(distance)
        .limit(limit + 1)
    )
    rows = (await session.execute(query)).all()
    found = [(record, 1.0 - float(away)) for record, away in rows if record.id != without_id]
    return found[:limit]


def _write_cursor(record: FormulaRecord) -> str:
    text = f"{record.created_at.isoformat()}|{record.id}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[datetime, str]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        stamp, _, formula_id = base64.urlsafe_b64decode(padded).decode().partition("|")
        return datetime.fromisoformat(stamp), str(UUID(formula_id))
    except (ValueError, binascii.Error) as error:
        raise BadCursor("the cursor cannot be read; begin again without one") from error
