"""
The broker: queues, workers' heartbeats, memory and clients, in one round trip.

Celery's queues on Redis are lists, one per priority step, and what a worker holds
unacknowledged is a hash; the bare length of the first list is most of the time
wrong.  One connection walks through the databases with SELECT inside one pipeline.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from console.domain.health import QUEUE_LABEL
from console.domain.readings import BrokerReading, QueueReading, WorkerHeartbeat
from console.domain.services import Role, Topology
from console.domain.text import plain_text
from console.errors import NotSupported, Unreachable
from console.ports import Runtime
from console.sources.addresses import resolve, running_url
from console.sources.broker_messages import decode_heartbeat, enqueued_at
from console.sources.broker_places import QueuePlace, queue_places

if TYPE_CHECKING:
    import redis

#: Of each wait on the socket; a hung server costs one of them.
TIMEOUT_SECONDS = 1.5
#: Database of heartbeats and counters, which belong to no queue.
SHARED_DATABASE = 3
HEARTBEAT_KEY = "fragrance:heartbeat:{replica}"
COUNTERS_KEY = "fragrance:queue:{queue}"
COUNTERS = ("arrived", "completed", "failed")


@dataclass(frozen=True, slots=True)
class _Asked:
    """
    What one read asks for, so that its answers can be told apart.

    Args:
        workers: Of each worker its name, and the one it reports under.
    """

    places: tuple[QueuePlace, ...]
    workers: tuple[tuple[str, str], ...]


class RedisQueueSource:
    """
    Ask the first broker service over one kept connection.

    Args:
        runtime: Gives the connection URL.
    """

    name = "broker"
    interval_seconds = 1.0

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._client: redis.Redis | None = None
        self._url = ""

    def read(self, topology: Topology | None) -> BrokerReading:
        """
        Return queues, heartbeats, memory and clients.

        Raises:
            NotSupported: If there is no broker whose address is known.
            Unreachable: If it does not answer in time.
        """
        import redis

        if topology is None:
            raise NotSupported("it is not known yet what runs")
        try:
            url = running_url(self._runtime, topology, Role.BROKER)
        except Unreachable:
            self.close()
            raise
        asked = _Asked(
            places=queue_places(topology.services),
            workers=tuple(
                (replica.name, replica.reports_as or replica.name)
                for service in topology.services
                if QUEUE_LABEL in service.labels
                for replica in service.replicas
            ),
        )
        try:
            if self._client is not None and self._url == url:
                try:
                    return self._ask(self._client, asked)
                except redis.TimeoutError:
                    raise
                except redis.ConnectionError:
                    # The kept connection broke; that alone says nothing of the server.
                    self.close()
            return self._ask(self._connect(url), asked)
        except redis.RedisError as error:
            self.close()
            raise Unreachable(_words(error)) from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the kept connection; the next read opens a new one."""
        client, self._client = self._client, None
        if client is not None:
            client.close()
            client.connection_pool.disconnect()

    def _connect(self, url: str) -> redis.Redis:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        self.close()
        host = urlsplit(url).hostname
        client: redis.Redis = redis.Redis.from_url(
            url,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),  # the collector decides when to try again
            client_name="fragrance-console",
        )
        if host:
            client.connection_pool.connection_kwargs["host"] = resolve(host, TIMEOUT_SECONDS)
        self._client, self._url = client, url
        return client

    def _ask(self, client: redis.Redis, asked: _Asked) -> BrokerReading:
        pipeline: Any = client.pipeline(transaction=False)
        for place in asked.places:
            pipeline.execute_command("SELECT", place.database)
            for key in place.lists:
                pipeline.llen(key)
                pipeline.lindex(key, -1)
            pipeline.hlen(place.unacked_key)
        pipeline.execute_command("SELECT", SHARED_DATABASE)
        for place in asked.places:
            pipeline.hmget(COUNTERS_KEY.format(queue=place.queue), list(COUNTERS))
        if asked.workers:
            pipeline.mget([HEARTBEAT_KEY.format(replica=name) for _, name in asked.workers])
        pipeline.info("memory")
        pipeline.info("clients")
        return _understand(asked, iter(pipeline.execute()))


def _understand(asked: _Asked, answers: Iterator[Any]) -> BrokerReading:
    found: list[tuple[int, int, datetime | None]] = []
    for place in asked.places:
        next(answers)  # SELECT
        depth, oldest = 0, []
        for _ in place.lists:
            depth += int(next(answers))
            oldest.append(enqueued_at(next(answers)))
        # Where one priority's oldest message tells no time, the oldest of all is unknown
        # only if nothing else tells; better a lower bound than none.
        found.append((depth, int(next(answers)), min(filter(None, oldest), default=None)))
    next(answers)  # SELECT
    counters = [next(answers) for _ in asked.places]
    beats = next(answers) if asked.workers else []
    heartbeats = tuple(
        replace(beat, replica=name)
        for (name, _), raw in zip(asked.workers, beats, strict=True)
        if (beat := decode_heartbeat(raw)) is not None
    )
    memory, clients = next(answers), next(answers)
    return BrokerReading(
        queues=tuple(
            _queue(place, *seen, totals, heartbeats)
            for place, seen, totals in zip(asked.places, found, counters, strict=True)
        ),
        heartbeats=heartbeats,
        memory_bytes=memory.get("used_memory"),
        clients=clients.get("connected_clients"),
    )


def _queue(
    place: QueuePlace,
    depth: int,
    in_flight: int,
    oldest: datetime | None,
    totals: Sequence[bytes | None],
    heartbeats: Sequence[WorkerHeartbeat],
) -> QueueReading:
    # A field that nobody has raised yet is 0 only if somebody is known to count.
    counted = any(total is not None for total in totals) or any(
        beat.queue == place.queue for beat in heartbeats
    )
    arrived, completed, failed = (int(total or 0) if counted else None for total in totals)
    return QueueReading(
        name=place.queue,
        depth=depth,
        in_flight=in_flight,
        oldest_enqueued_at=oldest if depth else None,
        arrived_total=arrived,
        completed_total=completed,
        failed_total=failed,
    )


def _words(error: redis.RedisError) -> str:
    """Return what a broker error means, without addresses."""
    import redis

    text = str(error)
    if isinstance(error, redis.AuthenticationError) or "NOAUTH" in text or "WRONGPASS" in text:
        return "broker: refuses the password"
    if isinstance(error, redis.BusyLoadingError):
        return "broker: is loading its data"
    if isinstance(error, redis.TimeoutError):
        return f"broker does not answer within {TIMEOUT_SECONDS:g} s"
    if "refused" in text:
        return "broker: connection refused"
    if isinstance(error, redis.ConnectionError):
        return f"broker: connection lost ({plain_text(text, 120)})"
    return f"broker: {plain_text(text, 160) or type(error).__name__}"
