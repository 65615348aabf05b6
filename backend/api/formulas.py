"""Formulas and the palette they are made of."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from backend.api.problems import Problem
from backend.api.schemas import (
    FormulaPage,
    FormulaView,
    Identifier,
    Ingredients,
    IngredientView,
    SimilarFormulas,
    SimilarFormulaView,
)
from backend.api.security import Caller, Injected
from backend.contracts.embedding import embed_formula, embed_text
from backend.contracts.formula import Formula
from backend.contracts.perfumery import LIMITS, MATERIALS, IfraLimit
from backend.contracts.perfumery.ifra import CHECK_NOTICE, SOURCE
from backend.services.formulas import (
    BadCursor,
    find_formula,
    list_formulas,
    similar_formulas,
)
from backend.state import Services

router = APIRouter(prefix="/v1", tags=["formulas"])

Limit = Annotated[int, Query(ge=1, le=100)]


@router.get("/formulas")
async def get_formulas(
    services: Injected, caller: Caller, limit: Limit = 20, cursor: str | None = None
) -> FormulaPage:
    """List formulas, newest first."""
    del caller
    try:
        records, following = await services.in_database(
            lambda session: list_formulas(session, limit, cursor)
        )
    except BadCursor as error:
        raise Problem(422, "bad-cursor", str(error)) from error
    return FormulaPage(items=[FormulaView.of(r) for r in records], next_cursor=following)


@router.get("/formulas/similar")
async def get_similar(
    services: Injected,
    caller: Caller,
    text: Annotated[str | None, Query(min_length=1, max_length=4000)] = None,
    id: Annotated[UUID | None, Query()] = None,
    limit: Limit = 10,
) -> SimilarFormulas:
    """Find formulas that smell like a text describes, or like another formula."""
    del caller
    if (text is None) == (id is None):
        raise Problem(422, "invalid-request", "Give either text or id.")
    if text is not None:
        vector, without = embed_text(text), None
        if vector is None:
            raise Problem(422, "no-odour-word", "No odour word is known in that text.")
    else:
        without = str(id)
        formula = Formula.from_json((await _known(services, without))[0])
        vector = embed_formula(formula)
        if vector is None:
            raise Problem(422, "no-odour", "That formula has no odour to compare.")
    found = await services.in_database(
        lambda session: similar_formulas(session, vector, limit, without)
    )
    return SimilarFormulas(items=[SimilarFormulaView.near(*pair) for pair in found])


@router.get("/formulas/{formula_id}")
async def get_formula(formula_id: Identifier, services: Injected, caller: Caller) -> FormulaView:
    """Show a formula with the judgement on it."""
    del caller
    return (await _known(services, str(formula_id)))[1]


@router.get("/ingredients")
async def get_ingredients(caller: Caller) -> Ingredients:
    """List the palette."""
    del caller
    by_member = {member: limit for limit in LIMITS.values() for member in limit.members}
    items = [
        IngredientView.of(material, *_figures(by_member.get(material.id)))
        for material in MATERIALS.values()
    ]
    return Ingredients(items=items, source=f"{SOURCE}. {CHECK_NOTICE}")


def _figures(limit: IfraLimit | None) -> tuple[float | None, bool | None]:
    return (None, None) if limit is None else (limit.max_percent, limit.one_source)


async def _known(services: Services, formula_id: str) -> tuple[dict[str, object], FormulaView]:
    record = await services.in_database(lambda session: find_formula(session, formula_id))
    if record is None:
        raise Problem(404, "unknown-formula", f"There is no formula {formula_id}.")
    return record.body, FormulaView.of(record)
