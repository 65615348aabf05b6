"""Where replicas differ from what the catalogue would give new ones; pure."""

from __future__ import annotations

from collections.abc import Mapping

from console.domain.description import grouped
from console.domain.secrecy import is_secret
from console.domain.services import Drift
from console.runtimes.embedded.specs import Catalogue, ReplicaSpec, ServiceDefinition

#: Specs are written anew when a stack starts, and only then.
MEND = "fragrance stop; fragrance start --detach"
_MOST = 4


def drift_of(
    catalogue: Catalogue,
    service: ServiceDefinition,
    specs: Mapping[str, ReplicaSpec | None],
) -> tuple[Drift, ...]:
    """Return how the replicas of *service* differ from it; those that leave are left out."""
    found = []
    for name, spec in sorted(specs.items()):
        if spec is None or spec.service != service.name or spec.leaving:
            continue
        if spec.release and catalogue.release and spec.release != catalogue.release:
            what = f"runs release {spec.release}, written down is {catalogue.release}"
            found.append((name, what, MEND))
        if words := _variables(spec.program.environment, service.program.environment):
            found.append((name, words, MEND))
        if spec.program.command != service.program.command:
            found.append((name, "runs another command than is written down", MEND))
    return grouped(found)


def _variables(present: Mapping[str, str], wanted: Mapping[str, str]) -> str:
    names = [n for n in sorted(present.keys() | wanted.keys()) if present.get(n) != wanted.get(n)]
    if not names:
        return ""
    said = [
        f"{name} is {_shown(name, present)}, written down is {_shown(name, wanted)}"
        for name in names[:_MOST]
    ]
    left = len(names) - _MOST
    return "; ".join(said) + (f"; and {left} more variables" if left > 0 else "")


def _shown(name: str, values: Mapping[str, str]) -> str:
    value = values.get(name)
    if value is None:
        return "not set"
    return "(hidden)" if is_secret(name, value) else value
