"""
The perfumery domain: materials, limits, the judge, and the way back to legal.

A small but honest domain: real materials with their CAS numbers, the IFRA limits of
category 4, contributions of natural materials added up.  It models neither the odour of
a mixture nor its safety, and **a person must check every formula before any compliance
use**.  A new material is one row in ``materials.csv``, a new limit one row in ``ifra``.
"""

from __future__ import annotations

from backend.contracts.perfumery.ifra import LIMITS, PROHIBITED, IfraLimit, ProhibitedSubstance
from backend.contracts.perfumery.judge import Verdict, Violation, check_composition, check_formula
from backend.contracts.perfumery.legal import project_to_legal
from backend.contracts.perfumery.materials import (
    CARRIER,
    FAMILIES,
    MATERIALS,
    Material,
    Note,
    cost_per_kg,
    family_profile,
    find_material,
)

__all__ = [
    "CARRIER",
    "FAMILIES",
    "LIMITS",
    "MATERIALS",
    "PROHIBITED",
    "IfraLimit",
    "Material",
    "Note",
    "ProhibitedSubstance",
    "Verdict",
    "Violation",
    "check_composition",
    "check_formula",
    "cost_per_kg",
    "family_profile",
    "find_material",
    "project_to_legal",
]
