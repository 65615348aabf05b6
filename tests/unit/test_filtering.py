"""The filter language of lists, and their order."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.domain.filtering import (
    REPLICA_WORDS,
    SERVICE_WORDS,
    SORTS,
    parse_filter,
    replica_facts,
    service_facts,
    sorted_replicas,
    sorted_services,
)
from console.domain.load import uneven_load
from console.domain.services import Drift, Health, Role
from console.errors import UsageError
from tests.fakes.pictures import NOW, replica, service, services

CRASHING = service(
    "worker-llm",
    Role.WORKER,
    replica("worker-llm-1", cpu=0.97, minutes_up=400),
    replica("worker-llm-2", health=Health.UNHEALTHY, restarts=4, cpu=None, minutes_up=1),
)
STACK = (*(s for s in services() if s.name != "worker-llm"), CRASHING)


def shown(text: str) -> list[str]:
    wanted = parse_filter(text, SERVICE_WORDS)
    return [s.name for s in STACK if wanted.matches(service_facts(s, NOW))]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ["app", "worker-rl", "postgres", "redis", "worker-llm"]),
        ("worker", ["worker-rl", "worker-llm"]),
        ("WORKER !rl", ["worker-llm"]),
        ("app-2", ["app"]),
        ("health:unhealthy", ["worker-llm"]),
        ("!health:healthy", ["worker-llm"]),
        ("role:worker restarts>0", ["worker-llm"]),
        ("role:w restarts=0", ["worker-rl"]),
        ("cpu>90", ["worker-llm"]),
        ("cpu<=3%", ["worker-rl", "postgres", "redis"]),
        ("memory>3 !postgres", ["app", "worker-rl", "redis", "worker-llm"]),
        ("uptime<10m", ["worker-llm"]),
        ("uptime>2d", ["postgres", "redis"]),
        ("drift:yes", []),
        ("nothing-like-it", []),
    ],
)
def test_terms_are_joined_by_and(text: str, names: list[str]) -> None:
    assert shown(text) == names


def test_what_is_unknown_is_neither_above_nor_below() -> None:
    blind = replace(CRASHING, cpu_ratio=None)
    for text in ("cpu>80", "!cpu>80", "cpu<=80"):
        assert not parse_filter(text, SERVICE_WORDS).matches(service_facts(blind, NOW))


def test_what_drifts_is_found() -> None:
    drifted = replace(CRASHING, drift=(Drift("image", "docker compose up"),))
    assert parse_filter("drift:yes", SERVICE_WORDS).matches(service_facts(drifted, NOW))


@pytest.mark.parametrize(
    ("text", "said", "remedy"),
    [
        ("!", "stands alone", "!worker"),
        ("colour:red", "“colour:” is no field here", "health:"),
        ("cpu:80", "“cpu:” is no field here", "cpu>80"),
        ("health:purple", "“purple” is no health", "unhealthy"),
        ("health:", "nothing stands behind health:", "unhealthy"),
        ("speed>3", "“speed” is no figure here", "restarts"),
        ("cpu>high", "“high” behind cpu> is no number", "cpu>80"),
        ("cpu>nan", "“nan” behind cpu> is no number", "cpu>80"),
        ("uptime<soon", "“soon” behind uptime< is no number", "uptime<10m"),
        ("x" * 201, "longer than 200", "less"),
    ],
)
def test_a_bad_filter_says_what_is_wrong(text: str, said: str, remedy: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_filter(text, SERVICE_WORDS)
    assert said in refused.value.message
    assert remedy in refused.value.remedy
    assert refused.value.unchanged == "the filter is as it was"


@given(st.text(max_size=60))
def test_whatever_is_typed_is_understood_or_declined(text: str) -> None:
    try:
        wanted = parse_filter(text, REPLICA_WORDS)
    except UsageError:
        return
    for found in CRASHING.replicas:
        wanted.matches(replica_facts(found, None, NOW))


def test_replicas_have_words_of_their_own() -> None:
    wanted = parse_filter("health:unh restarts>3", REPLICA_WORDS)
    found = [r.name for r in CRASHING.replicas if wanted.matches(replica_facts(r, 1024**3, NOW))]
    assert found == ["worker-llm-2"]
    with pytest.raises(UsageError):
        parse_filter("role:app", REPLICA_WORDS)


def test_every_order_has_all_and_unknown_last() -> None:
    for by in SORTS:
        assert {s.name for s in sorted_services(STACK, by, NOW)} == {s.name for s in STACK}
    assert sorted_services(STACK, "worst", NOW)[0].name == "worker-llm"
    assert sorted_services(STACK, "name", NOW)[0].name == "app"
    assert sorted_services(STACK, "restarts", NOW)[0].name == "worker-llm"
    assert sorted_services(STACK, "uptime", NOW)[0].name == "worker-llm"
    assert [r.name for r in sorted_replicas(CRASHING.replicas, "cpu", NOW)] == [
        "worker-llm-1",
        "worker-llm-2",
    ]
    assert sorted_replicas(CRASHING.replicas, "worst", NOW)[0].name == "worker-llm-2"


def test_uneven_load_is_told_only_where_there_is_enough_of_it() -> None:
    def sharing(*rates: float | None) -> list[str]:
        replicas = [
            replace(replica(f"app-{n}"), request_rate=rate) for n, rate in enumerate(rates, 1)
        ]
        return [r.name for r in uneven_load(replicas)]

    assert sharing(10, 11, 9) == []
    assert sharing(20, 1, 10) == ["app-1", "app-2"] or sharing(20, 1, 10) == ["app-2", "app-1"]
    assert sharing(0.3, 0.0) == []
    assert sharing(10, None) == []
    assert sharing(10, 0) == ["app-1", "app-2"]


def test_a_start_of_a_moment_ago_is_young() -> None:
    young = replica("app-1", minutes_up=0)
    later = NOW + timedelta(seconds=30)
    assert parse_filter("uptime<1m", REPLICA_WORDS).matches(replica_facts(young, None, later))
