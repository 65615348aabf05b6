"""HTTP health probes of every replica that says where its own health is asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from console.domain.readings import HealthReading, ProbeResult
from console.domain.services import ReplicaFact, ReplicaState, Role, Topology
from console.domain.text import plain_text
from console.errors import Unreachable

if TYPE_CHECKING:
    from console.sources.http import Answer, HttpReader

TIMEOUT_SECONDS = 2.0
OUTPUT_LIMIT = 500
BODY_LIMIT_BYTES = 16 * 1024
#: Keys of a problem document or of a plain health answer that say why.
REASON_KEYS = ("reason", "detail", "title", "error", "message", "status")


class ProbeSource:
    """Ask each running replica for its readiness, all at once."""

    name = "health"
    interval_seconds = 1.0

    @cached_property
    def _http(self) -> HttpReader:
        from console.sources.http import HttpReader

        return HttpReader(TIMEOUT_SECONDS, BODY_LIMIT_BYTES)

    def read(self, topology: Topology | None) -> HealthReading:
        """
        Return the answer of every replica that can be asked.

        Raises:
            Unreachable: While it is not known what runs.
        """
        if topology is None:
            raise Unreachable("it is not known yet what runs")
        addresses = {replica.id: url for replica, url in _probed(topology)}
        answers = self._http.fetch(addresses)
        return HealthReading({name: judge(answer) for name, answer in answers.items()})

    def close(self) -> None:
        """Close kept connections."""
        if "_http" in vars(self):
            self._http.close()


def judge(answer: Answer) -> ProbeResult:
    """Turn an HTTP answer into a probe result: 2xx is ready, all else says why not."""
    output = plain_text(answer.body.decode("utf-8", "replace"), OUTPUT_LIMIT)
    if answer.status is None:
        return ProbeResult(False, f"probe: {answer.error}", output, answer.seconds)
    if 200 <= answer.status < 300:
        return ProbeResult(True, "", output, answer.seconds)
    why = _reason(answer.body) or f"answers {answer.status}"
    return ProbeResult(False, f"ready: {why}", output, answer.seconds)


def _probed(topology: Topology) -> Iterator[tuple[ReplicaFact, str]]:
    """Yield what can be asked; databases and brokers have sources of their own."""
    for service in topology.services:
        if service.role in {Role.DATABASE, Role.BROKER}:
            continue
        for replica in service.replicas:
            if replica.health_url is not None and replica.state is ReplicaState.RUNNING:
                yield replica, replica.health_url


def _reason(body: bytes) -> str:
    try:
        answer = json.loads(body)
    except ValueError:
        return plain_text(body.decode("utf-8", "replace"), 120)
    if not isinstance(answer, dict):
        return plain_text(str(answer), 120)
    for key in REASON_KEYS:
        if isinstance(answer.get(key), str) and answer[key]:
            return plain_text(answer[key], 120)
    return ""
