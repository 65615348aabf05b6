"""A small compose project behind a real nginx, with an application that can be drained."""

from __future__ import annotations

import http.client
import os
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.contract.runtimes import docker
from tests.servers import free_port
from tests.stack import Stack

SERVER = """
import http.server, os, signal, threading, time

under_way = set()

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 80
    def answer(self):
        if self.path != "/metrics":
            under_way.add(self)
        try:
            self.serve()
        finally:
            under_way.discard(self)
    def serve(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if self.path == "/metrics":
            body = b"# TYPE http_requests_total counter\\nhttp_requests_in_flight %d\\n" % (
                len(under_way))
        if self.path == "/slow":
            time.sleep(2)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Replica", os.uname().nodename)
        if stopping.is_set():
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
    do_GET = do_POST = answer
    def log_message(self, *_):
        pass

class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

stopping = threading.Event()
server = Server(("", 8000), Handler)
signal.signal(signal.SIGTERM, lambda *_: (stopping.set(),
    threading.Thread(target=server.shutdown).start()))
print("serving", flush=True)
server.serve_forever(0.05)
"""

NGINX = """
worker_processes 2;
pid /tmp/nginx.pid;
error_log stderr warn;
events { worker_connections 1024; }
http {
    access_log off;
    client_body_temp_path /tmp/a; proxy_temp_path /tmp/b; fastcgi_temp_path /tmp/c;
    uwsgi_temp_path /tmp/d; scgi_temp_path /tmp/e;
    keepalive_timeout 75s;
    keepalive_min_timeout 10s;
    resolver 127.0.0.11 valid=5s ipv6=off;
    upstream app {
        zone app 256k;
        include /etc/fragrance/upstreams/app.conf;
        keepalive 16;
    }
    server {
        listen 8080;
        location / {
            if (-f /etc/fragrance/maintenance/on) { return 503; }
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }
    }
    server {
        listen 8081;
        keepalive_timeout 0;
        location = /generation { include /etc/fragrance/upstreams/generation.conf; }
        location = /maintenance {
            if (-f /etc/fragrance/maintenance/on) { return 503; }
            return 204;
        }
    }
}
"""

COMPOSE = """
services:
  nginx:
    image: fragrance-base-services:local
    entrypoint: [nginx, -e, stderr, -g, "daemon off;"]
    stop_signal: SIGQUIT
    restart: unless-stopped
    ports: ["127.0.0.1:{port}:8080"]
    volumes:
      - ./nginx.conf:/etc/nginx/nginx.conf:ro
      - ${{FRAGRANCE_COMPOSE_STATE}}/nginx:/etc/fragrance:ro
    labels: {{console.role: proxy, console.health.url: "http://{{address}}:8081/generation"}}
  app:
    image: fragrance-base-python:local
    command: [python3, /project/server.py]
    restart: unless-stopped
    stop_grace_period: 10s
    volumes: ["./:/project:ro"]
    secrets: [token]
    environment: {{GREETING: "${{GREETING:-hello}}"}}
    networks: {{default: {{aliases: [product]}}, other: {{}}}}
    deploy:
      replicas: 2
      resources:
        limits: {{cpus: "${{APP_CPU_LIMIT:-0.5}}", memory: "${{APP_MEMORY_LIMIT:-96M}}"}}
    healthcheck: {{test: [CMD, python3, -c, "1"], interval: 1s, start_period: 1s}}
    labels:
      console.role: app
      console.drain: http
      console.health.url: "http://{{address}}:8000/"
  store:
    image: fragrance-base-python:local
    command: [sleep, infinity]
    init: true
    environment: {{MARK: "${{MARK:-}}"}}
    labels:
      console.role: other
      console.url: "redis://:{{secret:token}}@{{address}}:6379/0"
    secrets: [token]
secrets: {{token: {{file: ./token}}}}
networks: {{other: {{}}}}
"""


@dataclass
class ToyProject:
    """
    The project in a directory of its own.

    Args:
        directory: Where it lies; its state is below.
    """

    directory: Path
    name: str = field(
        default_factory=lambda: f"fragrance-test-{os.getpid()}-{secrets.token_hex(3)}"
    )
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "server.py").write_text(SERVER)
        (self.directory / "nginx.conf").write_text(NGINX)
        (self.directory / "token").write_text("p@ss/word\n")
        (self.directory / "token").chmod(0o444)
        self.write(COMPOSE.format(port=self.port))
        upstreams = self.state / "compose" / "nginx" / "upstreams"
        upstreams.mkdir(parents=True)
        (upstreams.parent / "maintenance").mkdir()
        members = [f"server {self.name}-app-{n}:8000 resolve;\n" for n in (1, 2)]
        (upstreams / "app.conf").write_text("".join(members))
        (upstreams / "generation.conf").write_text('return 200 "1";\n')
        self.stack = FileStack(self.state, file=self.file)

    @property
    def file(self) -> Path:
        """The compose file."""
        return self.directory / "compose.yaml"

    @property
    def state(self) -> Path:
        """The state directory."""
        return self.directory / ".fragrance"

    def write(self, text: str) -> None:
        """Write the compose file."""
        self.file.write_text(f"name: {self.name}\n{text}")

    def containers(self, service: str) -> dict[str, str]:
        """Return the ids of a service's containers by name."""
        lines = docker(
            *("ps", "--all", "--no-trunc", "--format", "{{.Names}} {{.ID}}"),
            *("--filter", f"label=com.docker.compose.project={self.name}"),
            *("--filter", f"label=com.docker.compose.service={service}"),
        ).split("\n")
        return dict(line.split() for line in lines if line)

    def members(self) -> list[str]:
        """Return the names in nginx's upstream."""
        text = (self.state / "compose" / "nginx" / "upstreams" / "app.conf").read_text()
        return [line.split()[1].partition(":")[0] for line in text.splitlines()]

    def remove(self) -> None:
        """Take everything away."""
        self.stack.fragrance("stop", "--yes", timeout=120)
        docker("compose", "--project-name", self.name, "down", "--volumes", "--timeout", "1")


@dataclass
class FileStack(Stack):
    """A stack of another project's compose file."""

    runtime: str = "compose"
    file: Path = Path()

    def command(self, *arguments: str) -> list[str]:
        """Return the command line, with the file."""
        return super().command(*arguments, "--file", str(self.file))


@dataclass
class Load:
    """Requests on kept connections, half of them POST; counts what fails."""

    port: int
    done: int = 0
    failures: list[str] = field(default_factory=list)
    replicas: set[str] = field(default_factory=set)

    @contextmanager
    def running(self, connections: int = 8) -> Iterator[None]:
        """Send until the block ends."""
        ending = threading.Event()
        threads = [
            threading.Thread(target=self._send, args=(ending, n)) for n in range(connections)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            ending.set()
            for thread in threads:
                thread.join(30)

    def _send(self, ending: threading.Event, number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        count = 0
        while not ending.is_set():
            count += 1
            method = "POST" if count % 2 else "GET"
            path = "/slow" if number == 0 and count % 5 == 0 else "/"
            try:
                connection.request(method, path, body=b"x" * 64 if method == "POST" else None)
                answer = connection.getresponse()
                answer.read()
                self.replicas.add(answer.headers.get("X-Replica", ""))
                if answer.status != 200:
                    self.failures.append(f"{method} {path}: {answer.status}")
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(f"{method} {path}: {type(error).__name__}: {error}")
                connection.close()
            self.done += 1
            time.sleep(0.01)
        connection.close()
