"""Limits and settings of the runtime in memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, replace

from console.domain.amounts import parse_cores, parse_size
from console.domain.services import Limits, ReplicaStats
from console.domain.tunables import LimitSettings, Setting
from console.errors import ConsoleError

#: Known settings of the fake with the services that each concerns.
SETTINGS: Mapping[str, tuple[str, ...]] = {
    "LOG_LEVEL": ("app", "worker-llm", "worker-rl"),
    "LLM_MAX_BATCH_SIZE": ("worker-llm",),
    "POSTGRES_MAX_CONNECTIONS": ("postgres",),
    "PROMETHEUS_RETENTION": (),
}
#: What replicas are given where nothing is set.
USUAL_FIGURES = ReplicaStats(0.1, 100 * 1024**2)
HOST_CORES = 64
USUAL_LIMITS = Limits(1.0, 512 * 1024**2)


class FakeLimits(ABC):
    """The part of :class:`tests.fakes.runtime.FakeRuntime` that they are."""

    def __init__(self) -> None:
        self.commands: list[tuple[str, ...]] = []
        self.figures: dict[str, ReplicaStats] = {}
        self.values: dict[str, str] = {}
        #: Limits in force on each replica, and the settings that each was started with.
        self.limits: dict[str, Limits] = {}
        self.started_with: dict[str, dict[str, str]] = {}
        self.refuse_limits: ConsoleError | None = None
        #: Why a service's replica cannot be made anew.
        self.lost_with: dict[str, str] = {}

    @property
    @abstractmethod
    def service_names(self) -> tuple[str, ...]: ...

    @abstractmethod
    def _reach(self) -> None: ...

    @abstractmethod
    def _notify(self) -> None: ...

    @abstractmethod
    def _owner(self, replica: str) -> str: ...

    @abstractmethod
    def _service(self, name: str) -> object: ...

    def limit_settings(self, service: str) -> LimitSettings:
        self._service(service)
        prefix = service.upper().replace("-", "_")
        return LimitSettings(
            f"{prefix}_CPU_LIMIT",
            f"{prefix}_MEMORY_LIMIT",
            memory_reserved_bytes=f"{prefix}_MEMORY_RESERVATION",
        )

    def set_limits(self, replica: str, limits: Limits) -> None:
        self._reach()
        self._owner(replica)
        self.commands.append(("limit", replica))
        if self.refuse_limits is not None:
            raise self.refuse_limits
        used = self.figures.get(replica, USUAL_FIGURES).memory_bytes or 0
        if (limits.cpu_cores or 0) > HOST_CORES or used > (limits.memory_bytes or used):
            raise ConsoleError("the engine declined")
        present = self.limits.get(replica, USUAL_LIMITS)
        changes = {k: v for k, v in asdict(limits).items() if v is not None}
        self.limits[replica] = replace(present, **changes)
        self._notify()

    def limits_command(self, replica: str, limits: Limits) -> str:
        return f"fake limit {replica} to {limits}"

    def settings(self) -> tuple[Setting, ...]:
        names = [f"{s.upper().replace('-', '_')}_MEMORY_LIMIT" for s in self.service_names]
        return (
            *(Setting(name, self.values.get(name), "usual", "explained") for name in SETTINGS),
            *(Setting(name, instead="fragrance resize") for name in names),
            Setting("SECRET_KEY", secret=True, explanation="a file"),
        )

    def concerned(self, values: Mapping[str, str | None]) -> tuple[str, ...]:
        found = {s for n, v in values.items() if self.values.get(n) != v for s in _concerns(n)}
        return tuple(sorted(found & set(self.service_names)))

    def write_settings(self, values: Mapping[str, str | None]) -> None:
        self._reach()
        self.commands.append(("write", *sorted(values)))
        self.values = {k: v for k, v in {**self.values, **values}.items() if v is not None}
        self._notify()

    def why_not_anew(self, service: str) -> str:
        return self.lost_with.get(service, "")

    def settings_command(self, values: Mapping[str, str | None]) -> str:
        return f"fake write {dict(values)}"

    def _new_limits(self, service: str) -> Limits:
        names = self.limit_settings(service)
        cores = parse_cores(self.values.get(str(names.cpu_cores), ""))
        size = parse_size(self.values.get(str(names.memory_bytes), ""))
        kept = parse_size(self.values.get(str(names.memory_reserved_bytes), ""))
        return Limits(
            cores or USUAL_LIMITS.cpu_cores,
            size or USUAL_LIMITS.memory_bytes,
            memory_reserved_bytes=kept,
        )

    def _start_limited(self, service: str, replica: str) -> None:
        self.limits[replica] = self._new_limits(service)
        self.started_with[replica] = {
            n: v for n, v in self.values.items() if service in SETTINGS.get(n, ())
        }


def _concerns(name: str) -> tuple[str, ...]:
    """Return the services that a setting concerns, those of limits by their name."""
    service = name.partition("_CPU_")[0].partition("_MEMORY_")[0].lower().replace("_", "-")
    return SETTINGS.get(name, (service,))
