"""
Single replicas: made as compose itself would make them, restarted, removed.

Compose has no way to add a replica of a chosen name with labels of ours, nor to
remove a chosen one.  So a container that compose made, and that is up to date,
serves as the pattern of the next; where there is none compose is asked for one.
The configuration hash stays, so that a later ``compose up`` recreates nothing.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from console.errors import ConsoleError, Refused, Unreachable
from console.runtimes.compose.containers import NUMBER_LABEL, SERVICE_LABEL, Container
from console.runtimes.compose.daemon import CHANGE_SECONDS, Daemon, Gone, Taken
from console.runtimes.compose.desired import Desired, DesiredFile, leaving_now
from console.runtimes.compose.images import keep_own_image
from console.runtimes.compose.model import Model, ServiceModel
from console.runtimes.compose.project import ComposeProject

HASH_LABEL = "com.docker.compose.config-hash"
REPLACED_LABEL = "com.docker.compose.replace"
OPERATION_LABEL = "console.operation"
RELEASE_LABEL = "console.release"
VERSION_LABEL = "org.opencontainers.image.version"
#: Compose may have to wait for the engine to make networks and volumes first.
PATTERN_SECONDS = 60.0
#: Length of the id that Docker gives as host name where none is set.
SHORT_ID = 12


class Replicas:
    """
    Changes the containers of one project; several threads may, each its own replica.

    Args:
        project: Asked for a pattern where there is none.
        daemon: The engine.
        desired: Where it is written down which replicas should run.
    """

    def __init__(self, project: ComposeProject, daemon: Daemon, desired: DesiredFile) -> None:
        self._project = project
        self._daemon = daemon
        self._desired = desired
        self._working: dict[str, threading.Thread] = {}
        self._borrowing = threading.Lock()
        self._borrowed: dict[tuple[str, str, str | None], Mapping[str, Any]] = {}

    # Adding --------------------------------------------------------------------

    def start(
        self,
        model: Model,
        service: ServiceModel,
        name: str,
        labels: Mapping[str, str],
        containers: Sequence[Container],
    ) -> None:
        """
        Have a container called *name* run; returns once it was started.

        Raises:
            Unreachable: If the engine does not answer, or is still making it for
                somebody who is gone.
            ConsoleError: If it declines, as when a published port is taken.
        """
        mine = [c for c in containers if c.service == service.name]
        present = {c.short_name(model.name): c for c in mine}
        self._desired.change(
            lambda d: d.with_replica(service.name, name, _staying(d, present.keys()))
        )
        container = present.get(name)
        if container is not None and not container.alive:
            # One that has ended or was never started may be out of date: made anew.
            self._remove_container(container.id)
            container = None
        if container is None:
            identity = self._create(model, service, name, labels, [c for c in mine if c.alive])
        elif container.state == "paused":
            return
        else:
            identity = container.id
        self._daemon.call(lambda c: c.start(identity), CHANGE_SECONDS)

    def _create(
        self,
        model: Model,
        service: ServiceModel,
        name: str,
        labels: Mapping[str, str],
        siblings: Sequence[Container],
    ) -> str:
        pattern = self._pattern(model, service, siblings)
        config = container_config(pattern, f"{model.name}-{name}", number_of(name), labels)
        networks = config.pop("Networks")
        first = {k: networks[k] for k in list(networks)[:1]}
        several = self._daemon.call(lambda c: _version(c.api_version)) >= (1, 44)
        config["NetworkingConfig"] = {"EndpointsConfig": networks if several else first}
        try:
            made = self._daemon.call(
                lambda c: c.create_container_from_config(config, f"{model.name}-{name}"),
                CHANGE_SECONDS,
            )
        except Taken as error:
            # It was not there a moment ago: what a runner asked for that was killed meanwhile.
            raise Unreachable(
                f"the Docker Engine is still making {name}: {error.message}",
                unchanged="what runs goes on running",
                remedy="fragrance status",
            ) from error
        identity: str = made["Id"]
        if not several:
            for network in list(networks)[1:]:
                self._connect(identity, network, networks[network])
        return identity

    def _connect(self, container: str, network: str, endpoint: Mapping[str, Any]) -> None:
        self._daemon.call(
            lambda c: c.connect_container_to_network(
                container, network, aliases=endpoint.get("Aliases")
            ),
            CHANGE_SECONDS,
        )

    def _pattern(
        self, model: Model, service: ServiceModel, siblings: Sequence[Container]
    ) -> Mapping[str, Any]:
        """Return what the engine knows of an up-to-date container of *service*."""
        if self._project.ours:
            keep_own_image(self._daemon, self._project.state, service.image)
        image = self._image_id(service.image)
        for sibling in siblings:
            labels = sibling.labels
            if labels.get(HASH_LABEL) != service.config_hash:
                continue
            try:
                found = self._daemon.inspect(sibling.id)
            except Gone:
                continue
            if image is None or found.get("Image") == image:
                return found
        with self._borrowing:
            # The same is made from the same: those that are started together need it once.
            key = (service.name, service.config_hash, image)
            if key not in self._borrowed:
                self._borrowed[key] = self._borrow(model, service)
            return self._borrowed[key]

    def _borrow(self, model: Model, service: ServiceModel) -> Mapping[str, Any]:
        """Let compose make one more container, never started; return it, removed again."""
        before = self._containers(model, service)
        self._project.run(
            *("up", "--no-start", "--no-deps", "--no-recreate", "--quiet-pull"),
            *("--scale", f"{service.name}={len(before) + 1}", service.name),
            timeout_seconds=PATTERN_SECONDS,
        )
        made = self._containers(model, service) - before
        if not made:
            raise ConsoleError(
                f"compose made no container of {service.name}",
                unchanged="nothing was changed",
                remedy="docker compose up --no-start says why",
            )
        borrowed = made.pop()
        try:
            return self._daemon.inspect(borrowed)
        finally:
            self._remove_container(borrowed)

    def _containers(self, model: Model, service: ServiceModel) -> set[str]:
        return {
            item["Id"]
            for item in self._daemon.containers(model.name)
            if item["Labels"].get(SERVICE_LABEL) == service.name
        }

    def _image_id(self, image: str) -> str | None:
        """Return what the image's name means now; None where nothing has it."""
        if not image:
            return None
        try:
            return str(self._daemon.inspect_image(image)["Id"])
        except Gone:
            return None

    def missing_images(self, model: Model, profiles: str) -> dict[str, str]:
        """Return the image of each service that is to run and has none here, by service."""
        return {
            service.name: service.image
            for service in model.services
            if (not service.profiles or service.one_shot or profiles in service.profiles)
            and self._image_id(service.image) is None
        }

    # Restarting ----------------------------------------------------------------

    def restart(self, container: Container, name: str, grace_seconds: float) -> None:
        """Stop and start *container* again, in the background."""
        grace = int(grace_seconds)

        def work() -> None:
            self._daemon.call(
                lambda c: c.restart(container.id, timeout=grace), grace_seconds + CHANGE_SECONDS
            )

        self._in_background(name, work)

    # Removing ------------------------------------------------------------------

    def remove(
        self,
        model: Model,
        name: str,
        grace_seconds: float,
        containers: Sequence[Container],
    ) -> None:
        """
        Have the container called *name* stop for good, in the background.

        It counts as wanted no more from now on.  What is cut short is finished by
        whoever asks again, or by the agent.
        """
        names = {c.short_name(model.name): c for c in containers}
        container = names.get(name)
        if container is None:
            self._desired.change(lambda d: d.forget([name]))
            return
        mine = [n for n, c in names.items() if c.service == container.service]
        note = leaving_now(container.id, grace_seconds)

        def leave(desired: Desired) -> Desired:
            return desired.without_replica(container.service, name, _staying(desired, mine), note)

        self._desired.change(leave)
        self._in_background(name, lambda: self._finish(name, container.id, grace_seconds))

    def finish_removals(self, containers: Sequence[Container]) -> None:
        """Go on with removals that were cut short, and forget those that are done."""
        desired = self._desired.read()
        if not desired.leaving:
            return
        present = {c.id for c in containers}
        gone = [n for n, note in desired.leaving.items() if note.container not in present]
        if gone:
            self._desired.change(lambda d: d.forget(gone))
        for name, note in desired.leaving.items():
            late = time.time() - note.since > note.grace_seconds + CHANGE_SECONDS
            if name not in gone and late:
                self._in_background(
                    name, lambda n=name, v=note: self._finish(n, v.container, v.grace_seconds)
                )

    def _finish(self, name: str, container: str, grace_seconds: float) -> None:
        with contextlib.suppress(Gone):
            self._daemon.call(
                lambda c: c.stop(container, timeout=int(grace_seconds)),
                grace_seconds + CHANGE_SECONDS,
            )
        self._remove_container(container)
        self._desired.change(lambda d: d.forget([name]))

    def _remove_container(self, container: str) -> None:
        try:
            # Its anonymous volumes belong to it alone.
            self._daemon.call(
                lambda c: c.remove_container(container, v=True, force=True), CHANGE_SECONDS
            )
        except Gone:
            return
        except Unreachable:
            raise
        except ConsoleError as error:
            if "already in progress" not in error.message:
                raise

    def _in_background(self, name: str, work: Any) -> None:
        """
        Do it in a thread of its own; one at a time for each replica.

        Should this process end first, the engine finishes what it was told, and the
        rest is done by whoever looks next.
        """
        running = self._working.get(name)
        if running is not None and running.is_alive():
            return

        def quietly() -> None:
            try:
                work()
            except ConsoleError:
                return  # seen by what it was to bring about not coming true

        thread = threading.Thread(target=quietly, name=f"change-{name}", daemon=True)
        self._working[name] = thread
        thread.start()


def container_config(
    pattern: Mapping[str, Any], name: str, number: int, labels: Mapping[str, str]
) -> dict[str, Any]:
    """
    Return what to ask the engine for, to get one more container like *pattern*.

    Args:
        pattern: Answer of ``inspect`` for a container that compose made.
        name: Name of the new container.
        number: Its number within the service.
        labels: Further labels.

    Returns:
        Body of the engine's create call; ``Networks`` is to become its
        ``NetworkingConfig``.

    Raises:
        Refused: If a second one cannot exist beside the pattern.
    """
    config = dict(pattern["Config"])
    old = str(pattern["Name"]).lstrip("/")
    short = str(pattern["Id"])[:SHORT_ID]
    if config.get("Hostname") == short:
        config.pop("Hostname")
    all_labels = dict(config.get("Labels") or {})
    for label in (REPLACED_LABEL, OPERATION_LABEL):
        all_labels.pop(label, None)
    version = all_labels.get(VERSION_LABEL)
    all_labels |= {
        NUMBER_LABEL: str(number),
        **({RELEASE_LABEL: version} if version else {}),
        **labels,
    }
    networks: dict[str, Any] = {}
    for network, endpoint in (pattern["NetworkSettings"].get("Networks") or {}).items():
        if (endpoint.get("IPAMConfig") or {}).get("IPv4Address"):
            raise Refused(
                f"{old} has a fixed address on {network}: there cannot be two of it",
                unchanged="nothing was changed",
            )
        aliases = [
            name if alias == old else alias
            for alias in endpoint.get("Aliases") or ()
            if alias != short
        ]
        networks[network] = {
            "Aliases": aliases,
            "Links": endpoint.get("Links"),
            "DriverOpts": endpoint.get("DriverOpts"),
        }
    for key in ("MacAddress", "NetworkDisabled", "OnBuild"):
        config.pop(key, None)
    return {
        **config,
        "Labels": all_labels,
        "HostConfig": dict(pattern["HostConfig"]),
        "Networks": networks,
    }


def number_of(name: str) -> int:
    """Return the number at the end of a replica's name, 1 where there is none."""
    tail = name.rpartition("-")[2]
    return int(tail) if tail.isdecimal() else 1


def _staying(desired: Desired, names: Any) -> list[str]:
    return [name for name in names if name not in desired.leaving]


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdecimal())
