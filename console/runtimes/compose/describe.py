"""Everything the engine knows of one service's containers, secrets left out."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from console.domain.description import (
    CheckRun,
    ReplicaDescription,
    RuntimeEvent,
    ServiceDescription,
    variables_of,
)
from console.domain.secrecy import why_hidden
from console.domain.services import Drift
from console.domain.text import plain_text
from console.errors import ConsoleError
from console.runtimes.compose.containers import SERVICE_LABEL, Container, parse_time
from console.runtimes.compose.daemon import PROJECT_LABEL, Daemon
from console.runtimes.compose.desired import Desired
from console.runtimes.compose.drift import HASH_LABEL, drift_of
from console.runtimes.compose.event_words import event_of
from console.runtimes.compose.events import EVENTS
from console.runtimes.compose.marks import differing, environment_of, unescaped
from console.runtimes.compose.model import Model, ServiceModel
from console.runtimes.compose.project import ComposeProject

#: How far back events are asked for, and how many are told.
EVENTS_SECONDS = 24 * 3600
MOST_EVENTS = 50
MOST_CHECKS = 5
OUTPUT_LIMIT = 1000
SHORT_ID = 12
#: A secret file is read as far as this: nothing longer stands in a variable.
SECRET_BYTES = 4096


def describe(
    project: ComposeProject,
    daemon: Daemon,
    model: Model,
    service: ServiceModel,
    containers: Sequence[Container],
    desired: Desired | None,
) -> ServiceDescription:
    """
    Ask for everything about *service*.

    Args:
        containers: Those of the service.
        desired: What should run; None while the stack is not wanted up.

    Raises:
        Unreachable: If the engine does not answer.
    """
    contents = _contents(service)
    containers = sorted(containers, key=lambda c: c.number)
    drift = drift_of(project, model, service, desired, containers) if desired else ()
    found = daemon.inspect_all([container.id for container in containers])
    wanted = _configured(project, service) if drift else {}
    replicas = tuple(
        _replica(container.short_name(model.name), found[container.id], contents)
        for container in containers
        if container.id in found
    )
    return ServiceDescription(
        service=service.name,
        replicas=replicas,
        events=_events(daemon, model, service),
        drift=tuple(_with_values(one, wanted, replicas, contents) for one in drift),
        notes=_notes(model, service, containers),
    )


def _replica(
    name: str, found: Mapping[str, Any], contents: Mapping[str, str]
) -> ReplicaDescription:
    config, host = found.get("Config") or {}, found.get("HostConfig") or {}
    state, network = found.get("State") or {}, found.get("NetworkSettings") or {}
    health = state.get("Health") or {}
    words = [*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ())]
    return ReplicaDescription(
        name=name,
        image=str(config.get("Image") or ""),
        image_id=str(found.get("Image") or "").removeprefix("sha256:")[:SHORT_ID],
        command=_without_secrets(shlex.join(str(word) for word in words), contents),
        user=str(config.get("User") or "root"),
        addresses=tuple(
            f"{address} in {network_name}"
            for network_name, each in sorted((network.get("Networks") or {}).items())
            if (address := (each or {}).get("IPAddress"))
        ),
        ports=_ports(host.get("PortBindings") or {}),
        mounts=tuple(_mount(mount) for mount in found.get("Mounts") or ()),
        environment=variables_of(environment_of(config), contents),
        checks=_checks(health),
        failures=int(health.get("FailingStreak") or 0) if health else None,
        out_of_memory=bool(state.get("OOMKilled")),
        exit_code=None if state.get("Running") else int(state.get("ExitCode") or 0),
    )


def _contents(service: ServiceModel) -> dict[str, str]:
    """Return the secrets that are files; one that may not be read cannot be recognised."""
    contents = {}
    for name, path in service.secrets.items():
        try:
            with Path(path).open(encoding="utf-8", errors="replace") as file:
                contents[name] = file.read(SECRET_BYTES)
        except OSError:
            continue
    return contents


def _without_secrets(text: str, contents: Mapping[str, str]) -> str:
    for word in text.split():
        name, equals, value = word.partition("=")
        if why_hidden(name if equals else "", value if equals else word, contents):
            text = text.replace(word, f"{name}=(hidden)" if equals else "(hidden)")
    return text


def _ports(bindings: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(
        f"{each.get('HostIp') or '0.0.0.0'}:{each.get('HostPort') or 'any'} → {port}"  # noqa: S104 -- as told
        for port, all_of_it in sorted(bindings.items())
        for each in all_of_it or ()
    )


def _mount(mount: Mapping[str, Any]) -> str:
    kind, source = mount.get("Type"), mount.get("Source")
    from_where = f"volume {mount.get('Name')}" if kind == "volume" else str(source or kind)
    return f"{mount.get('Destination')} ← {from_where}" + ("" if mount.get("RW") else ", read only")


def _checks(health: Mapping[str, Any]) -> tuple[CheckRun, ...]:
    log: Sequence[Mapping[str, Any]] = health.get("Log") or ()
    return tuple(
        CheckRun(
            at=parse_time(run.get("Start")),
            passed=run.get("ExitCode") == 0,
            output=plain_text(str(run.get("Output") or ""), OUTPUT_LIMIT),
        )
        for run in reversed(log[-MOST_CHECKS:])
    )


# Events --------------------------------------------------------------------------


def _events(daemon: Daemon, model: Model, service: ServiceModel) -> tuple[RuntimeEvent, ...]:
    """Return what the engine still remembers, which is a few hundred events of all containers."""
    filters = {
        "type": ["container"],
        "event": list(EVENTS),
        "label": [f"{PROJECT_LABEL}={model.name}", f"{SERVICE_LABEL}={service.name}"],
    }
    now = int(time.time())
    try:
        events = list(daemon.events(filters, now - EVENTS_SECONDS, now))
    except ConsoleError:
        return ()  # the rest is worth telling without them
    told = [event_of(event, model.name) for event in events]
    return tuple(reversed(told[-MOST_EVENTS:]))


# Drift ---------------------------------------------------------------------------


def _configured(project: ComposeProject, service: ServiceModel) -> dict[str, str]:
    """Return the environment that the file gives, with values; nothing where compose fails."""
    try:
        said = msgspec.json.decode(project.run("config", "--format", "json"))
    except (ConsoleError, msgspec.MsgspecError):
        return {}
    given = (said["services"].get(service.name) or {}).get("environment") or {}
    return {name: unescaped(str(value)) for name, value in given.items() if value is not None}


def _with_values(
    drift: Drift,
    wanted: Mapping[str, str],
    replicas: Sequence[ReplicaDescription],
    contents: Mapping[str, str],
) -> Drift:
    """Return *drift* with the values that differ, of variables that are no secret."""
    names, _, what = drift.what.partition(": ")
    of = next((r for r in replicas if r.name in names.replace(",", " ").split()), None)
    if of is None or "environment " not in what:
        return drift
    present = {variable.name: variable for variable in of.environment}
    said = []
    for name in (word.rstrip(",") for word in what.split("environment ")[1:]):
        variable, value = present.get(name.split()[0]), wanted.get(name.split()[0], "")
        if (variable is not None and variable.hidden) or why_hidden(name, value, contents):
            continue
        has = "not set" if variable is None else variable.value
        said.append(f"{name.split()[0]} is {has}, the file says {value}")
    return replace(drift, what=f"{drift.what} ({'; '.join(said)})") if said else drift


def _notes(model: Model, service: ServiceModel, containers: Sequence[Container]) -> tuple[str, ...]:
    """Tell of a hash that differs though nothing that can be compared does."""
    unlike = [
        container.short_name(model.name)
        for container in containers
        if container.labels.get(HASH_LABEL) != service.config_hash
        and not differing(service.marks, container.marks)
    ]
    if not unlike or not service.config_hash:
        return ()
    return (
        f"{', '.join(unlike[:3])}{' and more' if len(unlike) > 3 else ''}: made from an earlier "
        "text of the compose file; image, environment, command, labels and limits are as it says",
    )
