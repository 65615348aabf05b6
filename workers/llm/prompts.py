"""
How a brief is put to a model.

A built-in model was trained on one form and knows no other; any other model is
instructed in words and told the palette, because it may only use what is in it.
"""

from __future__ import annotations

import re
import unicodedata

from backend.contracts.perfumery import CARRIER, MATERIALS, Note

BRIEF_TOKEN = "<|brief|>"  # noqa: S105 - a token of text, no secret
FORMULA_TOKEN = "<|formula|>"  # noqa: S105 - likewise
END_TOKEN = "<|end|>"  # noqa: S105 - likewise
PAD_TOKEN = "<|pad|>"  # noqa: S105 - likewise

BRIEF_MAX_CHARACTERS = 400
"""A built-in model reads this much of a brief; it was trained on short ones."""

_UNKNOWN_CHARACTERS = re.compile(r"[^a-z0-9 ,.;:!?'-]+")
_SPACES = re.compile(r"\s+")


def normalise_brief(text: str) -> str:
    """
    Reduce a brief to what distinguishes it: case, spacing and composition of letters do not.

    Args:
        text: As the user wrote it.

    Returns:
        The form that the result cache compares; nothing is cut off.
    """
    folded = unicodedata.normalize("NFKC", text).lower()
    return _SPACES.sub(" ", folded).strip()


def builtin_prompt(brief: str) -> str:
    """
    Return the one form of prompt that built-in models know.

    Control tokens a brief might contain are removed with every other character that the
    training texts did not have.
    """
    plain = unicodedata.normalize("NFKD", normalise_brief(brief))
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    plain = _SPACES.sub(" ", _UNKNOWN_CHARACTERS.sub(" ", plain)).strip()
    return f"{BRIEF_TOKEN}{plain[:BRIEF_MAX_CHARACTERS]}{FORMULA_TOKEN}"


def instruction(brief: str) -> str:
    """Return the brief as an instruction to a general model."""
    palette = "\n".join(
        f"{note.value}: "
        + ", ".join(id_ for id_, m in MATERIALS.items() if m.note is note and id_ != CARRIER)
        for note in Note
    )
    return (
        "You are a perfumer. Compose a fragrance formula for the brief below.\n"
        f"Use only these ingredients, each in its own section:\n{palette}\n"
        "Answer with one JSON object and nothing else, percentages summing to 100:\n"
        '{"name": "...", "dosage_percent": 15, "top": {"ingredient": percent}, '
        '"heart": {"ingredient": percent}, "base": {"ingredient": percent}}\n'
        f"Brief: {_SPACES.sub(' ', brief).strip()}\n"
    )
