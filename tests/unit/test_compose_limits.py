"""Limits that fit the host, and the files nginx reads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.errors import Refused
from console.runtimes.compose.edge import (
    edge_configuration,
    limits_configuration,
    upstream_members,
)
from console.runtimes.compose.limits import (
    MEMORY_SHARE,
    NEEDS,
    fitted_limits,
    replica_count,
)


def fitted(cores: int, memory_mib: int, **given_: str) -> tuple[dict[str, str], list[str]]:
    said: list[str] = []
    return fitted_limits(cores, memory_mib, given_, said.append), said


def memory(variables: dict[str, str], name: str) -> int:
    return int(variables[f"{name}_MEMORY_LIMIT"].removesuffix("M"))


def test_a_large_host_gets_the_limits_of_the_specification() -> None:
    variables, said = fitted(16, 65536)
    assert said == ["CPU limits of 22 cores in all on 16: busy replicas share them"]
    assert variables["APP_CPU_LIMIT"] == "2"
    assert variables["APP_CPU_RESERVATION"] == "0.5"
    assert memory(variables, "LLM_WORKER") == 8192
    assert variables["REDIS_MAXMEMORY"] == "640mb"
    assert variables["POSTGRES_SHARED_BUFFERS"] == "256MB"


def test_a_small_host_gets_less_and_is_told_what() -> None:
    variables, said = fitted(2, 16384)
    assert {variables[f"{name}_CPU_LIMIT"] for name in NEEDS} == {"1", "2"}
    assert memory(variables, "LLM_WORKER") < 8192
    assert any("do not fit a host of 16.0 GiB" in line for line in said)
    assert any("2 cores" in line for line in said)


def test_a_host_that_is_too_small_is_refused_and_fewer_replicas_are_not() -> None:
    with pytest.raises(Refused, match=r"do not fit a host of 4\.5 GiB") as refused:
        fitted(1, 4608)
    assert "LLM_WORKER_REPLICAS=1" in refused.value.remedy
    variables, _ = fitted(1, 4608, LLM_WORKER_REPLICAS="1", RL_WORKER_REPLICAS="0", API_WORKERS="1")
    for name, need in NEEDS.items():
        assert memory(variables, name) >= need.least_mib


def test_more_memory_than_the_host_has_is_refused_also_to_the_operator() -> None:
    with pytest.raises(Refused, match="do not fit"):
        fitted(8, 32768, LLM_WORKER_MEMORY_LIMIT="20G")
    fitted(8, 65536, LLM_WORKER_MEMORY_LIMIT="20G")


def test_more_cores_in_all_than_the_host_has_is_told_and_not_refused() -> None:
    _, said = fitted(4, 65536)
    assert "CPU limits of 22 cores in all on 4: busy replicas share them" in said


def test_processes_of_the_application_count_as_its_replicas() -> None:
    assert replica_count("APP", {"API_WORKERS": "8"}) == 8
    assert replica_count("APP", {"API_WORKERS": "8", "APP_REPLICAS": "3"}) == 3
    assert replica_count("APP", {}) == 2


def test_more_replicas_share_the_same_memory() -> None:
    few, _ = fitted(8, 24576)
    many, _ = fitted(8, 24576, LLM_WORKER_REPLICAS="4")
    assert memory(many, "LLM_WORKER") < memory(few, "LLM_WORKER")


def test_what_the_operator_has_set_is_not_set_again() -> None:
    variables, _ = fitted(4, 16384, APP_MEMORY_LIMIT="3G")
    assert "APP_MEMORY_LIMIT" not in variables


@given(st.integers(1, 256), st.integers(8192, 1024 * 1024), st.integers(0, 6))
def test_limits_never_exceed_the_host(cores: int, memory_mib: int, workers: int) -> None:
    try:
        variables, _ = fitted(cores, memory_mib, RL_WORKER_REPLICAS=str(workers))
    except Refused:
        counts = {name: need.replicas for name, need in NEEDS.items()} | {"RL_WORKER": workers}
        least = sum(need.least_mib * counts[name] for name, need in NEEDS.items())
        assert least > memory_mib * MEMORY_SHARE
        return
    assert all(float(variables[f"{name}_CPU_LIMIT"]) <= cores for name in NEEDS)
    counts = {name: need.replicas for name, need in NEEDS.items()} | {"RL_WORKER": workers}
    total = sum(memory(variables, name) * counts[name] for name in NEEDS)
    assert total <= memory_mib * MEMORY_SHARE
    for name, need in NEEDS.items():
        assert need.least_mib <= memory(variables, name) <= need.memory_mib
        reservation = variables.get(f"{name}_MEMORY_RESERVATION", "0M")
        assert int(reservation.removesuffix("M")) <= memory(variables, name)


def test_upstream_members_are_named_one_by_one() -> None:
    assert (
        upstream_members(["a-1", "a-2"]) == "server a-1:8000 resolve;\nserver a-2:8000 resolve;\n"
    )
    assert upstream_members([]) == "server 127.0.0.1:9 down;\n"


@pytest.mark.parametrize(("port", "suffix"), [("", '""'), ("443", '""'), ("8443", '":8443"')])
def test_the_redirect_knows_where_tls_is_published(port: str, suffix: str) -> None:
    assert f"default {suffix};" in edge_configuration({"HTTPS_PORT": port})


def test_rate_limits_can_be_set_and_switched_off() -> None:
    assert "rate=7r/s" in edge_configuration({"EDGE_RATE_PER_KEY": "7"})
    assert "limit_req zone=per_key" in limits_configuration({})
    assert "limit_req zone=per_key" in limits_configuration({"RATE_LIMIT_ENABLED": "true"})
    off = limits_configuration({"RATE_LIMIT_ENABLED": "false", "MAX_BODY_BYTES": "1024"})
    assert off == "client_max_body_size 1024;\n"
