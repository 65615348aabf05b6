"""
The filter language of lists: ``worker !rl health:unhealthy cpu>80``, and how they are sorted.

Terms are joined by *and*.  A word matches names; ``field:word`` matches the beginning of
a word of the list's (``health:un``); ``field>number`` compares a figure; ``!`` before any
of them turns it round.  What is unknown matches no comparison, turned round or not:
unknown is neither above nor below 80 %.

A list says what it has by :class:`Facts`; services and replicas have theirs here.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from console.domain.queues import Queue
from console.domain.rollup import WORST_FIRST
from console.domain.services import Health, Replica, Service
from console.errors import UsageError

#: A longer one is no filter that somebody typed.
LONGEST_FILTER = 200

_COMPARE = re.compile(r"([a-z_]+)(>=|<=|>|<|=)(.*)", re.DOTALL)
_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
    "=": operator.eq,
}
_PERIODS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True, slots=True)
class Facts:
    """
    What a filter may ask of one line of a list.

    Args:
        names: What words are looked for in.
        words: Fields with a word, as ``health``.
        figures: Fields with a number; None is unknown.
    """

    names: tuple[str, ...]
    words: Mapping[str, str] = field(default_factory=dict)
    figures: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """
    The fields that a list has.

    Args:
        words: Fields with a word, each with the words there are; none for any.
        figures: Fields with a number, each with its unit in words.
        spans: Those of them that are spans of time: ``uptime<10m``.
    """

    words: Mapping[str, tuple[str, ...]]
    figures: Mapping[str, str]
    spans: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Term:
    matches: Callable[[Facts], bool | None]
    turned: bool

    def holds(self, facts: Facts) -> bool:
        found = self.matches(facts)
        return found is not None and found is not self.turned


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter as typed, understood; an empty one lets everything through."""

    text: str = ""
    terms: tuple[_Term, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.terms)

    def matches(self, facts: Facts) -> bool:
        """Whether every term holds."""
        return all(term.holds(facts) for term in self.terms)


def parse_filter(text: str, vocabulary: Vocabulary) -> Filter:
    """
    Return what *text* means.

    Raises:
        UsageError: If a term makes no sense; says which and what would.
    """
    if len(text) > LONGEST_FILTER:
        raise _bad(f"it is longer than {LONGEST_FILTER} characters", "write less")
    terms = tuple(_term(word, vocabulary) for word in text.lower().split())
    return Filter(" ".join(text.split()), terms)


def _term(typed: str, vocabulary: Vocabulary) -> _Term:
    turned = typed.startswith("!")
    term = typed.removeprefix("!")
    if not term:
        raise _bad("“!” stands alone", "write what is not wanted behind it: !worker")
    compared = _COMPARE.fullmatch(term)
    if compared:
        return _Term(_comparison(compared[1], compared[2], compared[3], vocabulary), turned)
    name, colon, word = term.partition(":")
    if colon and name == "since" and "age" in vocabulary.figures:
        return _Term(_comparison("age", "<=", word, vocabulary), turned)
    if colon:
        return _Term(_word(name, word, vocabulary), turned)
    return _Term(lambda facts: any(term in n.lower() for n in facts.names), turned)


def _comparison(
    name: str, sign: str, typed: str, vocabulary: Vocabulary
) -> Callable[[Facts], bool | None]:
    if name not in vocabulary.figures:
        raise _bad(f"“{name}” is no figure here", f"figures: {', '.join(vocabulary.figures)}")
    wanted = _number(typed, span=name in vocabulary.spans)
    if wanted is None:
        example = "10m" if name in vocabulary.spans else "80"
        raise _bad(f"“{typed}” behind {name}{sign} is no number", f"write {name}{sign}{example}")
    compare = _COMPARISONS[sign]

    def matches(facts: Facts) -> bool | None:
        value = facts.figures.get(name)
        return None if value is None else compare(value, wanted)

    return matches


def _word(name: str, word: str, vocabulary: Vocabulary) -> Callable[[Facts], bool | None]:
    if name not in vocabulary.words:
        known = ", ".join(f"{n}:" for n in vocabulary.words)
        remedy = f"write {name}>80" if name in vocabulary.figures else f"fields: {known}"
        raise _bad(f"“{name}:” is no field here", remedy)
    choices = vocabulary.words[name]
    if not word or (choices and not any(c.startswith(word) for c in choices)):
        said = f"“{word}” is no {name}" if word else f"nothing stands behind {name}:"
        raise _bad(said, f"{name}: {', '.join(choices) or 'any word'}")

    def matches(facts: Facts) -> bool | None:
        value = facts.words.get(name)
        return None if value is None else value.lower().startswith(word)

    return matches


def _number(text: str, *, span: bool) -> float | None:
    text = text.removesuffix("%")
    factor = _PERIODS.get(text[-1:], 1.0) if span else 1.0
    try:
        value = float(text[:-1] if span and text[-1:] in _PERIODS else text)
    except ValueError:
        return None
    return value * factor if abs(value) < 1e15 else None


def _bad(what: str, remedy: str) -> UsageError:
    return UsageError(what, unchanged="the filter is as it was", remedy=remedy)


# Services and replicas -------------------------------------------------------------

SERVICE_WORDS = Vocabulary(
    words={
        "health": tuple(h.value for h in Health),
        "role": ("app", "worker", "database", "broker", "proxy", "monitoring", "other"),
        "release": (),
        "drift": ("yes", "no"),
    },
    figures={
        "cpu": "% of the limit",
        "memory": "% of the limit",
        "restarts": "",
        "ready": "replicas",
        "replicas": "",
        "uptime": "seconds, or 10m, 2h, 1d",
    },
    spans=frozenset({"uptime"}),
)
REPLICA_WORDS = Vocabulary(
    words={
        "health": tuple(h.value for h in Health),
        "state": ("starting", "running", "stopping", "backoff", "exited", "unknown"),
        "release": (),
    },
    figures={
        "cpu": "% of the limit",
        "memory": "% of the limit",
        "restarts": "",
        "tasks": "in hand",
        "requests": "a second",
        "uptime": "seconds, or 10m, 2h, 1d",
    },
    spans=frozenset({"uptime"}),
)

QUEUE_WORDS = Vocabulary(
    words={},
    figures={
        "depth": "tasks",
        "running": "tasks",
        "oldest": "seconds, or 10m, 2h, 1d",
        "workers": "",
    },
    spans=frozenset({"oldest"}),
)


def queue_facts(queue: Queue) -> Facts:
    """Return what a filter may ask of a queue."""
    return Facts(
        names=(queue.name,),
        figures={
            "depth": queue.depth,
            "running": queue.in_flight,
            "oldest": queue.oldest_age_seconds,
            "workers": queue.workers,
        },
    )


def service_facts(service: Service, now: datetime) -> Facts:
    """Return what a filter may ask of a service; replicas are found by their names too."""
    return Facts(
        names=(service.name, *(replica.name for replica in service.replicas)),
        words={
            "health": service.health.value,
            "role": service.role.value,
            "release": service.release or "",
            "drift": "yes" if service.drift else "no",
        },
        figures={
            "cpu": _percent(service.cpu_ratio),
            "memory": _percent(_share(service.memory_bytes, service.memory_limit_bytes)),
            "restarts": service.restarts,
            "ready": service.ready,
            "replicas": len(service.replicas),
            "uptime": uptime_seconds(service.replicas, now),
        },
    )


def replica_facts(replica: Replica, limit_bytes: int | None, now: datetime) -> Facts:
    """Return what a filter may ask of a replica whose memory is limited to *limit_bytes*."""
    return Facts(
        names=(replica.name,),
        words={
            "health": replica.health.value,
            "state": replica.state.value,
            "release": replica.release or "",
        },
        figures={
            "cpu": _percent(replica.cpu_ratio),
            "memory": _percent(_share(replica.memory_bytes, limit_bytes)),
            "restarts": replica.restarts,
            "tasks": replica.active_tasks,
            "requests": replica.request_rate,
            "uptime": uptime_seconds((replica,), now),
        },
    )


def uptime_seconds(replicas: Iterable[Replica], now: datetime) -> float | None:
    """Return for how long nothing was started: since the latest start."""
    starts = [r.started_at for r in replicas if r.started_at is not None]
    return max(0.0, (now - max(starts)).total_seconds()) if starts else None


def _percent(ratio: float | None) -> float | None:
    return None if ratio is None else ratio * 100


def _share(part: int | None, whole: int | None) -> float | None:
    return part / whole if part is not None and whole else None


# Order -----------------------------------------------------------------------------

#: ``S`` goes from one to the next.
SORTS = ("worst", "name", "cpu", "memory", "restarts", "uptime")


def sorted_services(services: Iterable[Service], by: str, now: datetime) -> list[Service]:
    """
    Return *services* in the order *by*, one of :data:`SORTS`.

    Figures go from high to low (uptime from young to old: what has just started is
    what somebody looks for) and unknown ones last; equal ones stay as they are.
    """
    return sorted(services, key=lambda s: _service_rank(s, by, now))


def sorted_replicas(replicas: Iterable[Replica], by: str, now: datetime) -> list[Replica]:
    """Return *replicas* in the order *by*, as :func:`sorted_services` does; ``kept``: as is."""
    return sorted(replicas, key=lambda r: _replica_rank(r, by, now))


_Rank = tuple[float, float, str]


def _service_rank(service: Service, by: str, now: datetime) -> _Rank:
    match by:
        case "name":
            return (0, 0, service.name)
        case "cpu":
            return _down(service.cpu_ratio)
        case "memory":
            return _down(_share(service.memory_bytes, service.memory_limit_bytes))
        case "restarts":
            return _down(service.restarts)
        case "uptime":
            return _up(uptime_seconds(service.replicas, now))
    return (_badness(service), 0, "")


def _badness(service: Service) -> int:
    if service.health is Health.UNHEALTHY:
        return 0
    if service.ready < service.desired:
        return 1
    return 2 if service.health in {Health.UNKNOWN, Health.STARTING} else 3


def _replica_rank(replica: Replica, by: str, now: datetime) -> _Rank:
    match by:
        case "kept":
            return (0, 0, "")
        case "name":
            return (0, 0, replica.name)
        case "cpu":
            return _down(replica.cpu_ratio)
        case "memory":
            return _down(replica.memory_bytes)
        case "restarts":
            return _down(replica.restarts)
        case "uptime":
            return _up(uptime_seconds((replica,), now))
    return (WORST_FIRST.index(replica.health), 0, "")


def _down(value: float | None) -> _Rank:
    return (1, 0, "") if value is None else (0, -value, "")


def _up(value: float | None) -> _Rank:
    return (1, 0, "") if value is None else (0, value, "")
