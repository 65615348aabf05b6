"""
Whether alerts arrive: a test alert is given to the Alertmanager, and its sending watched.

The Alertmanager does not tell what became of one alert; it counts by kind of receiver how
often it tried and how often in vain.  What it says beyond that is in its log.
"""

from __future__ import annotations

import secrets
from datetime import timedelta

from console.domain.alerts import Delivery
from console.domain.operations import Actor, Change
from console.domain.snapshot import Snapshot
from console.errors import NotSupported, Refused
from console.ports import Clock, Journal, TellsDelivery

#: How long sending may take: the wait for others of the group, and a try again.
PATIENCE_SECONDS = 30.0
_LOOK_EVERY_SECONDS = 0.5
#: The test ends by itself after this, whatever becomes of the console.
_LASTS = timedelta(minutes=2)


class DeliveryTest:
    """
    Sends a test to every receiver.

    Args:
        journal: Keeps who did it and what came of it.
        alerting: Speaks to the Alertmanager; None where nothing ever does.
        clock: Its beginning, and the waiting.
    """

    def __init__(self, journal: Journal, alerting: TellsDelivery | None, clock: Clock) -> None:
        self._journal = journal
        self._alerting = alerting
        self._clock = clock

    def send(self, snapshot: Snapshot, actor: Actor, reason: str) -> tuple[Delivery, ...]:
        """
        Send a test, wait until each receiver took it or did not, and record it.

        Raises:
            NotSupported: If no Alertmanager runs here.
            Refused: If it has no receiver.
            Unreachable: If it does not answer.
        """
        address = snapshot.endpoints.get("alertmanager")
        if address is None or self._alerting is None:
            raise NotSupported(
                "no Alertmanager runs here: nothing sends alerts anywhere",
                unchanged="nothing was sent",
                remedy="COMPOSE_PROFILES=monitoring fragrance start",
            )
        kinds = self._alerting.receivers(address)
        if not kinds:
            raise Refused(
                "the Alertmanager has no receiver: alerts are sent nowhere",
                unchanged="nothing was sent",
                remedy="fragrance alerts show AlertDeliveryFailing",
            )
        before = self._alerting.attempts(address)
        begin = self._clock.now()
        # A name of its own: what was sent a moment ago under the same is not sent again.
        name = f"test-{secrets.token_hex(4)}"
        self._alerting.raise_test(address, name, begin, begin + _LASTS)
        found = self._watch(self._alerting, address, kinds, before)
        self._alerting.raise_test(address, name, begin, self._clock.now())
        arrived = sum(delivery.taken for delivery in found)
        self._journal.record(
            Change(
                at=self._clock.now(),
                actor=str(actor),
                what="test of the delivery of alerts",
                outcome=f"{arrived} of {len(found)} receivers took it",
                reason=reason,
            )
        )
        return found

    def _watch(
        self,
        alerting: TellsDelivery,
        address: str,
        kinds: tuple[str, ...],
        before: dict[str, tuple[float, float]],
    ) -> tuple[Delivery, ...]:
        deadline = self._clock.monotonic() + PATIENCE_SECONDS
        while True:
            after = alerting.attempts(address)
            found = tuple(
                Delivery(kind, *(now - then for now, then in zip(
                    after.get(kind, (0.0, 0.0)), before.get(kind, (0.0, 0.0)), strict=True)))
                for kind in kinds
            )  # fmt: skip
            if all(d.taken for d in found) or self._clock.monotonic() >= deadline:
                return found
            self._clock.sleep(_LOOK_EVERY_SECONDS)
