"""
What a process' network namespace has sent and received.

It lives among the contracts because workers may import nothing else of the application.
In a container the namespace is the replica's own; without one it is the whole host's.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

_INTERFACES = Path("/proc/self/net/dev")
_RECEIVED, _SENT = 0, 8
"""Columns of the file that count bytes."""


class NetworkTraffic(Collector):
    """
    Bytes over every interface but loopback, under the names that Go's client gives them.

    Args:
        interfaces: A file like ``/proc/net/dev``; where it cannot be read nothing is shown.
    """

    def __init__(self, interfaces: Path = _INTERFACES) -> None:
        self._interfaces = interfaces

    def collect(self) -> Iterator[Metric]:
        """Read the file."""
        try:
            lines = self._interfaces.read_text().splitlines()[2:]
        except OSError:
            return
        columns = [
            counts.split() for name, _, counts in (line.partition(":") for line in lines)
            if name.strip() != "lo"
        ]  # fmt: skip
        for direction, column in (("receive", _RECEIVED), ("transmit", _SENT)):
            family = CounterMetricFamily(
                f"process_network_{direction}_bytes",
                f"Bytes the network namespace of the process did {direction}.",
            )
            family.add_metric([], sum(float(counts[column]) for counts in columns))
            yield family
