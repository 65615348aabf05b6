"""Sources against a real PostgreSQL and a real Redis with real Celery messages."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
import redis
from kombu import Connection, Queue

from backend.contracts.tasks import Queue as QueueName
from backend.contracts.tasks import transport_options
from console.clock import SystemClock
from console.collector import Collector
from console.domain.readings import QueueReading
from console.domain.services import Health, Role, Topology
from console.errors import NotSupported, Unreachable
from console.settings import Settings
from console.sources.postgres import PostgresSource
from console.sources.redis_queue import RedisQueueSource
from console.sources.runtime_state import RuntimeSource
from tests.fakes.runtime import FakeRuntime
from tests.servers import Server, start_postgres, start_redis

LABELS = {
    "llm": "database=0 unacked=unacked steps=0,3,6,9",
    "rl": "database=1 unacked=unacked steps=0,3,6,9",
}


#: A server that hangs does so until the test lets it go on: what comes back has given up.
GIVEN_UP_SECONDS = 15.0


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    directory = tmp_path_factory.mktemp("servers")
    with ExitStack() as stack:
        postgres = stack.enter_context(start_postgres(directory))
        yield postgres, stack.enter_context(start_redis(directory))


@pytest.fixture
def postgres(servers: tuple[Server, Server]) -> Server:
    return servers[0]


@pytest.fixture
def broker(servers: tuple[Server, Server]) -> Server:
    with redis.Redis.from_url(servers[1].url) as client:
        client.flushall()
    return servers[1]


@pytest.fixture
def runtime(servers: tuple[Server, Server]) -> FakeRuntime:
    fake = FakeRuntime(clock=lambda: datetime.now(UTC))
    fake.urls = {"postgres": servers[0].url, "redis": servers[1].url}
    return fake


@pytest.fixture
def database_source(runtime: FakeRuntime) -> Iterator[PostgresSource]:
    source = PostgresSource(runtime)
    yield source
    source.close()


@pytest.fixture
def broker_source(runtime: FakeRuntime) -> Iterator[RedisQueueSource]:
    source = RedisQueueSource(runtime)
    yield source
    source.close()


def topology(runtime: FakeRuntime) -> Topology:
    found = runtime.topology()
    return replace(
        found,
        services=tuple(
            replace(s, labels={**s.labels, "console.broker": LABELS[s.labels["console.queue"]]})
            if "console.queue" in s.labels
            else s
            for s in found.services
        ),
    )


@contextmanager
def kombu(server: Server, name: QueueName, database: int) -> Iterator[Connection]:
    """Speak to one queue's database exactly as the product does."""
    url = server.url.removesuffix("/0") + f"/{database}"
    with Connection(url, transport_options=transport_options(name)) as connection:
        yield connection


def publish(connection: Connection, queue: str, priority: int, **headers: object) -> None:
    with connection.Producer() as producer:
        producer.publish(
            {"job_id": "1"},
            routing_key=queue,
            declare=[Queue(queue)],
            priority=priority,
            headers=headers,
            serializer="json",
        )


def queue(source: RedisQueueSource, runtime: FakeRuntime, name: str) -> QueueReading:
    return next(q for q in source.read(topology(runtime)).queues if q.name == name)


class TestBroker:
    def test_depth_counts_every_priority_and_each_queue_its_own_database(
        self, broker: Server, broker_source: RedisQueueSource, runtime: FakeRuntime
    ) -> None:
        now = time.time()
        with kombu(broker, QueueName.LLM, 0) as connection:
            for n, priority in enumerate((0, 3, 6, 9, 3)):
                publish(connection, "llm", priority, enqueued_at=now - n)
        with kombu(broker, QueueName.RL, 1) as connection:
            publish(connection, "rl", 3, enqueued_at=now - 60)

        llm, rl = (queue(broker_source, runtime, name) for name in ("llm", "rl"))

        assert (llm.depth, llm.in_flight, rl.depth) == (5, 0, 1)
        assert rl.oldest_enqueued_at == datetime.fromtimestamp(now - 60, UTC)

    def test_the_oldest_is_the_one_that_has_waited_longest_in_its_list(
        self, broker: Server, broker_source: RedisQueueSource, runtime: FakeRuntime
    ) -> None:
        now = time.time()
        with kombu(broker, QueueName.LLM, 0) as connection:
            for age in (30, 20, 10):  # in the order they were published
                publish(connection, "llm", 3, enqueued_at=now - age)

            found = queue(broker_source, runtime, "llm")

        assert found.oldest_enqueued_at == datetime.fromtimestamp(now - 30, UTC)

    def test_what_a_worker_holds_is_in_flight_and_not_waiting(
        self, broker: Server, broker_source: RedisQueueSource, runtime: FakeRuntime
    ) -> None:
        with kombu(broker, QueueName.LLM, 0) as connection:
            for _ in range(3):
                publish(connection, "llm", 3, enqueued_at=time.time())
            with connection.channel() as channel:
                message = Queue("llm")(channel).get(no_ack=False)
                assert message is not None

                held = queue(broker_source, runtime, "llm")
                message.ack()
                done = queue(broker_source, runtime, "llm")

        assert (held.depth, held.in_flight) == (2, 1)
        assert (done.depth, done.in_flight) == (2, 0)

    def test_messages_without_a_time_have_an_unknown_age(
        self, broker: Server, broker_source: RedisQueueSource, runtime: FakeRuntime
    ) -> None:
        with kombu(broker, QueueName.LLM, 0) as connection:
            publish(connection, "llm", 3)

            found = queue(broker_source, runtime, "llm")

        assert (found.depth, found.oldest_enqueued_at) == (1, None)

    def test_counters_are_unknown_until_somebody_counts(
        self, broker: Server, broker_source: RedisQueueSource, runtime: FakeRuntime
    ) -> None:
        before = queue(broker_source, runtime, "llm")
        with redis.Redis.from_url(broker.url.removesuffix("/0") + "/3") as shared:
            shared.hincrby("fragrance:queue:llm", "arrived", 7)
        after = queue(broker_source, runtime, "llm")

        assert (before.arrived_total, before.completed_total) == (None, None)
        assert (after.arrived_total, after.completed_total, after.failed_total) == (7, 0, 0)

    def test_heartbeats_are_those_of_the_workers_that_should_run(
        self, broker: Server, broker_source: RedisQueueSource, runtime: FakeRuntime
    ) -> None:
        now = time.time()
        with redis.Redis.from_url(broker.url.removesuffix("/0") + "/3") as shared:
            for name in ("worker-llm-1", "worker-llm-9"):
                beat: dict[str, object] = {
                    "replica": name, "service": "worker-llm", "queue": "llm", "pid": 1,
                    "at": now, "active": 1, "reserved": 2, "processed": 3, "accepting": True,
                    "phase": "running", "current": [],
                }  # fmt: skip
                shared.set(f"fragrance:heartbeat:{name}", json.dumps(beat), ex=10)

        reading = broker_source.read(topology(runtime))

        assert [(b.replica, b.active, b.reserved) for b in reading.heartbeats] == [
            ("worker-llm-1", 1, 2)
        ]
        assert reading.heartbeats[0].at == datetime.fromtimestamp(now, UTC)
        assert (reading.memory_bytes or 0) > 100_000
        assert (reading.clients or 0) >= 1

    def test_a_broker_that_hangs_is_given_up_in_time_and_found_again(
        self, broker: Server, broker_source: RedisQueueSource, runtime: FakeRuntime
    ) -> None:
        broker_source.read(topology(runtime))
        broker.pause()
        try:
            begun = time.monotonic()
            with pytest.raises(Unreachable, match="does not answer"):
                broker_source.read(topology(runtime))
            took = time.monotonic() - begun
        finally:
            broker.resume()

        assert took < GIVEN_UP_SECONDS
        assert broker_source.read(topology(runtime)).queues

    def test_a_broker_that_was_restarted_is_found_by_the_next_read(
        self, broker: Server, broker_source: RedisQueueSource, runtime: FakeRuntime
    ) -> None:
        broker_source.read(topology(runtime))
        broker.kill()
        with pytest.raises(Unreachable, match="refused"):
            broker_source.read(topology(runtime))
        broker.start()
        broker_source.read(topology(runtime))
        broker.kill()
        broker.start()

        assert broker_source.read(topology(runtime)).queues

    def test_a_wrong_password_is_said_without_saying_it(
        self, broker: Server, broker_source: RedisQueueSource, runtime: FakeRuntime
    ) -> None:
        runtime.urls["redis"] = f"redis://:wrong@127.0.0.1:{broker.port}/0"

        with pytest.raises(Unreachable) as caught:
            broker_source.read(topology(runtime))

        assert caught.value.message == "broker: refuses the password"

    def test_without_an_address_it_is_not_configured(
        self, broker_source: RedisQueueSource, runtime: FakeRuntime
    ) -> None:
        runtime.urls.clear()

        with pytest.raises(NotSupported):
            broker_source.read(topology(runtime))


class TestDatabase:
    def test_connections_and_their_limit(
        self, postgres: Server, database_source: PostgresSource, runtime: FakeRuntime
    ) -> None:
        before = database_source.read(topology(runtime))
        with psycopg.connect(postgres.url.replace("+psycopg", "")):
            during = database_source.read(topology(runtime))

        assert before.connections_max == 100
        assert during.connections == before.connections + 1
        assert before.revision is None

    def test_the_migration_revision(
        self, postgres: Server, database_source: PostgresSource, runtime: FakeRuntime
    ) -> None:
        with psycopg.connect(postgres.url.replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute("CREATE TABLE alembic_version (version_num varchar(32))")
            empty = database_source.read(topology(runtime)).revision
            connection.execute("INSERT INTO alembic_version VALUES ('0001')")
            found = database_source.read(topology(runtime)).revision
            connection.execute("DROP TABLE alembic_version")

        assert (empty, found) == (None, "0001")

    def test_one_that_hangs_is_given_up_in_time_and_found_again(
        self, postgres: Server, database_source: PostgresSource, runtime: FakeRuntime
    ) -> None:
        database_source.read(topology(runtime))
        postgres.pause()
        try:
            for _ in range(2):  # on the kept connection, and on a new one
                begun = time.monotonic()
                with pytest.raises(Unreachable, match="does not answer"):
                    database_source.read(topology(runtime))
                assert time.monotonic() - begun < GIVEN_UP_SECONDS
        finally:
            postgres.resume()

        assert database_source.read(topology(runtime)).connections_max == 100

    def test_one_that_was_restarted_is_found_by_the_next_read(
        self, postgres: Server, database_source: PostgresSource, runtime: FakeRuntime
    ) -> None:
        database_source.read(topology(runtime))
        postgres.stop()
        with pytest.raises(Unreachable, match="refused"):
            database_source.read(topology(runtime))
        postgres.start()
        database_source.read(topology(runtime))
        postgres.stop()
        postgres.start()

        assert database_source.read(topology(runtime)).connections_max == 100

    def test_a_wrong_password_is_said_without_saying_it(
        self, postgres: Server, database_source: PostgresSource, runtime: FakeRuntime
    ) -> None:
        runtime.urls["postgres"] = f"postgresql://fragrance:wr0ng@127.0.0.1:{postgres.port}/x"

        with pytest.raises(Unreachable) as caught:
            database_source.read(topology(runtime))

        assert caught.value.message == "database: refuses the password"

    def test_a_server_that_should_not_run_is_not_asked(
        self, database_source: PostgresSource, runtime: FakeRuntime
    ) -> None:
        runtime.crash("postgres-1")

        with pytest.raises(Unreachable, match="does not run"):
            database_source.read(topology(runtime))


def test_a_hanging_database_is_unhealthy_in_the_picture_and_the_rest_is_not(
    postgres: Server, broker: Server, runtime: FakeRuntime, tmp_path: Path
) -> None:
    collector = Collector(
        [RuntimeSource(runtime), PostgresSource(runtime), RedisQueueSource(runtime)],
        Settings(project=tmp_path, state=tmp_path),
        runtime,
        SystemClock(),
    )
    first = collector.collect()
    postgres.pause()
    try:
        begun = time.monotonic()
        second = collector.collect()
        took = time.monotonic() - begun
    finally:
        postgres.resume()
    third = collector.collect()
    collector.stop()

    healths = [
        {s.role: s.health for s in snapshot.services if s.role in {Role.DATABASE, Role.BROKER}}
        for snapshot in (first, second, third)
    ]
    well = {Role.DATABASE: Health.HEALTHY, Role.BROKER: Health.HEALTHY}
    assert healths == [well, well | {Role.DATABASE: Health.UNHEALTHY}, well]
    assert took < GIVEN_UP_SECONDS
