"""
The rules of composing: ask, understand, judge, choose; never invent.

Every enabled model answers; the first answer is greedy, and a text that is no
acceptable formula is asked for again by sampling, a bounded number of times.  Of the
models' formulas the one closest to the brief is taken.  When no model wrote a formula,
the job fails and says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from backend.contracts.embedding import family_target
from backend.contracts.formula import Formula
from backend.contracts.perfumery import Verdict, family_profile
from workers.llm.cache import AnswerCache, cache_key
from workers.llm.constraints import Constraints, Unacceptable, fit
from workers.llm.engine import InferenceEngine, Ticket
from workers.llm.ensemble import Generation
from workers.llm.parser import Unparsable, parse_answer
from workers.llm.ports import GREEDY, GenerationError, Sampling
from workers.vectors import cosine

log = structlog.get_logger(__name__)

POLL_SECONDS = 0.25
"""How often a waiting task looks whether it is still wanted."""


class NoFormula(Exception):
    """No model wrote an acceptable formula; the message names each one's last reason."""


@dataclass(frozen=True, slots=True)
class Voice:
    """
    One model of the ensemble as the composer sees it.

    Args:
        name: The ensemble entry's name.
        engines: At least one; a request goes to the next in turn.
        prompt: Puts a brief the way this model reads it.
    """

    name: str
    engines: Sequence[InferenceEngine]
    prompt: Callable[[str], str]

    @property
    def digest(self) -> str:
        """Return the hash of the model."""
        return self.engines[0].model.digest


@dataclass(frozen=True, slots=True)
class Composition:
    """
    A finished answer.

    Args:
        formula: Legal at its dosage.
        verdict: The independent judge's.
        origin: How it came to be: model, its digest, answers needed, closeness to the
            brief (None where the brief names nothing known), whether from the cache.
    """

    formula: Formula
    verdict: Verdict
    origin: dict[str, Any]


class Composer:
    """
    Composes formulas; safe to use from many threads.

    Args:
        voices: The models, at least one.
        generation: How they are asked.
        cache: Answers already given; None without a cache.
    """

    def __init__(
        self, voices: Sequence[Voice], generation: Generation, cache: AnswerCache | None
    ) -> None:
        self._voices = tuple(voices)
        self._generation = generation
        self._cache = cache
        self._turn = 0

    def compose(
        self, brief: str, constraints: Constraints, wanted: Callable[[float, str], None]
    ) -> Composition:
        """
        Answer a brief.

        Args:
            brief: In plain words.
            constraints: Further demands.
            wanted: Called now and then with progress and stage; whatever it raises ends
                the work at once.

        Raises:
            NoFormula: If no model wrote an acceptable formula in time.
        """
        key = cache_key((voice.digest for voice in self._voices), brief, constraints)
        if (cached := self._from_cache(key)) is not None:
            return cached
        deadline = time.monotonic() + self._generation.deadline_seconds
        found: list[Composition] = []
        reasons: list[str] = []
        for voice in self._voices:
            try:
                found.append(self._ask(voice, brief, constraints, deadline, wanted))
            except NoFormula as error:
                reasons.append(f"{voice.name}: {error}")
        if not found:
            raise NoFormula("; ".join(reasons))
        # The first of equals: models are in the order of the ensemble file.
        best = max(found, key=lambda answer: answer.origin["cosine"] or 0.0)
        if self._cache is not None:
            self._cache.put(key, {"formula": best.formula.to_json(), "origin": best.origin})
        return best

    def _from_cache(self, key: str) -> Composition | None:
        content = self._cache.get(key) if self._cache is not None else None
        if content is None:
            return None
        from backend.contracts.perfumery import check_formula

        try:
            formula = Formula.from_json(content["formula"])
            verdict = check_formula(formula)
            origin = {**content["origin"], "cached": True}
        except (KeyError, TypeError, ValueError):
            return None
        # Limits may have changed since; then it is composed anew.
        return Composition(formula, verdict, origin) if verdict.legal else None

    def _ask(
        self,
        voice: Voice,
        brief: str,
        constraints: Constraints,
        deadline: float,
        wanted: Callable[[float, str], None],
    ) -> Composition:
        sampled = Sampling(self._generation.temperature, self._generation.top_p)
        reason = "no answer"
        for attempt in range(1, self._generation.attempts + 1):
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise NoFormula(f"no time left; last: {reason}")
            self._turn += 1
            engine = voice.engines[self._turn % len(voice.engines)]
            stage = f"{voice.name} writes" + (f", attempt {attempt}" if attempt > 1 else "")
            try:
                ticket = engine.submit(
                    voice.prompt(brief),
                    timeout_seconds=remaining,
                    sampling=GREEDY if attempt == 1 else sampled,
                )
                text = _await(ticket, lambda stage=stage: wanted(0.1, stage))  # type: ignore[misc]  # mypy cannot infer the default
                formula, verdict = fit(parse_answer(text), constraints)
            except (Unparsable, Unacceptable) as error:
                reason = str(error)
                log.info("answer_unusable", model=voice.name, attempt=attempt, reason=reason)
                continue
            except GenerationError as error:
                raise NoFormula(str(error)) from error
            origin = {
                "model": voice.name,
                "digest": voice.digest,
                "answers": attempt,
                "brief": brief,
                "cosine": _closeness(brief, formula),
                "cached": False,
            }
            return Composition(formula, verdict, origin)
        raise NoFormula(f"no usable formula in {self._generation.attempts} answers; last: {reason}")


def _await(ticket: Ticket, check: Callable[[], None]) -> str:
    """Wait for the text; when *check* raises, the model stops working on it too."""
    while True:
        try:
            return ticket.result(POLL_SECONDS)
        except TimeoutError:
            try:
                check()
            except BaseException:
                ticket.cancel()
                raise


def _closeness(brief: str, formula: Formula) -> float | None:
    target = family_target(brief)
    if target is None:
        return None
    return round(cosine(target, family_profile(formula.composition())), 4)
