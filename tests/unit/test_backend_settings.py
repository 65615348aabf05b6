"""Where a setting comes from, and which ones are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.contracts.settings import Settings, SettingsError, load_settings
from backend.contracts.tasks import Queue

KEY = "k" * 32


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("SECRETS_DIR", "SETTINGS_FILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def yaml_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "settings.yaml"
    path.write_text("default: {cache_ttl: 1, llm_max_batch_size: 2}\nstaging: {cache_ttl: 3}\n")
    monkeypatch.setenv("SETTINGS_FILE", str(path))
    return path


@pytest.mark.usefixtures("yaml_file")
def test_priority_is_environment_then_secret_file_then_profile_then_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_settings().cache_ttl == 1
    monkeypatch.setenv("APP_ENV", "staging")
    assert load_settings().cache_ttl == 3
    assert load_settings().llm_max_batch_size == 2
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "cache_ttl").write_text("4\n")
    monkeypatch.setenv("SECRETS_DIR", str(secrets))
    assert load_settings().cache_ttl == 4
    monkeypatch.setenv("CACHE_TTL", "5")
    assert load_settings().cache_ttl == 5


def test_an_environment_named_in_a_secret_file_chooses_the_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "app_env").write_text("staging")
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))
    assert load_settings().log_format == "json"


def test_packaged_profiles_have_the_figures_of_their_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert (load_settings().llm_worker_concurrency, load_settings().log_level) == (1, "DEBUG")
    monkeypatch.setenv("APP_ENV", "production")
    monkeypatch.setenv("SECRET_KEY", KEY)
    production = load_settings()
    assert production.app_env == "prod"
    assert (production.llm.concurrency, production.rl.concurrency) == (4, 2)
    assert (production.log_level, production.log_format) == ("WARNING", "json")
    assert production.api.rate_limit_enabled


def test_an_empty_variable_counts_as_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHE_TTL", "")
    assert load_settings().cache_ttl == 7200


def test_origins_are_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORS_ORIGINS", "https://a.example, https://b.example")
    assert load_settings().api.cors_origins == ("https://a.example", "https://b.example")


def test_production_refuses_a_wildcard_origin_and_a_short_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("APP_ENV", "prod")
    monkeypatch.setenv("SECRET_KEY", "short-secret")
    with pytest.raises(SettingsError, match="SECRET_KEY") as caught:
        load_settings()
    assert "short-secret" not in str(caught.value)
    monkeypatch.setenv("SECRET_KEY", KEY)
    monkeypatch.setenv("CORS_ORIGINS", "*")
    with pytest.raises(SettingsError, match="CORS_ORIGINS"):
        load_settings()


def test_a_wrong_value_is_named_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_POOL_SIZE", "hunter2")
    with pytest.raises(SettingsError, match="DB_POOL_SIZE") as caught:
        load_settings()
    assert "hunter2" not in str(caught.value)


def test_a_misspelt_name_in_the_file_is_refused(yaml_file: Path) -> None:
    yaml_file.write_text("default: {cache_tll: 1}")
    with pytest.raises(SettingsError, match="cache_tll"):
        load_settings()


def test_a_missing_file_or_directory_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path / "none"))
    with pytest.raises(SettingsError, match="SECRETS_DIR"):
        load_settings()
    monkeypatch.delenv("SECRETS_DIR")
    monkeypatch.setenv("SETTINGS_FILE", str(tmp_path / "none.yaml"))
    with pytest.raises(SettingsError, match=r"none\.yaml"):
        load_settings()


def test_urls_are_derived_and_secrets_stay_out_of_the_representation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://:pw@host:6379/0")
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:pw@host/db")
    settings = load_settings()
    assert settings.broker_dsn(Queue.LLM) == "redis://:pw@host:6379/0"
    assert settings.broker_dsn(Queue.RL) == "redis://:pw@host:6379/1"
    assert settings.shared_redis_dsn == "redis://:pw@host:6379/3"
    assert settings.database_dsn == "postgresql+psycopg://u:pw@host/db"
    assert "pw" not in repr(settings)


def test_a_missing_url_is_said_when_it_is_needed() -> None:
    with pytest.raises(SettingsError, match="DATABASE_URL is not set"):
        _ = load_settings().database_dsn


def test_the_release_is_the_variable_or_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().release not in ("", "unknown")
    monkeypatch.setenv("VERSION", "v9.9.9")
    assert load_settings().release == "v9.9.9"
