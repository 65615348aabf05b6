"""
Adapters that observe and can never change anything.

One file per thing observed; each is a :class:`console.ports.Source` whose ``read``
is bounded in time and raises :class:`console.errors.Unreachable` in words for the
operator.  Imported by :mod:`console.bootstrap` only.  Vendors (psycopg, redis,
psutil, h11) load on the first read.  A new source: a file here, a reading in
:mod:`console.domain.readings`, a line in :func:`build_sources`.
"""

from __future__ import annotations

from console.ports import Journal, Runtime, Source
from console.settings import Settings


def build_sources(runtime: Runtime, journal: Journal, settings: Settings) -> list[Source]:
    """
    Return every source of one stack, the runtime first: the others need its topology.

    Args:
        runtime: What runs the replicas; also gives connection URLs.
        journal: Operations and changes.
        settings: Where the state lies; the disk under it is the one observed.
    """
    from console.sources.host import HostSource
    from console.sources.journal_state import JournalSource
    from console.sources.postgres import PostgresSource
    from console.sources.probes import ProbeSource
    from console.sources.prometheus import PrometheusSource
    from console.sources.redis_queue import RedisQueueSource
    from console.sources.runtime_state import RuntimeSource
    from console.sources.scrape import ScrapeSource

    return [
        RuntimeSource(runtime),
        ProbeSource(),
        RedisQueueSource(runtime),
        PostgresSource(runtime),
        ScrapeSource(),
        PrometheusSource(),
        HostSource(settings.state),
        JournalSource(journal),
    ]
