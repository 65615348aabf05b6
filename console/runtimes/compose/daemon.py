"""
The Docker Engine: one lazily made client, and its errors in our words.

The SDK is imported with the first call that needs it; what is read again and again is
read without it, see :mod:`.wire`.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from console.domain.text import plain_text
from console.errors import ConsoleError
from console.runtimes.compose.wire import (
    DEFAULT_HOST,
    READ_SECONDS,
    Declined,
    connect,
    get_json,
    is_plain,
    read_lines,
    unreachable,
)

if TYPE_CHECKING:
    from docker import APIClient

#: An engine that listened so long ago is taken to listen still.
KNOCK_SECONDS = 0.2
#: Of a call that changes something.
CHANGE_SECONDS = 30.0
PROJECT_LABEL = "com.docker.compose.project"

HTTP_NOT_FOUND = 404

T = TypeVar("T")


class Gone(ConsoleError):
    """The container that was asked for is not there any more."""


class Taken(ConsoleError):
    """Something of that name is there already."""


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
            Taken: If the name of a new container is another's.
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
            if error.response is not None and error.response.status_code == HTTP_NOT_FOUND:
                raise Gone(words) from error
            if "is already in use by container" in words:
                raise Taken(words) from error
            raise ConsoleError(
                f"the Docker Engine declined: {words}",
                unchanged="what runs goes on running",
                remedy="fragrance status",
            ) from error
        except (DockerException, RequestException, OSError) as error:
            raise unreachable(error) from error

    def containers(self, project: str) -> list[Mapping[str, Any]]:
        """Return all containers of a project, as the engine lists them."""
        filters = {"label": [f"{PROJECT_LABEL}={project}"]}
        found: list[Mapping[str, Any]] = self._read(
            "/containers/json",
            {"all": "1", "filters": json.dumps(filters)},
            lambda c: list(c.containers(all=True, filters=filters)),
        )
        return found

    def inspect(self, container: str) -> Mapping[str, Any]:
        """Return everything the engine knows of one container; Gone where it is not there."""
        found: Mapping[str, Any] = self._read(
            f"/containers/{container}/json", {}, lambda c: c.inspect_container(container)
        )
        return found

    def inspect_image(self, image: str) -> Mapping[str, Any]:
        """Return everything the engine knows of one image; Gone where it has none."""
        found: Mapping[str, Any] = self._read(
            f"/images/{image}/json", {}, lambda c: c.inspect_image(image)
        )
        return found

    def stats(self, container: str) -> Mapping[str, Any]:
        """Return the engine's figures of one container, taken once."""
        found: Mapping[str, Any] = self._read(
            f"/containers/{container}/stats",
            {"stream": "0", "one-shot": "1"},
            lambda c: c.stats(container, stream=False, one_shot=True),
        )
        return found

    def events(
        self,
        filters: Mapping[str, Sequence[str]],
        since: int | None = None,
        until: int | None = None,
    ) -> Iterator[Mapping[str, Any]]:
        """
        Return events as they come: what is there once this returns is not missed.

        Args:
            filters: As the engine's, each with its values.
            since: Epoch seconds; None for from now on.
            until: Epoch seconds at which it ends; None: when the engine ends.

        Raises:
            Unreachable: If the engine does not answer; while reading, too.
        """
        if not is_plain(self.host):
            timeout = None if until is None else READ_SECONDS
            events: Iterator[Mapping[str, Any]] = self.call(
                lambda c: c.events(since=since, until=until, filters=filters, decode=True), timeout
            )
            return self._in_our_words(events)
        moments = {"since": since, "until": until}
        query = {name: str(value) for name, value in moments.items() if value is not None}
        query["filters"] = json.dumps(filters)
        return read_lines(self.host, "/events", query)

    def _in_our_words(self, events: Iterator[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        try:
            yield from events
        except (OSError, ValueError) as error:
            raise unreachable(error) from error

    def _read(self, path: str, query: Mapping[str, str], ask: Callable[[APIClient], Any]) -> Any:
        """Return an answer, decoded: asked for directly, or *ask* where only the SDK can."""
        if not is_plain(self.host):
            return self.call(ask)
        try:
            return get_json(self.host, path, query, READ_SECONDS)
        except Declined as error:
            if error.status == HTTP_NOT_FOUND:
                raise Gone(error.message) from error
            raise

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
