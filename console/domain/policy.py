"""
Policy: figures an operator may set, with their defaults.

Read from ``compose/console.yaml`` by :mod:`console.settings`; a project without
that file runs on these defaults.  Units are in the names.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from console.domain.services import Role


@dataclass(frozen=True, slots=True)
class ScalePolicy:
    """Bounds on replicas of one service."""

    minimum: int = 0
    maximum: int = 10
    memory_bytes_per_replica: int | None = None


@dataclass(frozen=True, slots=True)
class AlertPolicy:
    """One threshold: above *threshold* for *for_seconds* it fires."""

    threshold: float
    for_seconds: float = 0.0


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
    """

    scale: dict[str, ScalePolicy] = field(
        default_factory=lambda: {
            "app": ScalePolicy(minimum=1, maximum=5),
            "worker-llm": ScalePolicy(minimum=0, maximum=10),
            "worker-rl": ScalePolicy(minimum=0, maximum=4),
        }
    )
    scale_others: ScalePolicy | None = None
    memory_reserve_ratio: float = 0.05
    alerts: dict[str, AlertPolicy] = field(
        default_factory=lambda: {
            "HighErrorRate": AlertPolicy(0.05, 300),
            "HighResponseTime": AlertPolicy(1.0, 300),
            "WorkerQueueBacklog": AlertPolicy(100, 600),
            "DatabaseConnectionPoolExhausted": AlertPolicy(0.9, 300),
            "DiskSpace": AlertPolicy(0.85, 0),
            "MemoryUse": AlertPolicy(0.9, 300),
        }
    )
    elevation_minutes: int = 15

    def bounds(self, service: str, role: Role) -> ScalePolicy | None:
        """Return the bounds on replicas of *service*; None when it cannot be scaled."""
        if role in {Role.DATABASE, Role.BROKER}:
            return self.scale.get(service)
        return self.scale.get(service, self.scale_others)
