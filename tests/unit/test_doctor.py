"""doctor: what the compose runtime needs is judged from facts, and decides only for it."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from console.checks import docker_facts
from console.checks.clock import ClockReading, judge_clock
from console.checks.docker_facts import (
    Certificate,
    Disk,
    DockerFacts,
    Holder,
    published_ports,
    read_cgroups,
)
from console.checks.docker_host import judge_docker_host, version_numbers
from console.checks.host import judge_disk_kind, judge_system, rotational
from console.checks.reading import Said, run
from console.cli.doctor import Group, judge
from console.domain.checks import CheckResult, CheckStatus

PASS, WARN = CheckStatus.PASS, CheckStatus.WARN
FAIL, UNKNOWN = CheckStatus.FAIL, CheckStatus.UNKNOWN
GIB = 1024**3
NOW = datetime(2026, 11, 21, tzinfo=UTC)

ABLE = DockerFacts(
    client=True,
    engine_version="26.1.5+dfsg1",
    compose_version="2.40.3-3",
    buildx_version="0.13.1",
    info={"NCPU": 16, "MemTotal": 64 * GIB, "Driver": "overlay2", "Runtimes": {"runc": {}}},
    images=frozenset(
        [f"fragrance-ai-{n}:v1.2.3" for n in ("app", "worker-llm", "worker-rl")]
        + ["fragrance-base-python:local", "fragrance-base-services:local"]
    ),
    version="1.2.3",
    cgroup_version=2,
    controllers=frozenset({"cpu", "cpuset", "memory", "pids", "io"}),
    disk=Disk("/var/lib/docker", 100 * GIB, 60 * GIB),
    ports={"HTTP_PORT": 80, "HTTPS_PORT": 443},
    held={},
)


def checks(facts: DockerFacts) -> dict[str, CheckResult]:
    results = judge_docker_host(facts, NOW)
    assert all(r.remedy for r in results if r.status is not PASS)
    return {r.id: r for r in results}


def test_a_host_that_has_everything_passes_everywhere() -> None:
    assert {r.status for r in checks(ABLE).values()} == {PASS}


@pytest.mark.parametrize(
    ("change", "check", "status", "words"),
    [
        ({"client": False, "engine_version": None}, "docker", FAIL, "not installed"),
        ({"engine_version": "23.0.6"}, "docker", FAIL, "24.0"),
        ({"engine_version": None, "engine_problem": "no answer"}, "docker", FAIL, "no answer"),
        ({"compose_version": None}, "compose", FAIL, "not installed"),
        ({"compose_version": "v2.26.1"}, "compose", FAIL, "2.40"),
        ({"buildx_version": None}, "buildx", FAIL, "not installed"),
        ({"cgroup_version": None}, "cgroups", FAIL, "not mounted"),
        ({"controllers": frozenset({"cpu", "pids"})}, "cgroups", FAIL, "memory"),
        ({"info": {"NCPU": 2, "MemTotal": 64 * GIB}}, "capacity", WARN, "2 cores"),
        ({"info": {"NCPU": 8, "MemTotal": 8 * GIB}}, "capacity", WARN, "8.0 GiB"),
        ({"info": {"NCPU": 8, "MemTotal": 3 * GIB}}, "capacity", FAIL, "3.0 GiB"),
        ({"info": {}}, "capacity", UNKNOWN, "does not say"),
        ({"disk": Disk("/d", 100 * GIB, 2 * GIB)}, "engine_disk", FAIL, "2.0 of 100 GiB"),
        ({"disk": Disk("/d", 100 * GIB, 9 * GIB)}, "engine_disk", WARN, "9.0 of 100 GiB"),
        ({"disk": Disk("/d", 40 * GIB, 30 * GIB)}, "engine_disk", WARN, "of 40 GiB"),
        ({"disk": None}, "engine_disk", UNKNOWN, "cannot be read"),
        ({"held": None}, "port_http", UNKNOWN, "cannot be read"),
        ({"images": None}, "images", UNKNOWN, "does not say"),
        ({"images": frozenset()}, "images", WARN, "fragrance-ai-worker-rl"),
        ({"images": frozenset()}, "base_images", WARN, "none here"),
        ({"gpu": True}, "gpu", WARN, "no container can use"),
    ],
)
def test_what_is_missing_is_named(
    change: dict[str, Any], check: str, status: CheckStatus, words: str
) -> None:
    result = checks(replace(ABLE, **change))[check]

    assert (result.status, words in result.summary) == (status, True)


def test_what_the_setup_can_mend_names_it() -> None:
    bare = checks(DockerFacts(cgroup_version=2, controllers=ABLE.controllers))

    for check in ("docker", "compose", "buildx"):
        assert bare[check].remedy == "compose/engine/setup"


def test_a_daemon_that_is_closed_to_this_user_is_mended_by_its_group() -> None:
    closed = replace(ABLE, engine_version=None, engine_problem="permission denied while trying")

    assert "usermod" in checks(closed)["docker"].remedy


def test_a_port_of_our_own_stack_is_fine_and_of_another_one_is_not() -> None:
    ours = replace(ABLE, held={80: Holder("fragrance-ai-nginx-1", "fragrance-ai")})
    other = replace(ABLE, held={80: Holder("blog-web-1", "blog")})

    assert checks(ours)["port_http"].status is PASS
    assert checks(other)["port_http"].status is WARN  # a first start takes another one
    settled = checks(replace(other, env_file="/state/compose/env"))["port_http"]
    assert settled.status is FAIL
    assert "blog-web-1" in settled.summary
    assert "/state/compose/env" in settled.remedy


def test_an_nvidia_runtime_passes_and_without_a_gpu_nothing_is_said() -> None:
    there = replace(ABLE, gpu=True, info={**ABLE.info, "Runtimes": {"nvidia": {}}})

    assert checks(there)["gpu"].status is PASS
    assert "gpu" not in checks(ABLE)


@pytest.mark.parametrize(
    ("days", "status"), [(-1, FAIL), (3, WARN), (200, PASS), (None, UNKNOWN)]
)  # fmt: skip
def test_a_certificate_is_judged_by_its_end(days: int | None, status: CheckStatus) -> None:
    said = Said(1, "", "unable to load certificate")
    if days is not None:
        end = NOW + timedelta(days=days, hours=1)
        said = Said(0, f"notAfter={end:%b %d %H:%M:%S %Y} GMT\n")

    result = checks(replace(ABLE, certificate=Certificate("/tls/fullchain.pem", said)))

    assert result["certificate"].status is status


def test_a_name_of_the_certificate_that_nobody_knows_is_told() -> None:
    said = Said(0, "notAfter=Jan  1 00:00:00 2099 GMT\n")
    certificate = Certificate("/tls/fullchain.pem", said, True, ("api.shop.example",))
    result = checks(replace(ABLE, certificate=certificate))["certificate"]
    assert (result.status.value, "api.shop.example" in result.summary) == ("warn", True)


def test_names_of_a_certificate_are_asked_for() -> None:
    said = "subjectAltName:\n    DNS:localhost, DNS:nobody.invalid, IP Address:127.0.0.1\n"
    assert docker_facts._unknown_names(said) == ("nobody.invalid",)


def test_a_certificate_that_nginx_has_not_read_yet_is_told() -> None:
    said = Said(0, "notAfter=Jan  1 00:00:00 2099 GMT\n")
    for shown, status in ((True, "pass"), (None, "pass"), (False, "warn")):
        certificate = Certificate("/tls/fullchain.pem", said, shown)
        result = checks(replace(ABLE, certificate=certificate))["certificate"]
        assert result.status.value == status
    assert result.remedy == f"docker kill --signal HUP {ABLE.project}-nginx-1"


def test_another_project_is_not_asked_for_our_ports_and_images() -> None:
    other = checks(replace(ABLE, ports={}, version=None))

    assert not {"images", "base_images", "port_http"} & other.keys()


def test_versions_are_compared_as_numbers() -> None:
    assert version_numbers("v2.40.3-desktop.1") == (2, 40) > version_numbers("2.9.0")
    assert version_numbers("") == (0, 0)


def test_published_ports_are_read_from_what_docker_prints() -> None:
    lines = (
        "web-1\tblog\t0.0.0.0:18080->8080/tcp, [::]:18080->8080/tcp, 9000/tcp\n"
        "db-1\tshop\t127.0.0.1:5432-5433->5432-5433/tcp\n"
        "sh-1\t\t\n"
    )

    assert published_ports(lines) == {
        18080: Holder("web-1", "blog"),
        5432: Holder("db-1", "shop"),
        5433: Holder("db-1", "shop"),
    }


def test_both_versions_of_cgroups_are_told_apart(tmp_path: Path) -> None:
    table = tmp_path / "cgroups"
    table.write_text(
        "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t1\t1\t1\nmemory\t2\t1\t0\npids\t3\t1\t1\n"
    )
    mount = tmp_path / "mount"
    assert read_cgroups(mount, table) == (None, frozenset())

    for name in ("cpu", "memory"):  # one of them off in the kernel, pids not mounted
        (mount / name).mkdir(parents=True)
    assert read_cgroups(mount, table) == (1, frozenset({"cpu"}))

    (mount / "cgroup.controllers").write_text("cpu memory pids\n")
    assert read_cgroups(mount, table) == (2, frozenset({"cpu", "memory", "pids"}))


def test_the_clock_is_right_only_if_something_keeps_it() -> None:
    assert judge_clock(ClockReading(synchronised=True, error_seconds=0.004)).status is PASS
    assert judge_clock(ClockReading(synchronised=True, error_seconds=3.0)).status is WARN
    assert judge_clock(ClockReading(synchronised=False, error_seconds=16.0)).status is WARN
    assert judge_clock(None).status is UNKNOWN


@pytest.mark.parametrize(
    ("place", "written", "answer"),
    [("pci0/nvme", "0", False), ("ata1/sda", "1", True), ("virtio2/vda", "1", None)],
)
def test_the_kind_of_disk_is_what_the_kernel_can_know(
    tmp_path: Path, place: str, written: str, answer: bool | None
) -> None:
    queue = tmp_path / place / "queue"
    queue.mkdir(parents=True)
    (queue / "rotational").write_text(f"{written}\n")
    partition = tmp_path / place / "part1"
    partition.mkdir()
    device = tmp_path.stat().st_dev
    (tmp_path / f"{os.major(device)}:{os.minor(device)}").symlink_to(partition)

    assert rotational(tmp_path, devices=tmp_path) is answer


def test_a_rotating_disk_warns_and_an_untold_one_is_unknown() -> None:
    statuses = [judge_disk_kind(kind).status for kind in (False, True, None)]

    assert statuses == [PASS, WARN, UNKNOWN]


def test_an_old_kernel_warns_and_another_system_fails() -> None:
    assert judge_system("linux", "x86_64", "Debian 12", "6.1.0-37-amd64").status is PASS
    assert judge_system("linux", "x86_64", "", "4.19.0-27-amd64").status is WARN
    assert judge_system("darwin", "arm64", "", "24.0").status is FAIL


def test_a_program_that_hangs_or_is_missing_is_an_answer_too() -> None:
    assert run(["sleep", "30"], timeout_seconds=0.1).problem == "no answer within 0.1 s"
    missing = run(["no-such-program-here"])
    assert (missing.found, missing.code) == (False, None)
    failing = run(["sh", "-c", "printf 'first\\n\\033[31mlast' >&2; exit 3"])
    assert (failing.ok, failing.code, failing.problem) == (False, 3, "[31mlast")


def group(name: str, *statuses: CheckStatus) -> Group:
    return Group(name, [CheckResult(f"{name}-{s}", s, "said") for s in statuses])


@pytest.mark.parametrize(
    ("runtime", "host", "compose", "code"),
    [
        ("embedded", PASS, FAIL, 0),
        ("compose", PASS, FAIL, 1),
        ("swarm", PASS, FAIL, 1),
        ("embedded", FAIL, PASS, 1),
        ("compose", WARN, WARN, 0),
        ("compose", UNKNOWN, UNKNOWN, 5),
        ("compose", UNKNOWN, PASS, 0),
    ],
)
def test_only_what_the_runtime_in_use_needs_decides(
    runtime: str, host: CheckStatus, compose: CheckStatus, code: int
) -> None:
    groups = [group("host", host), group("embedded", host), group("compose", compose)]

    assert judge(groups, runtime) == code
