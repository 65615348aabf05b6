"""
Prometheus: what it judges and scrapes, and figures over time.

Through prometheus-api-client, on a session of our own: it uses no proxy and no
credentials of the environment, tries once, and never waits longer than
:data:`TIMEOUT_SECONDS` for an answer to go on.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from console.domain.alerts import (
    PROMETHEUS,
    Alert,
    AlertSeverity,
    AlertState,
    Silence,
    receiver_kinds,
)
from console.domain.plans import Json
from console.domain.readings import MonitoringReading, Target
from console.domain.services import Topology
from console.domain.text import plain_text
from console.errors import NotSupported, Unreachable, UsageError
from console.ports import Answered

if TYPE_CHECKING:
    from prometheus_api_client import PrometheusConnect
    from requests import Session

TIMEOUT_SECONDS = 2.0
#: More of anything is not looked at: it is nothing that a person reads.
MOST_LISTED = 500
#: Labels of an alert that say nothing about what it is about.
_COMMON_LABELS = frozenset({"alertname", "severity"})


class PrometheusSource:
    """Alerts, scrape targets and silences of the stack's own Prometheus."""

    name = "prometheus"
    interval_seconds = 5.0

    def __init__(self) -> None:
        self._client = PrometheusClient()

    def read(self, topology: Topology | None) -> MonitoringReading:
        """
        Return what Prometheus judges and scrapes.

        Raises:
            NotSupported: If none runs as a part of this stack.
            Unreachable: While it is not known what runs, or if it does not answer.
        """
        if topology is None:
            raise Unreachable("it is not known yet what runs")
        address = topology.endpoints.get("prometheus")
        if address is None:
            raise NotSupported("no Prometheus runs here: the agent's history is used")
        return self._client.reading(address, topology.endpoints.get("alertmanager"))

    def close(self) -> None:
        """Close kept connections."""
        self._client.close()


class PrometheusClient:
    """Asks a Prometheus; every call is bounded in time, none changes anything."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[PrometheusConnect, Session]] = {}

    def reading(self, address: str, alertmanager: str | None) -> MonitoringReading:
        """Return alerts, targets and, where an Alertmanager answers, silences."""
        client, session = self._connect(address)
        with _in_words():
            targets = client.get_targets(state="active")["activeTargets"]
            groups = _get(session, f"{address}/api/v1/rules", {"type": "alert"})["data"]["groups"]
            alerts = [
                alert for group in groups for rule in group["rules"] for alert in rule["alerts"]
            ]
            return MonitoringReading(
                alerts=tuple(_alert(each) for each in alerts[:MOST_LISTED]),
                targets=tuple(_target(each) for each in targets[:MOST_LISTED]),
                silences=self._silences(session, alertmanager),
                receivers=self._receivers(session, alertmanager),
            )

    def ranges(
        self,
        address: str,
        queries: Mapping[str, str],
        begin: datetime,
        step_seconds: float,
        count: int,
    ) -> dict[str, tuple[float | None, ...]]:
        """Return each query's one series at even steps; see :class:`console.ports.Monitoring`."""
        found = {}
        for name, promql in queries.items():
            series = self.ask(address, promql, begin, step_seconds, count)
            found[name] = series[0].values if series else (None,) * count
        return found

    def ask(
        self, address: str, promql: str, begin: datetime | None, step_seconds: float, count: int
    ) -> list[Answered]:
        """Return every series of a query; see :class:`console.ports.Monitoring`."""
        client, _ = self._connect(address)
        with _in_words():
            if begin is None:
                answer = client.custom_query(promql, timeout=TIMEOUT_SECONDS)
                return [_present(each) for each in _listed(answer)]
            answer = client.custom_query_range(
                promql,
                start_time=begin,
                end_time=begin + timedelta(seconds=step_seconds * (count - 1)),
                step=f"{step_seconds:g}",
                timeout=TIMEOUT_SECONDS,
            )
            return [_series(each, begin, step_seconds, count) for each in answer[:MOST_LISTED]]

    def close(self) -> None:
        """Close kept connections; the next question opens anew."""
        kept, self._kept = self._kept, {}
        for client, _ in kept.values():
            client.close()

    def _connect(self, address: str) -> tuple[PrometheusConnect, Session]:
        if address not in self._kept:
            from prometheus_api_client import PrometheusConnect
            from requests import Session
            from urllib3.util.retry import Retry

            self.close()  # it has moved: the old address leads nowhere
            session = Session()
            session.trust_env = False
            client = PrometheusConnect(
                url=address, session=session, retry=Retry(0, read=False), timeout=TIMEOUT_SECONDS
            )
            self._kept[address] = (client, session)
        return self._kept[address]

    def _silences(self, session: Session, address: str | None) -> tuple[Silence, ...] | None:
        """Return the Alertmanager's active silences; losing it is no loss of Prometheus."""
        if address is None:
            return None
        try:
            with _in_words():
                answer = _get(session, f"{address}/api/v2/silences", {})
                return tuple(
                    _silence(each) for each in answer if each["status"]["state"] == "active"
                )[:MOST_LISTED]
        except Unreachable:
            return None

    def _receivers(self, session: Session, address: str | None) -> tuple[str, ...] | None:
        """Return whom the Alertmanager tells; losing it is no loss of Prometheus."""
        if address is None:
            return None
        try:
            with _in_words():
                status = _get(session, f"{address}/api/v2/status", {})
                return receiver_kinds(str(status["config"]["original"]))
        except Unreachable:
            return None


@contextmanager
def _in_words() -> Iterator[None]:
    """Turn what goes wrong into an error for the operator."""
    from prometheus_api_client import PrometheusApiClientException
    from requests import JSONDecodeError, RequestException, Timeout

    try:
        yield
    except JSONDecodeError as error:
        raise Unreachable("it does not answer like Prometheus") from error
    except Timeout as error:
        raise Unreachable(f"no answer within {TIMEOUT_SECONDS:g} s") from error
    except RequestException as error:
        refused = "refused" in str(error)
        words = "connection refused" if refused else f"no connection ({type(error).__name__})"
        raise Unreachable(words) from error
    except PrometheusApiClientException as error:
        wrong = _wrong_query(str(error))
        if wrong is not None:
            raise UsageError(
                f"Prometheus does not understand this: {wrong}", unchanged="nothing was asked"
            ) from error
        raise Unreachable(f"it answers with an error: {plain_text(str(error), 200)}") from error
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise Unreachable("it does not answer like Prometheus") from error


def _wrong_query(message: str) -> str | None:
    """Return what Prometheus finds wrong with a query; None if that is not the matter."""
    match = re.match(r"HTTP Status Code (?:400|422) \((b.*)\)$", message, re.DOTALL)
    if match is None:
        return None
    try:
        return plain_text(str(json.loads(ast.literal_eval(match.group(1)))["error"]), 300)
    except (ValueError, SyntaxError, KeyError, TypeError):
        return plain_text(message, 200)


def _get(session: Session, url: str, params: Mapping[str, str]) -> Json:
    answer = session.get(url, params=params, timeout=TIMEOUT_SECONDS)
    answer.raise_for_status()
    return answer.json()


def _alert(found: dict[str, Any]) -> Alert:
    labels, notes = found["labels"], found.get("annotations", {})
    about = [
        f"{name}={value}" for name, value in sorted(labels.items()) if name not in _COMMON_LABELS
    ]
    critical = labels.get("severity") == AlertSeverity.CRITICAL.value
    name = plain_text(str(labels["alertname"]), 100)
    _, _, anchor = str(notes.get("runbook", "")).partition("#")
    return Alert(
        name=name,
        severity=AlertSeverity.CRITICAL if critical else AlertSeverity.WARNING,
        state=AlertState.FIRING if found["state"] == "firing" else AlertState.PENDING,
        since=_time(found["activeAt"]),
        runbook=plain_text(anchor, 100) or name.lower(),
        summary=plain_text(str(notes.get("summary", ""))).removesuffix("."),
        subject=plain_text(", ".join(about), 200),
        origin=PROMETHEUS,
    )


def _target(found: dict[str, Any]) -> Target:
    labels, health = found["labels"], found["health"]
    scraped = _time(found["lastScrape"])
    return Target(
        job=plain_text(str(labels.get("job", "")), 100),
        instance=plain_text(str(labels.get("instance", "")), 100),
        up=None if health == "unknown" else health == "up",
        scraped_at=scraped if scraped.year > 1 else None,
        error=plain_text(str(found.get("lastError", "")), 200),
    )


def _silence(found: dict[str, Any]) -> Silence:
    matchers = found["matchers"]
    plain = [m for m in matchers if m["name"] == "alertname" and not m["isRegex"] and m["isEqual"]]
    alone = len(matchers) == len(plain) == 1
    words = ", ".join(
        f"{m['name']}{'' if m['isEqual'] else '!'}{'=~' if m['isRegex'] else '='}{m['value']}"
        for m in matchers
    )
    return Silence(
        alert=plain_text(str(plain[0]["value"]), 100) if alone else "",
        until=_time(found["endsAt"]),
        actor=plain_text(str(found["createdBy"]), 100),
        reason=plain_text(str(found["comment"])),
        since=_time(found["startsAt"]),
        id=plain_text(str(found["id"]), 100),
        matches="" if alone else plain_text(words, 200),
    )


def _time(text: str) -> datetime:
    """Return an RFC 3339 time; what is finer than a microsecond is dropped."""
    return (
        datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text)).astimezone(UTC)
        if not (text.startswith("0001"))
        else datetime(1, 1, 1, tzinfo=UTC)
    )


def _number(text: object) -> float | None:
    """Return a value; NaN and infinity are what nobody measured."""
    value = float(str(text))
    return value if math.isfinite(value) else None


def _listed(answer: Json) -> Iterable[dict[str, Any]]:
    """Return the series of an instant query; a scalar or a string is one without labels."""
    if len(answer) == 2 and not isinstance(answer[0], dict):
        return [{"metric": {}, "value": answer}]
    series: list[dict[str, Any]] = answer[:MOST_LISTED]
    return series


def _present(found: dict[str, Any]) -> Answered:
    values = [found["value"]] if "value" in found else found["values"][-1:]
    return Answered(_labels(found), tuple(_number(value) for _, value in values))


def _series(found: dict[str, Any], begin: datetime, step_seconds: float, count: int) -> Answered:
    values: list[float | None] = [None] * count
    start = round(begin.timestamp())
    for at, value in found["values"]:
        place = round((float(at) - start) / step_seconds)
        if 0 <= place < count:
            values[place] = _number(value)
    return Answered(_labels(found), tuple(values))


def _labels(found: dict[str, Any]) -> dict[str, str]:
    return {plain_text(str(k), 100): plain_text(str(v), 200) for k, v in found["metric"].items()}
