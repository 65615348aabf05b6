"""Migrations up and down, and the transitions of jobs, on a real PostgreSQL."""

from __future__ import annotations

import io
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import create_engine, text

from backend.contracts.formula import Formula
from backend.contracts.settings import Settings
from backend.contracts.tasks import JobKind
from backend.database import (
    ApiKey,
    ClaimedJob,
    Database,
    FormulaDraft,
    Job,
    claim_job,
    fail_job,
    finish_job,
    is_cancelled,
    load_formula,
    save_checkpoint,
    update_progress,
)
from backend.database.jobs import MAX_ATTEMPTS
from backend.database.models import FormulaRecord, JobState
from backend.migrations import runner
from backend.migrations.runner import MigrationError, Migrator
from tests.servers import Server, create_database, start_postgres

HEDIONE = FormulaDraft(Formula.from_composition("Plain", {"hedione": 100.0}))


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with start_postgres(tmp_path_factory.mktemp("database")) as server:
        yield server


@pytest.fixture
def empty_url(postgres: Server) -> str:
    return create_database(postgres, f"test_{uuid.uuid4().hex[:12]}")


@pytest.fixture(scope="module")
def migrated(postgres: Server) -> Iterator[Database]:
    url = create_database(postgres, "migrated")
    Migrator(url).upgrade()
    database = Database(Settings(database_url=url, replica_name="test"))
    yield database
    database.close()


@pytest.fixture
def job_id(migrated: Database) -> str:
    with migrated.session() as session:
        key = ApiKey(name=uuid.uuid4().hex, lookup=uuid.uuid4().hex[:12], key_sha256="0" * 64)
        session.add(key)
        session.flush()
        job = Job(kind=JobKind.COMPOSE.value, payload={"text": "x"}, api_key_id=key.id)
        session.add(job)
        session.flush()
        return job.id


def state_of(database: Database, job_id: str) -> Job:
    with database.session() as session:
        job = session.get(Job, job_id)
    assert job is not None
    return job


def claim(database: Database, job_id: str, worker: str) -> ClaimedJob:
    claimed = database.run(lambda s: claim_job(s, job_id, worker))
    assert claimed is not None
    return claimed


def tables(url: str) -> set[str]:
    engine = create_engine(url)
    with engine.connect() as connection:
        names = connection.execute(
            text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        ).scalars()
        found = set(names)
    engine.dispose()
    return found


# Migrations


def test_up_to_head_down_one_step_up_to_a_revision_and_down_to_base(empty_url: str) -> None:
    migrator = Migrator(empty_url)
    assert migrator.current() is None
    migrator.upgrade()
    assert migrator.current() == runner.heads()[0]
    assert tables(empty_url) >= {"jobs", "formulas", "api_keys", "alembic_version"}
    migrator.downgrade("-1")
    migrator.upgrade("0001")
    assert migrator.current() == "0001"
    migrator.upgrade("0001")
    migrator.downgrade("base")
    assert migrator.current() is None
    assert tables(empty_url) == {"alembic_version"}


def test_the_migrations_make_exactly_the_tables_of_the_models(empty_url: str) -> None:
    Migrator(empty_url).upgrade()
    engine = create_engine(empty_url)
    with engine.connect() as connection:
        command.check(runner.alembic_config(connection=connection))
    engine.dispose()


def test_every_revision_has_its_class_and_documentation_and_there_is_one_head() -> None:
    assert len(runner.heads()) == 1
    for revision in runner.revisions():
        assert revision.migration_class in ("expand", "contract")
        assert revision.subject
        assert "TODO_DOCUMENT" not in revision.subject


def test_an_unknown_revision_is_refused_and_nothing_changes(empty_url: str) -> None:
    migrator = Migrator(empty_url)
    with pytest.raises(MigrationError, match="nonsense"):
        migrator.upgrade("nonsense")
    assert migrator.current() is None


def test_an_unreachable_database_is_refused_without_its_password() -> None:
    with pytest.raises(MigrationError) as caught:
        Migrator("postgresql+psycopg://u:hunter2@127.0.0.1:1/x").upgrade()
    assert "hunter2" not in str(caught.value)


def test_the_sql_of_an_upgrade_can_be_read_first() -> None:
    sql = runner.upgrade_sql("head")
    assert "CREATE EXTENSION IF NOT EXISTS vector" in sql
    assert "USING hnsw" in sql


def test_two_upgrades_at_once_wait_for_each_other(empty_url: str) -> None:
    errors = []

    def upgrade() -> None:
        try:
            Migrator(empty_url).upgrade()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=upgrade) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert Migrator(empty_url).current() == runner.heads()[0]


def test_an_upgrade_gives_up_when_another_does_not_end(empty_url: str) -> None:
    engine = create_engine(empty_url)
    with engine.connect() as holder:
        holder.execute(text("SELECT pg_advisory_lock(:key)"), {"key": runner.ADVISORY_LOCK_KEY})
        with pytest.raises(MigrationError, match="another migration"):
            Migrator(empty_url, lock_wait_seconds=0.3).upgrade()
    engine.dispose()
    assert tables(empty_url) == set()


def test_a_migration_gives_way_to_a_table_in_use_and_tries_again(empty_url: str) -> None:
    migrator = Migrator(empty_url)
    migrator.upgrade()
    engine = create_engine(empty_url)
    with engine.connect() as holder:
        holder.execute(text("LOCK TABLE jobs IN ACCESS SHARE MODE"))
        done = threading.Event()

        def downgrade() -> None:
            migrator.downgrade("base")
            done.set()

        thread = threading.Thread(target=downgrade)
        thread.start()
        assert not done.wait(1.5)
        holder.rollback()
    thread.join(30)
    engine.dispose()
    assert done.is_set()
    assert tables(empty_url) == {"alembic_version"}


def test_a_new_revision_is_written_from_the_difference(
    empty_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Migrator(empty_url).upgrade()
    engine = create_engine(empty_url)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE jobs DROP COLUMN stage"))
    engine.dispose()
    made_config = runner.alembic_config

    def into_scratch(**attributes: Any) -> Any:
        config = made_config(**attributes)
        config.stdout = io.StringIO()
        source = config.get_main_option("script_location")
        config.set_main_option("version_locations", f"{source}/versions:{tmp_path}")
        config.set_main_option("path_separator", ":")
        return config

    monkeypatch.setattr(runner, "alembic_config", into_scratch)
    monkeypatch.setattr(command, "revision", _with_version_path(command.revision, str(tmp_path)))
    path = Migrator(empty_url).create("stage comes back", "expand")
    assert path.parent == tmp_path
    written = path.read_text()
    assert "add_column" in written
    assert "migration_class = 'expand'" in written
    assert "down_revision = '0001'" in written


def _with_version_path(original: Callable[..., Any], directory: str) -> Callable[..., Any]:
    def revision(config: Any, message: str, **options: Any) -> Any:
        return original(config, message, version_path=directory, **options)

    return revision


# What workers do to jobs


def test_a_job_is_claimed_reported_and_finished_with_one_formula(
    migrated: Database, job_id: str
) -> None:
    claimed = claim(migrated, job_id, "worker-1")
    assert (claimed.kind, claimed.payload, claimed.attempts) == ("compose", {"text": "x"}, 1)
    assert migrated.run(lambda s: update_progress(s, job_id, claimed.fence, 0.3, "thinking"))
    formula_id = migrated.run(lambda s: finish_job(s, job_id, {"score": 1}, HEDIONE))
    assert formula_id is not None
    again = migrated.run(lambda s: finish_job(s, job_id, {"score": 2}, HEDIONE))
    assert again == formula_id
    job = state_of(migrated, job_id)
    assert (job.state, job.progress, job.worker) == ("succeeded", 1.0, "worker-1")
    assert job.result == {"score": 1, "formula_id": formula_id}
    assert migrated.run(lambda s: load_formula(s, formula_id)) == HEDIONE.formula
    with migrated.session() as session:
        stored = session.get_one(FormulaRecord, formula_id)
        assert stored.embedding is not None
        assert len(list(stored.embedding)) == 64
        assert stored.cost_per_kg == 25


def test_a_redelivered_job_is_claimed_again_and_the_first_claim_notices(
    migrated: Database, job_id: str
) -> None:
    first = claim(migrated, job_id, "worker-1")
    second = claim(migrated, job_id, "worker-2")
    assert (second.attempts, second.fence) == (2, first.fence + 1)
    assert not migrated.run(lambda s: update_progress(s, job_id, first.fence, 0.9))
    assert migrated.run(lambda s: update_progress(s, job_id, second.fence, 0.1))


def test_a_finished_cancelled_or_unknown_job_cannot_be_claimed(
    migrated: Database, job_id: str
) -> None:
    assert migrated.run(lambda s: claim_job(s, str(uuid.uuid4()), "worker-1")) is None
    claim(migrated, job_id, "worker-1")
    with migrated.session() as session:
        job = session.get_one(Job, job_id)
        job.state = JobState.CANCELLED.value
    assert migrated.run(lambda s: is_cancelled(s, job_id))
    assert migrated.run(lambda s: claim_job(s, job_id, "worker-2")) is None
    assert migrated.run(lambda s: finish_job(s, job_id, {}, HEDIONE)) is None
    assert not migrated.run(lambda s: fail_job(s, job_id, "late"))
    assert state_of(migrated, job_id).state == "cancelled"


def test_a_job_that_loses_every_worker_is_given_up(migrated: Database, job_id: str) -> None:
    for attempt in range(1, MAX_ATTEMPTS + 1):
        assert claim(migrated, job_id, "worker-1").attempts == attempt
    assert migrated.run(lambda s: claim_job(s, job_id, "worker-1")) is None
    job = state_of(migrated, job_id)
    assert job.state == "failed"
    assert "given up" in (job.error or "")


def test_a_kept_checkpoint_forgives_earlier_deliveries_and_is_handed_on(
    migrated: Database, job_id: str
) -> None:
    for _ in range(MAX_ATTEMPTS - 1):
        claim(migrated, job_id, "worker-1")
    claimed = claim(migrated, job_id, "worker-1")
    place = {"path": "run/step-100", "step": 100}
    assert migrated.run(lambda s: save_checkpoint(s, job_id, claimed.fence, place, 0.4))
    following = claim(migrated, job_id, "worker-1")
    assert (following.attempts, following.checkpoint) == (1, place)


def test_a_job_claimed_by_many_at_once_counts_each_of_them(migrated: Database, job_id: str) -> None:
    claims: list[ClaimedJob | None] = []

    def claim_too() -> None:
        claims.append(migrated.run(lambda s: claim_job(s, job_id, "worker", max_attempts=99)))

    threads = [threading.Thread(target=claim_too) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(claimed.fence for claimed in claims if claimed is not None) == list(range(1, 9))


def test_work_goes_on_after_the_database_was_restarted(
    postgres: Server, migrated: Database, job_id: str
) -> None:
    claim(migrated, job_id, "worker-1")
    postgres.kill()
    restart = threading.Timer(0.5, postgres.start)
    restart.start()
    began = time.monotonic()
    migrated.run(lambda s: finish_job(s, job_id, {}, HEDIONE))
    restart.join()
    assert time.monotonic() - began < 20
    assert state_of(migrated, job_id).state == "succeeded"
