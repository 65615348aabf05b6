"""What is asked of an engine without its SDK, on a socket that answers as engines do."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from console.errors import Unreachable
from console.runtimes.compose import wire
from console.runtimes.compose.daemon import Daemon, Gone
from console.runtimes.compose.wire import Declined, api_version
from tests.stack import PROJECT


class Engine(ThreadingMixIn, UnixStreamServer):
    """
    An engine that speaks one version of its interface and refuses all others.

    Args:
        path: Its socket.
        version: The one it speaks: ``1.52``.
    """

    daemon_threads = True
    # Who hangs on purpose is let go at the end.
    block_on_close = False

    def __init__(self, path: Path, version: str) -> None:
        super().__init__(str(path), _Answers)
        self.version = version
        self.answers: dict[str, Any] = {}
        self.asked: list[str] = []
        self.hung = threading.Event()
        self.hangs = False


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def address_string(self) -> str:
        return "socket"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        engine = self.server
        assert isinstance(engine, Engine)
        engine.asked.append(self.path)
        if engine.hangs:
            engine.hung.wait(30)
            return
        address = urlsplit(self.path)
        if address.path == "/_ping":
            self._answer(200, b"OK", {"Api-Version": engine.version})
            return
        mine = f"/v{engine.version}"
        if not address.path.startswith(f"{mine}/"):
            self._say(400, {"message": f"client version is too old, speak {engine.version}"})
            return
        path = address.path.removeprefix(mine)
        if path not in engine.answers:
            self._say(404, {"message": f"No such thing: {path}"})
            return
        answer = engine.answers[path]
        if isinstance(answer, bytes):
            self._answer(200, answer)
        else:
            self._say(200, answer)

    def _say(self, status: int, value: object) -> None:
        self._answer(status, json.dumps(value).encode())

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True


def serve(engine: Engine) -> None:
    threading.Thread(target=engine.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    api_version.cache_clear()
    made = Engine(tmp_path / "docker.sock", "1.52")
    serve(made)
    yield made
    made.hung.set()
    made.shutdown()
    made.server_close()
    api_version.cache_clear()


@pytest.fixture
def daemon(engine: Engine) -> Daemon:
    return Daemon(f"unix://{engine.server_address!s}")


class TestVersions:
    def test_an_engine_that_refuses_all_versions_but_its_own_is_read(
        self, engine: Engine, daemon: Daemon
    ) -> None:
        engine.answers["/containers/json"] = [{"Id": "a1"}]

        assert daemon.containers("shop") == [{"Id": "a1"}]

        query = parse_qs(urlsplit(engine.asked[-1]).query)
        assert json.loads(query["filters"][0]) == {"label": ["com.docker.compose.project=shop"]}
        assert query["all"] == ["1"]

    def test_it_is_asked_for_its_version_once(self, engine: Engine, daemon: Daemon) -> None:
        engine.answers["/containers/a1/json"] = {"Id": "a1"}

        for _ in range(3):
            daemon.inspect("a1")

        assert engine.asked.count("/_ping") == 1

    def test_an_engine_that_was_replaced_meanwhile_is_understood_again(
        self, engine: Engine, daemon: Daemon
    ) -> None:
        engine.answers["/containers/a1/json"] = {"Id": "a1"}
        daemon.inspect("a1")
        engine.version = "1.60"

        with pytest.raises(Declined, match="too old"):
            daemon.inspect("a1")
        assert daemon.inspect("a1") == {"Id": "a1"}


class TestTrouble:
    def test_what_is_not_there_is_gone(self, daemon: Daemon) -> None:
        with pytest.raises(Gone, match="No such thing"):
            daemon.inspect("a1")
        with pytest.raises(Gone):
            daemon.inspect_image("fragrance-ai-app:v9.9.9")

    def test_an_engine_that_hangs_is_given_up(
        self, engine: Engine, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(wire, "CONNECT_SECONDS", 0.2)
        engine.hangs = True

        with pytest.raises(Unreachable, match="the Docker Engine does not answer within"):
            daemon.containers("shop")

    def test_an_engine_that_is_not_there_is_said_not_to_run(self, tmp_path: Path) -> None:
        with pytest.raises(Unreachable, match="the Docker Engine is not running"):
            Daemon(f"unix://{tmp_path}/nobody.sock").containers("shop")

    @pytest.mark.parametrize("body", [b"", b"[{", b"\xff\xfe", b"<html>"])
    def test_what_is_no_answer_is_no_picture(
        self, engine: Engine, daemon: Daemon, body: bytes
    ) -> None:
        engine.answers["/containers/json"] = body

        with pytest.raises(Unreachable, match="the Docker Engine"):
            daemon.containers("shop")


class TestEvents:
    def test_they_come_one_a_line_until_the_engine_ends(
        self, engine: Engine, daemon: Daemon
    ) -> None:
        engine.answers["/events"] = b'{"Action": "die"}\n\n{"Action": "start"}\n'

        events = daemon.events({"event": ["die", "start"]}, since=1, until=2)

        assert [event["Action"] for event in events] == ["die", "start"]
        query = parse_qs(urlsplit(engine.asked[-1]).query)
        assert (query["since"], query["until"]) == (["1"], ["2"])

    def test_one_that_cannot_be_understood_ends_them_in_our_words(
        self, engine: Engine, daemon: Daemon
    ) -> None:
        engine.answers["/events"] = b'{"Action": "die"}\n{broken\n'

        events = daemon.events({"event": ["die"]}, since=1, until=2)

        assert next(events) == {"Action": "die"}
        with pytest.raises(Unreachable):
            next(events)


def test_reading_needs_no_sdk(engine: Engine) -> None:
    engine.answers["/containers/json"] = [{"Id": "a1"}]
    engine.answers["/containers/a1/json"] = {"Id": "a1"}
    program = (
        "import sys\n"
        "from console.runtimes.compose.daemon import Daemon\n"
        f"daemon = Daemon('unix://{engine.server_address!s}')\n"
        "daemon.containers('shop'), daemon.inspect('a1')\n"
        "print(sorted({'docker', 'requests', 'urllib3'} & sys.modules.keys()))\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True,
        timeout=30, check=False,
    )  # fmt: skip

    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize(
    ("host", "tls", "plain"),
    [
        ("unix:///var/run/docker.sock", "", True),
        ("unix:///var/run/docker.sock", "1", True),
        ("tcp://127.0.0.1:2375", "", True),
        ("tcp://127.0.0.1:2376", "1", False),
        ("ssh://ops@db.example", "", False),
    ],
)
def test_what_only_the_sdk_can_reach_is_left_to_it(
    monkeypatch: pytest.MonkeyPatch, host: str, tls: str, plain: bool
) -> None:
    monkeypatch.setenv("DOCKER_TLS_VERIFY", tls)

    assert wire.is_plain(host) is plain
