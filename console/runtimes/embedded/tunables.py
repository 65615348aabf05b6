"""
Settings of a stack of processes: the environment that its catalogue gives to new replicas.

What an operator sets is kept beside it too, for the catalogue is made anew at each start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import msgspec

from console.domain.tunables import Setting
from console.errors import Busy, Refused, Unreachable
from console.runtimes.embedded.catalogue import CatalogueFile
from console.runtimes.embedded.layout import Layout
from console.runtimes.embedded.specs import Catalogue, ServiceDefinition
from console.runtimes.explanations import explanations
from console.runtimes.files import write_json
from console.runtimes.locks import FileLock
from console.settings import PROJECT, unwritable

LOCK_SECONDS = 10.0
#: Of the product; each is a file in the secrets directory.
_SECRETS = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "SENTRY_DSN")


def read_chosen(layout: Layout) -> dict[str, str]:
    """
    Return what an operator has set, for the next start.

    Raises:
        Unreachable: If the file is damaged.
    """
    try:
        return msgspec.json.decode(layout.settings.read_bytes(), type=dict[str, str])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.MsgspecError) as error:
        raise Unreachable(
            f"{layout.settings} cannot be read: {error}",
            unchanged="what runs goes on running",
            remedy=f"rm {layout.settings}; then every setting has its default at the next start",
        ) from error


def values(catalogue: Catalogue) -> dict[str, str]:
    """Return what new replicas are given, of the settings that they read."""
    return {
        name: value
        for service in catalogue.services
        for name in service.settings
        if (value := service.program.environment.get(name))
    }


def known(catalogue: Catalogue | None, layout: Layout) -> tuple[Setting, ...]:
    """
    Return every setting that some service reads, and the secrets.

    Raises:
        Refused: If nothing was started yet.
    """
    if catalogue is None:
        raise Refused(
            "nothing was started here yet",
            unchanged="nothing was changed",
            remedy="fragrance start",
        )
    texts, present = explanations(PROJECT / ".env.example"), values(catalogue)
    names = sorted({name for service in catalogue.services for name in service.settings})
    return (
        *(
            Setting(name, present.get(name), texts.get(name, ("", ""))[1], texts[name][0])
            if name in texts
            else Setting(name, present.get(name))
            for name in names
        ),
        *(
            Setting(name, secret=True, explanation=f"the file {layout.secrets / name.lower()}")
            for name in _SECRETS
        ),
    )


def concerned(catalogue: Catalogue, wanted: Mapping[str, str | None]) -> tuple[str, ...]:
    """Return the services that *wanted* would start otherwise."""
    return tuple(s.name for s in catalogue.services if _with(s, wanted) != s)


def write(layout: Layout, wanted: Mapping[str, str | None]) -> None:
    """
    Give *wanted* to all replicas that are started from now on; None for the default.

    Raises:
        Busy: If the stack is just being started or stopped.
        Unreachable: If the state cannot be written.
    """
    try:
        lock = FileLock(layout.change_lock)
        if not lock.acquire(LOCK_SECONDS):
            raise Busy(
                "somebody else is starting or stopping this stack",
                unchanged="the settings are as they were",
                remedy="fragrance status",
            )
        with lock:
            chosen = {k: v for k, v in {**read_chosen(layout), **wanted}.items() if v is not None}
            catalogue = CatalogueFile(layout.services).read() or Catalogue()
            services = with_values(catalogue.services, wanted)
            # The catalogue last: it is what tells whether all this was done.
            write_json(layout.settings, chosen)
            write_json(layout.services, replace(catalogue, services=services))
    except OSError as error:
        raise unwritable(layout.state, error) from error


def with_values(
    services: tuple[ServiceDefinition, ...], wanted: Mapping[str, str | None]
) -> tuple[ServiceDefinition, ...]:
    """Return *services* with *wanted* in the environment of those that read it."""
    return tuple(_with(service, wanted) for service in services)


def _with(service: ServiceDefinition, wanted: Mapping[str, str | None]) -> ServiceDefinition:
    mine = {name: value for name, value in wanted.items() if name in service.settings}
    present = service.program.environment
    environment = {k: v for k, v in {**present, **mine}.items() if v is not None}
    if environment == present:
        return service
    return replace(service, program=replace(service.program, environment=environment))
