"""Bringing a compose project up: from nothing, after a stop, or half done; and down again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from console.domain.services import Role
from console.errors import Busy, ConsoleError
from console.modes import make_directory
from console.runtimes.compose.agent_keeper import keep_agent, let_agent_go
from console.runtimes.compose.containers import Container, ContainerTable
from console.runtimes.compose.daemon import Daemon
from console.runtimes.compose.desired import DesiredFile
from console.runtimes.compose.images import (
    PREFIX,
    is_another_build,
    keep_own_image,
    record_images_of_others,
)
from console.runtimes.compose.keeper import keeper_lock
from console.runtimes.compose.model import Model, ModelFile
from console.runtimes.compose.observe import desired_names
from console.runtimes.compose.outdated import remove_outdated
from console.runtimes.compose.project import NAME_FILE, ComposeProject
from console.runtimes.compose.replicas import Replicas
from console.runtimes.compose.routing import Routing
from console.runtimes.files import write_atomic
from console.runtimes.locks import FileLock, refuse_strangers
from console.settings import PROJECT, Settings, unwritable

Progress = Callable[[str], None]

#: How long to wait for somebody else who brings the stack up or down.
CHANGE_LOCK_SECONDS = 300.0
#: For images to be pulled, dependencies to become healthy, replicas to start.
UP_SECONDS = 900.0
STORES_SECONDS = 180.0
MIGRATE_SECONDS = 300.0
START_AGAIN_SECONDS = 120.0
#: Compose itself needs a moment around what it waits for.
MARGIN_SECONDS = 15.0

#: Of our own project: what the migration needs, the migration, and what is always on.
STORES = ("postgres", "redis")
MIGRATION = "migrate"
PROFILES = "monitoring"


@dataclass(frozen=True, slots=True)
class Stack:
    """
    Everything that bringing up and taking down work with.

    Args:
        agent: Keep the resident agent running beside it.
    """

    settings: Settings
    project: ComposeProject
    daemon: Daemon
    model: ModelFile
    table: ContainerTable
    desired: DesiredFile
    replicas: Replicas
    routing: Routing
    agent: bool

    def look(self, model: Model) -> list[Container]:
        """Return the containers as they are now."""
        self.table.doubt_all()
        return self.table.read(model.name)


def bring_up(stack: Stack, progress: Progress) -> None:
    """
    Make what is missing and start every replica that should run; idempotent.

    What runs is left alone.  What is stopped, or crashes again and again, is made anew
    where its configuration or image has changed since; its data is in volumes.

    Raises:
        Refused: Before anything was started.
        Busy: If somebody else is at it for too long.
        Unreachable: If engine or compose do not answer.
        ConsoleError: If compose fails; what was started runs on.
    """
    with _changing(stack, progress):
        if stack.project.ours:
            from console.runtimes.compose.environment import prepare

            prepare(stack.settings.state, PROJECT, progress)
        model = stack.model.read()
        _record_name(stack, model)
        containers = stack.look(model)
        if stack.desired.wanted_up() and _complete(stack, model, containers):
            progress("already running")
        else:
            _start(stack, model, containers, progress)
        if stack.agent:
            keep_agent(stack.settings, progress)


def take_down(stack: Stack, progress: Progress, timeout_seconds: float) -> None:
    """
    Stop agent and containers; idempotent.

    Containers are stopped and not removed: their logs are evidence, and compose
    starts them again in a moment.

    Args:
        timeout_seconds: For replicas to finish what they have in hand; then they
            are killed.
    """
    if not stack.project.state.is_dir() or not stack.model.prepared:
        progress("nothing was running")
        return
    if stack.agent:
        state = stack.settings.state
        refuse_strangers((keeper_lock(state), state / "agent.lock"), "stop")
    stack.desired.want(up=False)
    with _changing(stack, progress):
        stack.desired.want(up=False)
        if stack.agent:
            let_agent_go(stack.settings, progress)
        model = stack.model.read()
        if not any(c.alive for c in stack.look(model)):
            progress("nothing was running")
            return
        try:
            stack.project.stream(["stop"], progress, timeout_seconds + MARGIN_SECONDS, profiles="*")
        except ConsoleError as error:
            progress(f"{error.message}: killing what has not stopped")
            stack.project.stream(["stop", "--timeout", "1"], progress, STORES_SECONDS, profiles="*")
        if left := [c.name for c in stack.look(model) if c.alive]:
            raise ConsoleError(
                f"still running: {', '.join(left)}",
                unchanged="its data is as it was",
                remedy="fragrance stop again",
            )
        progress("stopped; data stays")


def start_again(stack: Stack) -> bool:
    """
    Start the containers that are there, in the order they need each other.

    Returns:
        False when somebody is starting or stopping the stack just now, who will do it.
    """
    lock = FileLock(stack.project.state / "change.lock")
    if not lock.acquire(0):
        return False
    with lock:
        if not stack.desired.wanted_up():
            return False
        stack.project.run("start", timeout_seconds=START_AGAIN_SECONDS)
        return True


def _start(stack: Stack, model: Model, containers: Sequence[Container], progress: Progress) -> None:
    if stack.project.ours:
        _build_missing(stack, model, progress, first=not containers)
    stack.desired.want(up=True)
    stack.replicas.finish_removals(containers)
    keep = ["--no-recreate"] if any(c.alive for c in containers) else []
    if keep and (outdated := remove_outdated(stack.daemon, model, containers)):
        progress(f"made anew, because they are out of date: {', '.join(outdated)}")
        containers = stack.look(model)
    if stack.project.ours:
        up = ["up", "--detach", "--no-build", *keep]
        if stores := [name for name in STORES if model.service(name) is not None]:
            stack.project.stream([*up, "--wait", *stores], progress, STORES_SECONDS, PROFILES)
        _write_members(stack, model, containers)
        progress("migrating the database")
        stack.project.stream(["run", "--rm", MIGRATION], progress, MIGRATE_SECONDS, "setup")
    else:
        up = ["up", "--detach", *keep]
    present = _names(stack, model, containers)
    profiles = PROFILES if stack.project.ours else None
    scales = _scales(stack, model, present, profiles)
    stack.project.stream([*up, *scales], progress, UP_SECONDS, profiles)
    if stack.project.ours:
        record_images_of_others(stack.daemon, stack.project.state, model)
    _start_missing(stack, model)


def _write_members(stack: Stack, model: Model, containers: Sequence[Container]) -> None:
    """Let the proxy begin with the replicas that there will be."""
    present = _names(stack, model, containers)
    proxies = [s.name for s in model.services if s.role is Role.PROXY]
    if any(c.alive for c in containers if c.service in proxies):
        return  # it runs: who it sends to is its operations' affair
    desired = stack.desired.read()
    for service in model.services:
        if stack.routing.serves(service):
            names = desired_names(service, desired, present.get(service.name, []))
            stack.routing.write_first(service.name, [f"{model.name}-{name}" for name in names])


def _scales(
    stack: Stack, model: Model, present: dict[str, list[str]], profiles: str | None
) -> list[str]:
    """
    Return how many of each service compose is to have running.

    Never less than there are: compose chooses by itself which ones to remove.
    """
    desired = stack.desired.read()
    arguments: list[str] = []
    for service in model.services:
        off = service.profiles and (profiles is None or profiles not in service.profiles)
        names = present.get(service.name, [])
        if off or service.one_shot or (service.name not in desired.replicas and not names):
            continue
        wanted = desired_names(service, desired, names)
        # Those that are missing beside others get their names from us, afterwards.
        count = len(names) or len(wanted)
        arguments += ["--scale", f"{service.name}={count}"]
    return arguments


def _start_missing(stack: Stack, model: Model) -> None:
    """Make the replicas that should be there by name and are not."""
    containers = stack.look(model)
    present = _names(stack, model, containers)
    desired = stack.desired.read()
    for service in model.services:
        names = present.get(service.name, [])
        if service.one_shot or not (names or service.name in desired.replicas):
            continue
        if service.profiles and service.name not in desired.replicas:
            continue
        for name in desired_names(service, desired, names):
            if name not in names:
                stack.replicas.start(model, service, name, {}, containers)


def _names(stack: Stack, model: Model, containers: Sequence[Container]) -> dict[str, list[str]]:
    """Return the names of the replicas that are there to stay, by service."""
    leaving = stack.desired.read().leaving
    found: dict[str, list[str]] = {}
    for container in containers:
        name = container.short_name(model.name)
        if name not in leaving:
            found.setdefault(container.service, []).append(name)
    return found


def _complete(stack: Stack, model: Model, containers: Sequence[Container]) -> bool:
    """Whether everything that should run does."""
    alive = _names(stack, model, [c for c in containers if c.alive])
    desired = stack.desired.read()
    for service in model.services:
        names = alive.get(service.name, [])
        if service.one_shot or (service.profiles and PROFILES not in service.profiles):
            continue
        if service.profiles and not stack.project.ours:
            continue
        if not set(desired_names(service, desired, names)) <= set(names):
            return False
    return True


def _build_missing(stack: Stack, model: Model, progress: Progress, *, first: bool) -> None:
    """
    Build what is not there, or is another checkout's.

    Args:
        first: There is no container yet: images of other sources are none of ours.
    """
    from console.runtimes.compose.build import build_images, built_elsewhere

    version = (PROJECT / "VERSION").read_text(encoding="utf-8").strip()
    directory = stack.project.state
    own = {s.name: s.image for s in model.services if s.image.startswith(PREFIX)}
    for image in sorted(set(own.values())):
        if keep_own_image(stack.daemon, directory, image):
            progress(f"{image}: another build has taken the name; this stack keeps its own")
    missing = stack.replicas.missing_images(model, PROFILES)
    others = built_elsewhere(PROJECT, stack.settings.state, version, [*own]) if first else []
    if others:
        progress(f"images of v{version} were built from other sources than these: built anew")
    ours = [
        name
        for name, image in own.items()
        if name in missing or name in others or is_another_build(stack.daemon, directory, image)
    ]
    if ours:
        build_images(PROJECT, stack.settings.state, version, ours, progress)


def _record_name(stack: Stack, model: Model) -> None:
    """Keep the name it is started under, whatever a later shell says."""
    if stack.project.recorded_name() is None:
        write_atomic(stack.project.state / NAME_FILE, f"{model.name}\n".encode())


def _changing(stack: Stack, progress: Progress) -> FileLock:
    """Return the lock that whoever brings the stack up or down holds."""
    try:
        make_directory(stack.project.state)
        lock = FileLock(stack.project.state / "change.lock")
        held = lock.acquire(0)
        if not held:
            progress("somebody else is starting or stopping this stack: waiting")
            held = lock.acquire(CHANGE_LOCK_SECONDS)
    except OSError as error:
        raise unwritable(stack.settings.state, error) from error
    if not held:
        raise Busy(
            f"somebody else has been starting or stopping this stack for {CHANGE_LOCK_SECONDS:g} s",
            unchanged="nothing was changed",
            remedy="fragrance status",
        )
    return lock
