"""What goes in and out, for validation and for the documentation of the API."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field, field_validator

from backend.contracts.formula import Component, Formula
from backend.contracts.payloads import Method
from backend.contracts.perfumery import MATERIALS, Material, check_formula, find_material
from backend.contracts.tasks import JobKind
from backend.database import FormulaRecord, Job, JobState

MAX_STEPS = 1_000_000

Identifier = Annotated[UUID, Path(description="Id as the API gave it.")]
"""Ids are UUIDs; anything else is refused as malformed."""


class Brief(BaseModel):
    """A fragrance brief in plain words."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    text: str = Field(min_length=1, max_length=4000, examples=["A fresh citrus for summer"])
    max_price: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, description="EUR per kg of concentrate"
    )
    exclude: list[str] = Field(
        default_factory=list, max_length=60, description="Ingredients by id, name or CAS number"
    )

    @field_validator("exclude")
    @classmethod
    def _known_materials(cls, names: list[str]) -> list[str]:
        found = {name: find_material(name) for name in names}
        unknown = [name for name, material in found.items() if material is None]
        if unknown:
            raise ValueError(f"unknown ingredient: {', '.join(unknown)}")
        return sorted({material.id for material in found.values() if material is not None})

    @field_validator("text")
    @classmethod
    def _no_nul(cls, text: str) -> str:
        if "\x00" in text:  # PostgreSQL cannot store it
            raise ValueError("must not contain NUL")
        return text


class OptimizationRequest(BaseModel):
    """A formula to be improved."""

    model_config = ConfigDict(extra="forbid")

    formula_id: UUID
    method: Method = Method.PPO
    steps: int = Field(
        default=2000, ge=1, le=MAX_STEPS, description="environment steps, or generations"
    )


class Accepted(BaseModel):
    """The job that will answer the request."""

    job_id: str


class JobView(BaseModel):
    """A job as it is now."""

    job_id: str
    kind: JobKind
    state: JobState
    progress: float = Field(description="0 to 1")
    stage: str | None = Field(description="what is being done, in words")
    result: dict[str, Any] | None
    error: str | None
    attempts: int
    worker: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, job: Job) -> JobView:
        """Return the view of a stored job."""
        return cls.model_validate(
            {name: getattr(job, name) for name in cls.model_fields if name != "job_id"}
            | {"job_id": job.id}
        )


class ComponentView(BaseModel):
    """One ingredient of a formula."""

    ingredient: str
    name: str
    percent: float = Field(description="of the concentrate")

    @classmethod
    def of(cls, components: Iterable[Component]) -> list[ComponentView]:
        """Return the views of components; the name of one no longer known is its id."""
        return [
            cls(
                ingredient=c.ingredient,
                name=MATERIALS[c.ingredient].name if c.ingredient in MATERIALS else c.ingredient,
                percent=c.percent,
            )
            for c in components
        ]


class VerdictView(BaseModel):
    """Judgement of a formula against the limits, made when it is shown."""

    legal: bool
    violations: list[str]
    labels: list[str] = Field(description="to be named on an EU label")
    tightest: float = Field(description="highest ratio of found to allowed")
    one_source: list[str] = Field(description="limits applied that rest on one source")
    source: str


class FormulaView(BaseModel):
    """A stored formula."""

    id: str
    job_id: str
    parent_id: str | None
    name: str
    dosage_percent: float
    top: list[ComponentView]
    heart: list[ComponentView]
    base: list[ComponentView]
    cost_per_kg: float | None
    verdict: VerdictView
    origin: dict[str, Any]
    created_at: datetime

    @classmethod
    def of(cls, record: FormulaRecord) -> FormulaView:
        """Return the view of a stored formula, judged now."""
        return cls.model_validate(_formula_fields(record))


class SimilarFormulaView(FormulaView):
    """A stored formula and how near it is to what was asked."""

    similarity: float = Field(description="cosine, 1 for the same direction")

    @classmethod
    def near(cls, record: FormulaRecord, similarity: float) -> SimilarFormulaView:
        """Return the view of a formula found by similarity."""
        return cls.model_validate(_formula_fields(record) | {"similarity": similarity})


class FormulaPage(BaseModel):
    """Formulas, newest first; ``next_cursor`` is null on the last page."""

    items: list[FormulaView]
    next_cursor: str | None


class SimilarFormulas(BaseModel):
    """Formulas, nearest first."""

    items: list[SimilarFormulaView]


class IngredientView(BaseModel):
    """A material of the palette; figures other than CAS and limits are our assignments."""

    id: str
    name: str
    cas: str
    note: str
    poucher: int = Field(description="our assignment")
    price_per_kg: float = Field(description="EUR, our assignment")
    families: dict[str, float]
    descriptors: list[str]
    max_percent: float | None = Field(description="IFRA limit in the product, where it has one")
    one_source: bool | None = Field(description="whether that limit rests on one source")

    @classmethod
    def of(
        cls, material: Material, max_percent: float | None, one_source: bool | None
    ) -> IngredientView:
        """Return the view of a material."""
        return cls(
            id=material.id,
            name=material.name,
            cas=material.cas,
            note=material.note.value,
            poucher=material.poucher,
            price_per_kg=material.price_per_kg,
            families=dict(material.families),
            descriptors=list(material.descriptors),
            max_percent=max_percent,
            one_source=one_source,
        )


class Ingredients(BaseModel):
    """The palette, and where its limits come from."""

    items: list[IngredientView]
    source: str


def _formula_fields(record: FormulaRecord) -> dict[str, Any]:
    formula = Formula.from_json(record.body)
    verdict = check_formula(formula)
    return {
        "id": record.id,
        "job_id": record.job_id,
        "parent_id": record.parent_id,
        "name": record.name,
        "dosage_percent": formula.dosage_percent,
        "top": ComponentView.of(formula.top),
        "heart": ComponentView.of(formula.heart),
        "base": ComponentView.of(formula.base),
        "cost_per_kg": record.cost_per_kg,
        "verdict": VerdictView(
            legal=verdict.legal,
            violations=[violation.message for violation in verdict.violations],
            labels=list(verdict.labels),
            tightest=verdict.tightest,
            one_source=list(verdict.one_source),
            source=verdict.source,
        ),
        "origin": record.origin,
        "created_at": record.created_at,
    }
