"""Whether the replicas of a service get their share of the requests."""

from __future__ import annotations

from collections.abc import Sequence

from console.domain.services import Replica

#: Fewer requests a second than this for each replica tell nothing of how they are shared.
LEAST_PER_REPLICA = 0.5
#: A replica with less than this of the mean, or more than the other, has no fair share.
LEAST_SHARE, LARGEST_SHARE = 0.5, 1.5


def uneven_load(replicas: Sequence[Replica]) -> tuple[Replica, ...]:
    """
    Return those with far more or less requests than the mean of all, the furthest first.

    Empty while there are too few requests to tell, or fewer than two replicas say.
    """
    rates = {r.name: r.request_rate for r in replicas if r.request_rate is not None}
    if len(rates) < 2:
        return ()
    mean = sum(rates.values()) / len(rates)
    if mean < LEAST_PER_REPLICA:
        return ()
    found = [
        r
        for r in replicas
        if r.name in rates and not LEAST_SHARE <= rates[r.name] / mean <= LARGEST_SHARE
    ]
    return tuple(sorted(found, key=lambda r: -abs(rates[r.name] / mean - 1)))
