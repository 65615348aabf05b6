"""Where in the broker each queue lies, from the labels of the services."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from console.domain.health import QUEUE_LABEL
from console.domain.services import ServiceFact

#: ``database=1 unacked=unacked steps=0,3,6,9``; what is left out keeps kombu's default.
BROKER_LABEL = "console.broker"
PRIORITY_STEPS = (0, 3, 6, 9)
PRIORITY_SEPARATOR = "\x06\x16"
UNACKED_KEY = "unacked"
_WORD = re.compile(r"(\w+)=([^\s;]+)")


@dataclass(frozen=True, slots=True)
class QueuePlace:
    """
    One queue on the broker.

    Args:
        queue: Its name.
        database: Redis database number.
        unacked_key: Hash of what workers hold unacknowledged, of that database.
        lists: The list of each priority step, most urgent first.
    """

    queue: str
    database: int = 0
    unacked_key: str = UNACKED_KEY
    lists: tuple[str, ...] = ()


def queue_places(services: Iterable[ServiceFact]) -> tuple[QueuePlace, ...]:
    """Return the place of every queue that a service consumes, each once."""
    places: dict[str, QueuePlace] = {}
    for service in services:
        queue = service.labels.get(QUEUE_LABEL)
        if queue and queue not in places:
            places[queue] = parse_place(queue, service.labels.get(BROKER_LABEL, ""))
    return tuple(places.values())


def parse_place(queue: str, label: str) -> QueuePlace:
    """
    Return the place of *queue* that *label* describes.

    A label that makes no sense is treated as absent: the console must open on a
    stack whose labels somebody mistyped.
    """
    told = dict(_WORD.findall(label))
    steps = _numbers(told.get("steps", "")) or PRIORITY_STEPS
    database = _numbers(told.get("database", ""))
    return QueuePlace(
        queue=queue,
        database=database[0] if database else 0,
        unacked_key=told.get("unacked", UNACKED_KEY),
        lists=tuple(
            f"{queue}{PRIORITY_SEPARATOR}{step}" if step else queue for step in sorted(steps)
        ),
    )


def _numbers(text: str) -> tuple[int, ...]:
    parts = text.split(",")
    return tuple(int(part) for part in parts) if all(p.isdecimal() for p in parts) else ()
