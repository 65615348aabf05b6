"""A test to every receiver of alerts: who took it, and what is said of who did not."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from console.domain.alerts import Delivery
from console.domain.snapshot import Snapshot
from console.errors import NotSupported, Refused
from console.operations.delivering import DeliveryTest
from tests.unit.test_alerts import HERE
from tests.unit.test_alerts import Bench as Desk
from tests.unit.test_status import Bench as CommandLine


class Sender:
    """An Alertmanager that sends what it is given, or tries in vain."""

    def __init__(self, *kinds: str, down: tuple[str, ...] = ()) -> None:
        self.kinds, self.down = kinds, down
        self.raised: list[tuple[str, timedelta]] = []
        self.count = dict.fromkeys(kinds, (4.0, 1.0))

    def receivers(self, address: str) -> tuple[str, ...]:
        return self.kinds

    def attempts(self, address: str) -> dict[str, tuple[float, float]]:
        if self.raised:
            for kind, (tried, vain) in self.count.items():
                self.count[kind] = (tried + 1, vain + (kind in self.down))
        return dict(self.count)

    def raise_test(self, address: str, name: str, begin: datetime, end: datetime) -> None:
        self.raised.append((name, end - begin))


class TestDelivery:
    def send(self, alerting: Sender, snapshot: Snapshot = HERE) -> tuple[Delivery, ...]:
        bench = Desk()
        self.bench = bench
        return DeliveryTest(bench.journal, alerting, bench.clock).send(snapshot, bench.actor, "try")

    def test_who_took_it_is_told_and_recorded_and_the_test_is_ended(self) -> None:
        alerting = Sender("slack", "webhook", down=("webhook",))

        slack, webhook = self.send(alerting)

        assert (slack.receiver, slack.taken, slack.words) == ("slack", True, "took it")
        assert (webhook.receiver, webhook.taken) == ("webhook", False)
        assert webhook.words.startswith("did not take it, tried ")
        (name, lasts), (again, short) = alerting.raised
        assert name == again
        assert lasts > short
        (change,) = self.bench.journal.changes(1)
        assert (change.outcome, change.reason) == ("1 of 2 receivers took it", "try")

    def test_a_receiver_that_is_never_tried_is_not_said_to_be_well(self) -> None:
        alerting = Sender("slack")
        alerting.attempts = lambda address: {}  # type: ignore[method-assign]

        (slack,) = self.send(alerting)

        assert (slack.taken, slack.words) == (False, "nothing was sent to it in time")

    def test_nobody_to_tell_is_refused(self) -> None:
        with pytest.raises(Refused, match="no receiver"):
            self.send(Sender())
        with pytest.raises(NotSupported, match="no Alertmanager runs"):
            self.send(Sender("slack"), replace(HERE, endpoints={}))


def test_as_it_is_typed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bench = CommandLine(tmp_path)
    try:
        assert bench.run("alerts", "test", "--dry-run") == 0
        assert "would be: send a test" in capsys.readouterr().out
        assert bench.run("alerts", "test", "--yes", "--reason", "new address", "--json") == 3
        told = json.loads(capsys.readouterr().out)
        assert (told["event"], told["outcome"]) == ("end", "refused")
        assert "no Alertmanager runs here" in told["message"]
    finally:
        bench.engine.close()
