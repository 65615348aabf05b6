"""
The Docker Engine: one lazily made client, and its errors in our words.

The SDK is imported with the first call only; it costs a tenth of a second.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from console.domain.text import plain_text
from console.errors import ConsoleError, Unreachable
from console.runtimes.compose.wire import DEFAULT_HOST, connect

if TYPE_CHECKING:
    from docker import APIClient

#: Of a reading call; a picture must not wait longer for an engine that hangs.
READ_SECONDS = 2.0
#: An engine that listened so long ago is taken to listen still.
KNOCK_SECONDS = 0.2
#: Of a call that changes something.
CHANGE_SECONDS = 30.0
PROJECT_LABEL = "com.docker.compose.project"

T = TypeVar("T")


class Gone(ConsoleError):
    """The container that was asked for is not there any more."""


class Daemon:
    """
    The engine that ``DOCKER_HOST`` names, by default this machine's.

    Args:
        host: Its address; None for the environment's.
    """

    def __init__(self, host: str | None = None) -> None:
        self.host = host or os.environ.get("DOCKER_HOST") or DEFAULT_HOST
        self._guard = threading.Lock()
        self._clients: dict[float | None, APIClient] = {}
        self._heard_at = float("-inf")

    def call(
        self, what: Callable[[APIClient], T], timeout_seconds: float | None = READ_SECONDS
    ) -> T:
        """
        Call the engine.

        Args:
            what: Does the call.
            timeout_seconds: Of each wait on the socket; None for none.

        Raises:
            Gone: If the container is not there.
            Unreachable: If the engine does not answer in time.
            ConsoleError: If it declines; with its words.
        """
        from docker.errors import APIError, DockerException
        from requests.exceptions import RequestException

        try:
            self._knock()
            return what(self._client(timeout_seconds))
        except APIError as error:
            words = plain_text(str(error.explanation or error), 300)
            if error.response is not None and error.response.status_code == 404:
                raise Gone(words) from error
            raise ConsoleError(
                f"the Docker Engine declined: {words}",
                unchanged="what runs goes on running",
                remedy="fragrance status",
            ) from error
        except (DockerException, RequestException, OSError) as error:
            raise self.unreachable(error) from error

    def containers(self, project: str) -> list[Mapping[str, Any]]:
        """Return all containers of a project, as the engine lists them."""
        filters = {"label": [f"{PROJECT_LABEL}={project}"]}
        return self.call(lambda c: list(c.containers(all=True, filters=filters)))

    def inspect(self, container: str) -> Mapping[str, Any]:
        """Return everything the engine knows of one container."""

        def ask(client: APIClient) -> Mapping[str, Any]:
            found: Mapping[str, Any] = client.inspect_container(container)
            return found

        return self.call(ask)

    def inspect_all(self, containers: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """Return what the engine knows of several containers; those gone are left out."""

        def ask(container: str) -> tuple[str, Mapping[str, Any] | None]:
            try:
                return container, self.inspect(container)
            except Gone:
                return container, None

        if len(containers) < 4:
            answers = [ask(container) for container in containers]
        else:
            from concurrent.futures import ThreadPoolExecutor

            with ThreadPoolExecutor(max_workers=6, thread_name_prefix="inspect") as pool:
                answers = list(pool.map(ask, containers))
        return {container: found for container, found in answers if found is not None}

    def unreachable(self, error: Exception) -> Unreachable:
        """Return *error* in the operator's words."""
        text = str(error)
        why = next(
            (
                words
                for part, words in (
                    ("timed out", f"does not answer within {READ_SECONDS:g} s"),
                    ("Timeout", f"does not answer within {READ_SECONDS:g} s"),
                    ("No such file", "is not running"),
                    ("Connection refused", "is not running"),
                    ("Permission denied", "may not be used by this user"),
                    ("aborted", "closed the connection"),
                )
                if part in text
            ),
            plain_text(text, 200),
        )
        return Unreachable(
            f"the Docker Engine {why}",
            unchanged="containers go on running",
            remedy="docker info; systemctl start docker, or compose/engine/setup",
        )

    def _knock(self) -> None:
        """
        Make sure that somebody listens, unless that was so a moment ago.

        The SDK leaves a socket behind whenever it cannot connect, and an engine that
        is gone is asked again and again.
        """
        now = time.monotonic()
        if self.host.startswith("unix:") and now - self._heard_at > KNOCK_SECONDS:
            connect(self.host).close()
            self._heard_at = now

    def _client(self, timeout_seconds: float | None) -> APIClient:
        from docker import APIClient
        from docker.utils import kwargs_from_env

        with self._guard:
            client = self._clients.get(timeout_seconds)
            if client is None:
                chosen = kwargs_from_env(environment={**os.environ, "DOCKER_HOST": self.host})
                # The version is asked with a short timeout: a hung engine hangs here too.
                version = APIClient(**chosen, version="auto", timeout=READ_SECONDS).api_version
                client = APIClient(**chosen, version=version, timeout=timeout_seconds)
                self._clients[timeout_seconds] = client
            return client
