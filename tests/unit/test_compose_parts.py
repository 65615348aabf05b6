"""Parts of the compose runtime that need no engine: what is read, joined and copied."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.domain.services import Health, Limits, ReplicaState, Role, Route, RuntimeHealth
from console.errors import Refused, Unreachable
from console.runtimes.compose.containers import Container, exit_words, parse_container
from console.runtimes.compose.desired import Desired, DesiredFile, leaving_now
from console.runtimes.compose.model import Model, ServiceModel, parse_model
from console.runtimes.compose.observe import compose_topology
from console.runtimes.compose.replicas import container_config
from console.runtimes.compose.statistics import Usage, parse_answer
from console.runtimes.compose.wire import LONGEST_LINE_BYTES, LineSplitter

STARTED = "2026-01-01T12:00:00.123456789Z"


def inspected(**state: Any) -> dict[str, Any]:
    return {
        "Id": "a" * 64,
        "Name": "/shop-web-2",
        "RestartCount": state.pop("restarts", 0),
        "State": {"Status": "running", "Pid": 77, "StartedAt": STARTED, **state},
        "Config": {
            "Hostname": "a" * 12,
            "Tty": False,
            "Env": ["PATH=/bin", *state.pop("env", [])],
            "Labels": {
                "com.docker.compose.service": "web",
                "com.docker.compose.container-number": "2",
                "com.docker.compose.config-hash": "h",
            },
        },
        "HostConfig": {"Memory": 1},
        "NetworkSettings": {
            "Networks": {
                "shop_b": {"IPAddress": "172.20.0.3", "Aliases": ["shop-web-2", "web"]},
                "shop_a": {"IPAddress": "", "Aliases": ["shop-web-2", "web", "a" * 12]},
            }
        },
    }


def container(number: int = 1, state: str = "running", **more: Any) -> Container:
    fields: dict[str, Any] = {
        "id": f"id-{number}",
        "name": f"shop-web-{number}",
        "service": "web",
        "number": number,
        "state": state,
        "labels": {},
        "pid": 1 if state == "running" else None,
        "addresses": {"shop_a": f"172.20.0.{number}"},
    }
    return Container(**{**fields, **more})


def model(**more: Any) -> Model:
    web = ServiceModel(name="web", config_hash="h", replicas=2, **more)
    return Model(name="shop", services=(web,))


def test_what_is_made_for_the_state_is_for_its_owner_only(tmp_path: Path) -> None:
    DesiredFile(tmp_path / "state" / "compose").want(up=True)

    for made in (tmp_path / "state", tmp_path / "state" / "compose"):
        assert made.stat().st_mode & 0o777 == 0o700


class TestContainers:
    def test_a_running_one_is_read_with_its_process_and_address(self) -> None:
        found = parse_container(inspected())

        assert found.short_name("shop") == "web-2"
        assert (found.pid, found.restarts, found.exit_words) == (77, 0, "")
        assert found.started_at == datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
        assert found.addresses == {"shop_b": "172.20.0.3"}
        assert found.known_as == "a" * 12

    def test_a_container_may_name_itself_after_its_host(self) -> None:
        found = inspected()
        found["Config"]["Env"].append("REPLICA_NAME=web-%h")

        assert parse_container(found).known_as == f"web-{'a' * 12}"

    def test_of_one_that_has_ended_the_reason_is_told(self) -> None:
        found = parse_container(inspected(Status="exited", ExitCode=137, OOMKilled=True, Pid=0))

        assert (found.pid, found.started_at) == (None, None)
        assert found.exit_words == "out of memory, killed by SIGKILL"

    @pytest.mark.parametrize(
        ("code", "words"),
        [
            (0, "exited with 0"),
            (3, "exited with 3"),
            (143, "killed by SIGTERM"),
            (255, "exited with 255"),
        ],
    )
    def test_exit_codes_are_words(self, code: int, words: str) -> None:
        assert exit_words(code, out_of_memory=False) == words

    def test_the_last_output_of_the_health_check_is_kept(self) -> None:
        health = {"Status": "unhealthy", "Log": [{"Output": "old"}, {"Output": "no route\n"}]}

        assert parse_container(inspected(Health=health)).checked == RuntimeHealth(
            Health.UNHEALTHY, "no route"
        )


class TestTopology:
    def test_addresses_stand_in_the_urls_of_each_replica(self) -> None:
        labels = {"console.health.url": "http://{address}:8000/ready"}

        found = compose_topology(
            model(labels=labels), Desired(), [container(1), container(2)], {}, wanted=True
        )

        urls = [r.health_url for s in found.services for r in s.replicas]
        assert urls == ["http://172.20.0.1:8000/ready", "http://172.20.0.2:8000/ready"]

    def test_a_replica_without_an_address_has_no_url(self) -> None:
        labels = {"console.health.url": "http://{address}:8000/ready"}
        without = container(1, addresses={})

        found = compose_topology(model(labels=labels), Desired(), [without], {}, wanted=True)

        assert found.services[0].replicas[0].health_url is None

    def test_what_is_written_down_decides_how_many_should_run(self) -> None:
        desired = Desired(replicas={"web": ("web-1",)})

        found = compose_topology(model(), desired, [container(1), container(2)], {}, wanted=True)

        assert (found.services[0].desired, len(found.services[0].replicas)) == (1, 2)

    def test_one_that_leaves_is_stopping_and_its_successor_of_the_same_name_is_not(self) -> None:
        desired = Desired(replicas={"web": ("web-1",)}, leaving={"web-2": leaving_now("id-2", 5)})

        old, new = (
            compose_topology(model(), desired, [container(2, id=i)], {}, wanted=True)
            for i in ("id-2", "id-9")
        )

        assert old.services[0].replicas[0].state is ReplicaState.STOPPING
        assert new.services[0].replicas[0].state is ReplicaState.RUNNING

    def test_a_one_shot_is_shown_only_while_it_runs_or_when_it_failed(self) -> None:
        once = model(one_shot=True)
        shown = [
            bool(compose_topology(once, Desired(), [c], {}, wanted=True).services)
            for c in (
                container(1),
                container(1, state="exited", exit_code=0),
                container(1, state="exited", exit_code=1),
            )
        ]

        assert shown == [True, False, True]

    def test_a_profile_that_nobody_started_is_left_out_and_is_never_core(self) -> None:
        monitoring = model(profiles=("monitoring",))

        assert compose_topology(monitoring, Desired(), [], {}, wanted=True).services == ()
        (found,) = compose_topology(monitoring, Desired(), [container()], {}, wanted=True).services
        assert not found.core

    def test_what_the_file_no_longer_has_is_still_seen(self) -> None:
        stray = container(1, service="old", name="shop-old-1")

        found = compose_topology(model(), Desired(), [stray], {}, wanted=True)

        assert [s.name for s in found.services] == ["web", "old"]
        assert found.services[1].desired == 1

    def test_nothing_alive_is_not_running_whatever_was_wanted(self) -> None:
        dead = container(1, state="exited", exit_code=137)

        assert not compose_topology(model(), Desired(), [dead], {}, wanted=True).running

    def test_where_the_proxy_sends_is_part_of_it(self) -> None:
        found = compose_topology(model(), Desired(), [container()], {"id-1": Route.IN}, wanted=True)

        assert found.services[0].replicas[0].route is Route.IN


class TestModel:
    def test_a_plain_file_is_understood_without_labels(self) -> None:
        config = {
            "name": "shop",
            "services": {
                "db": {"image": "docker.io/library/postgres:18"},
                "postgres-exporter": {"image": "x/postgres-exporter"},
                "setup": {"image": "a"},
                "web": {
                    "image": "a",
                    "deploy": {
                        "replicas": 3,
                        "resources": {"limits": {"cpus": 0.5, "memory": "67108864"}},
                    },
                    "depends_on": {"setup": {"condition": "service_completed_successfully"}},
                    "stop_grace_period": "1m30s",
                    "ports": [{"published": "8443", "target": 443}],
                    "secrets": [{"source": "token"}],
                },
            },
            "secrets": {"token": {"file": "/x/token"}},
        }

        found = parse_model(config, {"web": "h"})

        assert [(s.name, s.role) for s in found.services] == [
            ("db", Role.DATABASE),
            ("postgres-exporter", Role.OTHER),
            ("setup", Role.OTHER),
            ("web", Role.OTHER),
        ]
        web = found.require("web")
        assert (web.replicas, web.limits) == (3, Limits(0.5, 2**26))
        assert (web.grace_seconds, web.published) == (90.0, {8443: 443})
        assert web.secrets == {"token": "/x/token"}
        assert found.require("setup").one_shot

    @pytest.mark.parametrize(
        ("service", "why"),
        [
            ({"ports": [{"published": "8080", "target": 80}]}, "it publishes port 8080"),
            ({"container_name": "shop"}, "the container name shop"),
            ({"ports": [{"target": 80}]}, ""),
            ({"ports": [{"published": "0", "target": 80}]}, ""),
            ({"ports": [{"published": "8080-8089", "target": 80}]}, ""),
            ({}, ""),
        ],
    )
    def test_what_leaves_no_room_for_a_second_replica(
        self, service: dict[str, Any], why: str
    ) -> None:
        config = {"name": "shop", "services": {"web": {"image": "a", **service}}}

        single = parse_model(config, {"web": "h"}).require("web").single

        assert why in single
        assert bool(single) == bool(why)

    @pytest.mark.parametrize(
        ("name", "service", "role"),
        [
            ("db", {"image": "registry.example/ours:1"}, Role.DATABASE),
            ("data", {"image": "bitnami/mariadb@sha256:0"}, Role.DATABASE),
            ("cache", {"entrypoint": ["/usr/bin/redis-server", "--save", ""]}, Role.BROKER),
            ("orders", {"command": ["mongod"]}, Role.DATABASE),
            ("web", {"image": "ours", "command": ["npm", "start"]}, Role.OTHER),
            ("db", {"image": "ours", "labels": {"console.role": "app"}}, Role.APP),
        ],
    )
    def test_a_role_without_label_is_given_away_by_image_name_or_program(
        self, name: str, service: dict[str, Any], role: Role
    ) -> None:
        found = parse_model({"name": "s", "services": {name: service}}, {})

        assert found.services[0].role is role

    def test_a_role_that_nobody_knows_is_other(self) -> None:
        config = {"name": "s", "services": {"a": {"labels": {"console.role": "king"}}}}

        assert parse_model(config, {}).services[0].role is Role.OTHER


class TestCopy:
    def test_a_copy_differs_in_name_number_and_our_labels_only(self) -> None:
        pattern = inspected()

        made = container_config(pattern, "shop-web-5", 5, {"console.operation": "op-1"})

        assert made["Labels"] == pattern["Config"]["Labels"] | {
            "com.docker.compose.container-number": "5",
            "console.operation": "op-1",
        }
        assert made["Env"] == pattern["Config"]["Env"]
        assert "Hostname" not in made
        assert {n: e["Aliases"] for n, e in made["Networks"].items()} == {
            "shop_b": ["shop-web-5", "web"],
            "shop_a": ["shop-web-5", "web"],
        }
        assert made["HostConfig"] == pattern["HostConfig"]

    def test_a_fixed_address_cannot_be_had_twice(self) -> None:
        pattern = inspected()
        pattern["NetworkSettings"]["Networks"]["shop_b"]["IPAMConfig"] = {"IPv4Address": "1.2.3.4"}

        with pytest.raises(Refused, match="fixed address"):
            container_config(pattern, "shop-web-5", 5, {})


class TestDesired:
    def test_asking_twice_is_asking_once(self, tmp_path: Path) -> None:
        file = DesiredFile(tmp_path / "compose")
        for _ in range(2):
            file.change(lambda d: d.with_replica("web", "web-3", ["web-1", "web-2"]))
        assert file.read().replicas == {"web": ("web-1", "web-2", "web-3")}

        for _ in range(2):
            file.change(lambda d: d.without_replica("web", "web-2", [], leaving_now("id-2", 5)))
        assert DesiredFile(tmp_path / "compose").read().replicas == {"web": ("web-1", "web-3")}
        assert list(file.read().leaving) == ["web-2"]
        assert (tmp_path / "compose").stat().st_mode & 0o777 == 0o700

    def test_a_damaged_file_is_said_to_be(self, tmp_path: Path) -> None:
        (tmp_path / "desired.json").write_text("{ no")

        with pytest.raises(Unreachable, match=r"desired\.json"):
            DesiredFile(tmp_path).read()


def frames(*pieces: tuple[int, bytes]) -> bytes:
    return b"".join(bytes([n, 0, 0, 0]) + len(p).to_bytes(4, "big") + p for n, p in pieces)


class TestLogStream:
    @given(
        st.lists(
            st.tuples(
                st.sampled_from([1, 2]),
                st.binary(max_size=40).map(lambda b: b.replace(b"\n", b"?")),
            ),
            max_size=12,
        ),
        st.integers(1, 30),
    )
    def test_lines_come_out_whole_however_the_bytes_arrive(
        self, lines: list[tuple[int, bytes]], step: int
    ) -> None:
        raw = frames(*((n, b"T " + words + b"\n") for n, words in lines))
        splitter = LineSplitter(framed=True)

        found = [x for i in range(0, len(raw), step) for x in splitter.feed(raw[i : i + step])]

        assert [*found, *splitter.rest()] == [b"T " + words for _, words in lines]

    def test_a_line_that_the_engine_cut_is_put_together(self) -> None:
        splitter = LineSplitter(framed=True)

        found = list(
            splitter.feed(frames((1, b"T1 begin"), (2, b"T2 other\n"), (1, b"T3 and end\n")))
        )

        assert found == [b"T2 other", b"T1 beginand end"]

    def test_a_terminals_output_is_not_framed(self) -> None:
        splitter = LineSplitter(framed=False)

        assert list(splitter.feed(b"T one\r\nT tw")) == [b"T one"]
        assert list(splitter.feed(b"o\r\n\xff\xfe")) == [b"T two"]
        assert list(splitter.rest()) == [b"\xff\xfe"]

    def test_a_line_without_end_does_not_fill_the_memory(self) -> None:
        for framed in (True, False):
            splitter = LineSplitter(framed=framed)
            piece = b"T " + b"x" * 16_000
            block = frames((1, piece)) if framed else piece
            for _ in range(1000):
                list(splitter.feed(block))
            assert sum(len(rest) for rest in splitter.rest()) <= 2 * LONGEST_LINE_BYTES


def test_the_engines_own_figures_are_those_of_docker_stats() -> None:
    answer = {
        "cpu_stats": {"cpu_usage": {"total_usage": 2_500_000_000}},
        "memory_stats": {"usage": 100, "stats": {"inactive_file": 30}},
    }

    assert parse_answer(answer) == Usage(2.5, 70)
    assert parse_answer({}) is None
