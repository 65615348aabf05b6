"""
The stack's Alertmanager, by its API version 2: silences, and whether it reaches anybody.

Silences and an alert that is only a test are all the console writes there.  A silence
that is not confirmed was not made: the error says so, and nothing is recorded.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import TYPE_CHECKING

from console.domain.alerts import Silence, receiver_kinds
from console.domain.plans import Json
from console.domain.text import plain_text
from console.errors import Unreachable

if TYPE_CHECKING:
    import httpx

TIMEOUT_SECONDS = 5.0
_ATTEMPTS = re.compile(
    r"^alertmanager_notification_requests(_failed)?_total\{(.*)\} (\S+)$", re.MULTILINE
)
_KIND = re.compile(r'integration="([^"]*)"')


class Alertmanager:
    """Tells an Alertmanager of silences."""

    def silence(self, address: str, silence: Silence) -> str:
        """Make *silence* and return its name; see :class:`console.ports.Alerting`."""
        answer = self._send(
            address,
            "POST",
            "/api/v2/silences",
            {
                "matchers": [
                    {
                        "name": "alertname",
                        "value": silence.alert,
                        "isRegex": False,
                        "isEqual": True,
                    }
                ],
                "startsAt": silence.since.isoformat(),
                "endsAt": silence.until.isoformat(),
                "createdBy": silence.actor,
                "comment": silence.reason,
            },
        )
        try:
            return str(json.loads(answer.content)["silenceID"])
        except (ValueError, KeyError, TypeError) as error:
            raise _unreachable(address, "it does not answer like an Alertmanager") from error

    def unsilence(self, address: str, silence_id: str) -> None:
        """End a silence; see :class:`console.ports.Alerting`."""
        if not re.fullmatch(r"[0-9a-fA-F-]+", silence_id):
            return  # nothing that an Alertmanager has named
        self._send(address, "DELETE", f"/api/v2/silence/{silence_id}", None, missing=True)

    def receivers(self, address: str) -> tuple[str, ...]:
        """Return the kinds of its receivers; see :class:`console.ports.Alerting`."""
        answer = self._ask(address, "/api/v2/status")
        try:
            return receiver_kinds(str(json.loads(answer)["config"]["original"]))
        except (ValueError, KeyError, TypeError) as error:
            raise _silent(address, "it does not answer like an Alertmanager") from error

    def attempts(self, address: str) -> dict[str, tuple[float, float]]:
        """Return how often it tried to send; see :class:`console.ports.Alerting`."""
        found: dict[str, tuple[float, float]] = {}
        for failed, labels, value in _ATTEMPTS.findall(self._ask(address, "/metrics")):
            kind = _KIND.search(labels)
            if kind is not None:
                tried, vain = found.get(kind[1], (0.0, 0.0))
                more = float(value)
                found[kind[1]] = (tried, vain + more) if failed else (tried + more, vain)
        return found

    def raise_test(self, address: str, name: str, begin: datetime, end: datetime) -> None:
        """Give it an alert that is nobody's; see :class:`console.ports.Alerting`."""
        alert = {
            "labels": {"alertname": "DeliveryTest", "severity": "critical", "service": name},
            "annotations": {
                "summary": "Nothing is wrong: somebody tries whether alerts arrive here.",
                "runbook": "RUNBOOK.md#alertdeliveryfailing",
            },
            "startsAt": begin.isoformat(),
            "endsAt": end.isoformat(),
        }
        self._send(address, "POST", "/api/v2/alerts", [alert])

    def _ask(self, address: str, path: str) -> str:
        import httpx

        try:
            answer = httpx.get(address + path, timeout=TIMEOUT_SECONDS, trust_env=False)
        except httpx.HTTPError as error:
            raise _silent(address, type(error).__name__) from error
        if answer.status_code != 200:
            raise _silent(address, f"answers {answer.status_code}")
        return answer.text

    def _send(
        self, address: str, method: str, path: str, body: Json, *, missing: bool = False
    ) -> httpx.Response:
        import httpx

        try:
            answer = httpx.request(
                method, address + path, json=body, timeout=TIMEOUT_SECONDS, trust_env=False
            )
        except httpx.HTTPError as error:
            raise _unreachable(address, type(error).__name__) from error
        if answer.status_code == 404 and missing:
            return answer
        if answer.status_code != 200:
            words = plain_text(answer.text, 200)
            # Ending what has ended is what was asked for.
            if missing and "already expired" in words:
                return answer
            raise _unreachable(address, f"answers {answer.status_code}: {words}")
        return answer


def _unreachable(address: str, why: str) -> Unreachable:
    return Unreachable(
        f"the Alertmanager at {address} did not take it: {why}",
        unchanged="nothing was silenced, and none was ended",
        remedy="fragrance logs alertmanager --tail 20",
    )


def _silent(address: str, why: str) -> Unreachable:
    return Unreachable(
        f"the Alertmanager at {address} cannot be asked: {why}",
        unchanged="nothing was sent",
        remedy="fragrance logs alertmanager --tail 20",
    )
