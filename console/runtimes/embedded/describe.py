"""Everything known of one service's processes, secrets left out."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from console.domain.description import ReplicaDescription, ServiceDescription, variables_of
from console.runtimes.embedded.child import fill
from console.runtimes.embedded.drift import drift_of
from console.runtimes.embedded.layout import Layout
from console.runtimes.embedded.processes import is_alive
from console.runtimes.embedded.specs import (
    Catalogue,
    ReplicaRecord,
    ReplicaSpec,
    ServiceDefinition,
)

#: A secret file is read as far as this: nothing longer stands in a variable.
SECRET_BYTES = 4096
LOOPBACK = "127.0.0.1"


def describe(
    layout: Layout,
    catalogue: Catalogue,
    service: ServiceDefinition,
    specs: Mapping[str, ReplicaSpec | None],
    records: Mapping[str, ReplicaRecord | None],
) -> ServiceDescription:
    """Describe *service*; what a process really has in its environment counts, where it runs."""
    contents = _contents(layout.secrets)
    replicas = [
        _replica(name, spec, records.get(name), contents)
        for name, spec in specs.items()
        if spec is not None and spec.service == service.name
    ]
    replicas.sort(key=lambda replica: (len(replica.name), replica.name))
    return ServiceDescription(
        service=service.name,
        replicas=tuple(replicas),
        drift=drift_of(catalogue, service, specs),
    )


def _replica(
    name: str, spec: ReplicaSpec, record: ReplicaRecord | None, contents: Mapping[str, str]
) -> ReplicaDescription:
    program = spec.program
    running = _running(record)
    names = {"replica": name, "shared_fd": "SHARED", "private_fd": "OWN"}
    ports = record.ports if record is not None else {}
    mounts = [f"{program.directory} ← its working directory"]
    if program.exclusive_directory:
        mounts.append(f"{program.exclusive_directory} ← its data, of one process at a time")
    return ReplicaDescription(
        name=name,
        command=shlex.join([*program.wrapper, *(fill(word, names) for word in program.command)]),
        addresses=tuple(
            f"{LOOPBACK}:{port} ({'its own' if kind == 'private' else 'of all replicas'})"
            for kind, port in sorted(ports.items())
        ),
        ports=(f"{LOOPBACK}:{program.shared_port}",) if program.shared_port else (),
        mounts=tuple(mounts),
        environment=variables_of(running or program.environment, contents),
    )


def _running(record: ReplicaRecord | None) -> dict[str, str]:
    """Return the environment that the process was started with; nothing if that is not ours."""
    if record is None or record.pid is None:
        return {}
    if not is_alive(record.pid, record.start_ticks, record.boot_id or None):
        return {}
    try:
        raw = Path(f"/proc/{record.pid}/environ").read_bytes()
    except OSError:
        return {}
    texts = [text.decode(errors="replace") for text in raw.split(b"\0")]
    return dict(text.split("=", 1) for text in texts if "=" in text)


def _contents(directory: Path) -> dict[str, str]:
    """Return the secrets by the names of their files; one that may not be read is left out."""
    contents = {}
    try:
        paths = sorted(directory.iterdir())
    except OSError:
        return {}
    for path in paths:
        try:
            with path.open(encoding="utf-8", errors="replace") as file:
                contents[path.name] = file.read(SECRET_BYTES)
        except OSError:
            continue
    return contents
