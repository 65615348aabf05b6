"""Bringing a stack up: from nothing, after a stop, after a crash, or half done."""

from __future__ import annotations

import os
import pwd
import shutil
from collections.abc import Mapping
from dataclasses import replace

from console.errors import Busy, Refused
from console.modes import make_directory
from console.runtimes.embedded.blueprint import Blueprint, Progress, Site
from console.runtimes.embedded.catalogue import CatalogueFile
from console.runtimes.embedded.launch import poke, start_supervisor, supervisor_runs
from console.runtimes.embedded.layout import Layout
from console.runtimes.embedded.leftovers import clear_leftovers
from console.runtimes.embedded.port_choice import choose_ports
from console.runtimes.embedded.specs import (
    Catalogue,
    Companion,
    ReplicaSpec,
    ServiceDefinition,
)
from console.runtimes.embedded.tunables import read_chosen, with_values
from console.runtimes.files import JsonDirectory, write_atomic, write_json
from console.runtimes.locks import FileLock
from console.runtimes.naming import lowest_free_names, service_of
from console.settings import unwritable

#: How long to wait for somebody else who brings the stack up or down.
CHANGE_LOCK_SECONDS = 180.0
#: Patience with processes of a dead supervisor.
LEFTOVER_SECONDS = 10.0
#: Tools of util-linux that supervision is made with.
TOOLS = ("setpriv", "unshare")
MIB = 1024**2


def bring_up(
    layout: Layout,
    blueprint: Blueprint,
    companion: Companion | None,
    environment: str,
    environ: Mapping[str, str],
    progress: Progress,
) -> None:
    """
    Start everything that should run; idempotent.

    Processes start while the rest is still being made: each waits for what it
    needs by itself, so that a first start takes as long as its longest part and
    not as long as the sum.

    Args:
        companion: Kept running beside the replicas; None for nothing.
        environment: ``APP_ENV``.
        environ: The operator's environment variables.

    Raises:
        Refused: Before anything was started: disk, ports, permissions, tools.
        Busy: If somebody else is at it for too long.
        Unreachable: If the catalogue is damaged, or a server does not answer.
    """
    make_directories(layout)
    lock = FileLock(layout.change_lock)
    if not lock.acquire(0):
        progress("somebody else is starting or stopping this stack: waiting")
        if not lock.acquire(CHANGE_LOCK_SECONDS):
            raise Busy(
                "somebody else has been starting or stopping this stack for "
                f"{CHANGE_LOCK_SECONDS:g} s",
                unchanged="nothing was changed",
                remedy="fragrance status",
            )
    with lock:
        old = CatalogueFile(layout.services).read() or Catalogue()
        running = supervisor_runs(layout)
        if running and old.complete and wanted_up(layout):
            progress("already running")
            return
        _refuse_strangers(layout)
        _check_host(layout, blueprint)
        ports = dict(old.ports)
        if running and not ports:
            raise Refused(
                f"{layout.services} is gone while the stack runs",
                unchanged="what runs goes on running",
                remedy="fragrance stop, then fragrance start; data stays",
            )
        if not running:
            if count := clear_leftovers(layout, LEFTOVER_SECONDS):
                progress(f"cleared {count} processes that a crash had left")
            ports = choose_ports(blueprint.preferred_ports, old.ports, progress)
        site = Site(layout, ports, dict(environ), environment, lambda: _check_wanted(layout))
        write_atomic(layout.wanted, b"up\n")
        blueprint.prepare(site, progress)
        catalogue = Catalogue(
            services=with_values(blueprint.services(site), read_chosen(layout)),
            ports=ports,
            endpoints=blueprint.endpoints(site),
            seeded=old.seeded,
            companion=companion,
            environment=environment,
            release=blueprint.release,
        )
        # Written before anything runs: a start cut short here is known as such.
        write_json(layout.services, catalogue)
        catalogue = _write_specs(layout, catalogue)
        start_supervisor(layout)
        poke(layout)
        progress("supervisor runs")
        blueprint.complete(site, progress)
        write_json(layout.services, replace(catalogue, complete=blueprint.release or "yes"))


def wanted_up(layout: Layout) -> bool:
    """Return whether the stack should run."""
    try:
        return layout.wanted.read_text().strip() == "up"
    except OSError:
        return False


def _check_wanted(layout: Layout) -> None:
    if not wanted_up(layout):
        raise Refused(
            "somebody stopped the stack while it was starting",
            unchanged="its data is as it was",
            remedy="fragrance start",
        )


def make_directories(layout: Layout) -> None:
    """
    Make the state's directories, readable by nobody outside.

    Raises:
        Refused: If they cannot be made or written.
    """
    try:
        for path in (layout.replicas, layout.run, layout.logs, layout.secrets):
            make_directory(path)
        write_atomic(layout.root / "writable", b"", durable=False)
    except OSError as error:
        raise unwritable(layout.state, error) from error


def _refuse_strangers(layout: Layout) -> None:
    """The data belongs to who made it, and so must the processes that write it."""
    owner = layout.root.stat().st_uid
    if os.geteuid() not in (0, owner):
        try:
            name = pwd.getpwuid(owner).pw_name
        except KeyError:
            name = f"#{owner}"
        raise Refused(
            f"the data of this stack belongs to {name}, and its processes run as its owner",
            unchanged="nothing was started",
            remedy=f"sudo -u {name} fragrance start",
        )


def _check_host(layout: Layout, blueprint: Blueprint) -> None:
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        raise Refused(
            f"{' and '.join(missing)} not found on this host",
            unchanged="nothing was started",
            remedy="install util-linux 2.33 or newer",
        )
    free = shutil.disk_usage(layout.root).free
    if free < blueprint.free_bytes_needed:
        raise Refused(
            f"{free // MIB} MiB are free where the state lies; "
            f"{blueprint.free_bytes_needed // MIB} MiB are needed",
            unchanged="nothing was started",
            remedy=f"free space below {layout.state}, or choose another place with --state DIR",
        )


def _write_specs(layout: Layout, catalogue: Catalogue) -> Catalogue:
    """
    Renew the specs that are there and make those of services never seen before.

    Commands and addresses may have changed since; which replicas there are is
    the operator's, down to none.
    """
    specs = JsonDirectory(layout.replicas, ReplicaSpec)
    found = specs.read()
    for service in catalogue.services:
        mine = [n for n, s in found.items() if _belongs(n, s, service)]
        if service.name not in catalogue.seeded and not mine:
            mine = lowest_free_names(service.name, service.replicas, found)
        for name in mine:
            old = found.get(name)
            if old is not None and old.leaving:
                continue
            spec = make_spec(catalogue, service, name, old.labels if old is not None else {})
            # The same generation: renewing what is written must not restart what runs.
            specs.write(name, replace(spec, generation=old.generation if old is not None else 0))
    seeded = replace(catalogue, seeded=tuple(s.name for s in catalogue.services))
    write_json(layout.services, seeded)
    return seeded


def _belongs(name: str, spec: ReplicaSpec | None, service: ServiceDefinition) -> bool:
    # A damaged spec is known by its name only; renewing it mends it.
    return spec.service == service.name if spec is not None else service_of(name) == service.name


def make_spec(
    catalogue: Catalogue, service: ServiceDefinition, name: str, labels: dict[str, str]
) -> ReplicaSpec:
    """Return the spec of a replica as the catalogue has it now."""
    return ReplicaSpec(
        name=name,
        service=service.name,
        program=service.program,
        labels=labels,
        release=catalogue.release,
    )
