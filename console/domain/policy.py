"""
Policy: figures an operator may set, with their defaults.

Read from ``compose/console.yaml`` by :mod:`console.settings`; a project without
that file runs on these defaults.  Units are in the names.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from console.domain.maintenance import Window
from console.domain.services import Role


@dataclass(frozen=True, slots=True)
class ScaleTriggers:
    """
    Above any of these a service needs more replicas; None: not looked at.

    Args:
        p95_seconds: 95th percentile of response times over 60 s.
        cpu_ratio: Mean over replicas of cores used ÷ limit, 0–1.
        requests_in_flight: Requests being served or waiting, all replicas together.
        queue_depth: Tasks waiting in its queue.
        wait_seconds: Average wait of the tasks in its queue.
    """

    p95_seconds: float | None = None
    cpu_ratio: float | None = None
    requests_in_flight: float | None = None
    queue_depth: float | None = None
    wait_seconds: float | None = None

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} is {value:g}, it must be above 0")


#: What is looked at where policy names nothing, by role.
ROLE_TRIGGERS: dict[Role, ScaleTriggers] = {
    Role.APP: ScaleTriggers(p95_seconds=0.5, cpu_ratio=0.7, requests_in_flight=50),
    Role.WORKER: ScaleTriggers(queue_depth=50, wait_seconds=10, cpu_ratio=0.8),
}
OTHER_TRIGGERS = ScaleTriggers(cpu_ratio=0.8)


@dataclass(frozen=True, slots=True)
class ScalePolicy:
    """
    How far, and when, one service is scaled.

    Args:
        minimum: Least replicas; 0 lets a person take it out of service altogether.
        maximum: Most replicas.
        memory_bytes_per_replica: What one needs where none runs to be measured.
        triggers: What calls for more; None: those of its role.
        wait_target_seconds: How long a task may wait once there are enough replicas.
    """

    minimum: int = 0
    maximum: int = 10
    memory_bytes_per_replica: int | None = None
    triggers: ScaleTriggers | None = None
    wait_target_seconds: float = 10.0

    def __post_init__(self) -> None:
        if not 0 <= self.minimum <= self.maximum:
            raise ValueError(
                f"minimum {self.minimum} and maximum {self.maximum} are no bounds: "
                "0 ≤ minimum ≤ maximum"
            )
        if self.wait_target_seconds <= 0:
            raise ValueError("wait_target_seconds must be above 0")


@dataclass(frozen=True, slots=True)
class AutoscalePolicy:
    """
    How patient the autoscaler is: quick up, slow down.

    Args:
        up_after_seconds: Triggers must fire this long before replicas are added.
        down_after_seconds: One less must have been enough for this long.
        up_cooldown_seconds: After any change, before replicas are added.
        down_cooldown_seconds: After any change, before one is removed.
        reversal_seconds: Between two changes of direction at least.
    """

    up_after_seconds: float = 30.0
    down_after_seconds: float = 300.0
    up_cooldown_seconds: float = 120.0
    down_cooldown_seconds: float = 300.0
    reversal_seconds: float = 600.0

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            if getattr(self, name) < 0:
                raise ValueError(f"{name} cannot be negative")


@dataclass(frozen=True, slots=True)
class AlertPolicy:
    """One threshold: above *threshold* for *for_seconds* it fires."""

    threshold: float
    for_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class MaintenancePolicy:
    """
    When maintenance may be.

    Args:
        windows: Each week, UTC; outside of them a plan warns.  None: it never does.
        notice_hours: How long before users are told.
        watch_minutes: How long the agent watches the stack after users have it back.
    """

    windows: tuple[str, ...] = ("sunday 02:00-04:00",)
    notice_hours: float = 24.0
    watch_minutes: float = 30.0

    def __post_init__(self) -> None:
        for text in self.windows:
            Window.parse(text)
        if self.notice_hours < 0:
            raise ValueError("notice_hours cannot be negative")
        if self.watch_minutes <= 0:
            raise ValueError("watch_minutes must be above 0")


@dataclass(frozen=True, slots=True)
class RewindPolicy:
    """
    How much of the past the agent keeps for looking back.

    Args:
        every_seconds: Between two pictures; one is kept besides whenever something happens.
        kept_hours: How long.
        disk_mib: How much of the disk at most; the oldest goes first.
    """

    every_seconds: float = 10.0
    kept_hours: float = 24.0
    disk_mib: float = 64.0

    def __post_init__(self) -> None:
        if self.every_seconds < 1:
            raise ValueError("every_seconds must be at least 1")
        if self.kept_hours <= 0:
            raise ValueError("kept_hours must be above 0")
        if self.disk_mib < 4:
            raise ValueError("disk_mib must be at least 4")


@dataclass(frozen=True, slots=True)
class Policy:
    """
    All policy of one stack.

    Args:
        scale: Bounds by service; a service that is absent cannot be scaled,
        scale_others: unless this gives the bounds of all others (but never of
            databases and brokers: two of them are not one with more room).
        memory_reserve_ratio: Share of the host's memory that scaling must leave.
        alerts: Threshold by alert name.
        elevation_minutes: How long ``elevate`` gives write access by default.
        settle_minutes: How long the agent follows a service after it was scaled.
        autoscale: How patient the autoscaler is.
        maintenance: When maintenance may be.
        rewind: How much of the past the agent keeps.
    """

    scale: dict[str, ScalePolicy] = field(
        default_factory=lambda: {
            "app": ScalePolicy(minimum=1, maximum=5),
            "worker-llm": ScalePolicy(minimum=0, maximum=10),
            "worker-rl": ScalePolicy(
                minimum=0,
                maximum=4,
                triggers=ScaleTriggers(queue_depth=10),
                wait_target_seconds=600.0,
            ),
        }
    )
    scale_others: ScalePolicy | None = None
    memory_reserve_ratio: float = 0.05
    alerts: dict[str, AlertPolicy] = field(
        default_factory=lambda: {
            "ApiDown": AlertPolicy(0, 30),
            "DatabaseDown": AlertPolicy(0, 5),
            "BrokerDown": AlertPolicy(0, 5),
            "HighErrorRate": AlertPolicy(0.05, 300),
            "HighResponseTime": AlertPolicy(1.0, 300),
            "WorkerQueueBacklog": AlertPolicy(100, 600),
            "DatabaseConnectionPoolExhausted": AlertPolicy(0.9, 300),
            "DiskSpace": AlertPolicy(0.85, 0),
            "MemoryUse": AlertPolicy(0.9, 300),
            "RefusedKeysBurst": AlertPolicy(50),
            "RateLimitBurst": AlertPolicy(100),
            "OversizedRequestsBurst": AlertPolicy(20),
        }
    )
    elevation_minutes: int = 15
    settle_minutes: float = 5.0
    autoscale: AutoscalePolicy = field(default_factory=AutoscalePolicy)
    maintenance: MaintenancePolicy = field(default_factory=MaintenancePolicy)
    rewind: RewindPolicy = field(default_factory=RewindPolicy)

    def __post_init__(self) -> None:
        if self.settle_minutes <= 0:
            raise ValueError("settle_minutes must be above 0")

    def bounds(self, service: str, role: Role) -> ScalePolicy | None:
        """Return the bounds on replicas of *service*; None when it cannot be scaled."""
        if role in {Role.DATABASE, Role.BROKER}:
            return self.scale.get(service)
        return self.scale.get(service, self.scale_others)

    def triggers(self, service: str, role: Role) -> ScaleTriggers:
        """Return what calls for more replicas of *service*: by name, else by role."""
        bounds = self.bounds(service, role)
        if bounds is not None and bounds.triggers is not None:
            return bounds.triggers
        return ROLE_TRIGGERS.get(role, OTHER_TRIGGERS)
