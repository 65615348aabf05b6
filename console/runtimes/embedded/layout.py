"""Where the embedded runtime keeps what it knows and what its replicas own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Layout:
    """
    Paths below ``STATE/embedded``; nothing here touches the disk.

    Args:
        state: State directory of the stack, absolute.
    """

    state: Path

    @property
    def root(self) -> Path:
        """Directory of everything below."""
        return self.state / "embedded"

    @property
    def services(self) -> Path:
        """Service catalogue: definitions, labels, chosen ports."""
        return self.root / "services.json"

    @property
    def settings(self) -> Path:
        """Settings that an operator has chosen, for the next start."""
        return self.root / "settings.json"

    @property
    def replicas(self) -> Path:
        """Desired state, one spec a replica."""
        return self.root / "replicas"

    @property
    def run(self) -> Path:
        """Observed state, one record a replica, written by the supervisor alone."""
        return self.root / "run"

    @property
    def logs(self) -> Path:
        """Standard output and error, one file a replica."""
        return self.root / "logs"

    @property
    def secrets(self) -> Path:
        """One file a secret, named as the setting in lower case."""
        return self.root / "secrets"

    @property
    def wanted(self) -> Path:
        """``up`` or ``down``: whether the stack should run."""
        return self.root / "wanted"

    @property
    def supervisor_lock(self) -> Path:
        """Held by the live supervisor; its text is that supervisor's pid."""
        return self.root / "supervisor.lock"

    @property
    def heartbeat(self) -> Path:
        """Empty; its time is when the supervisor was last at work, in monotonic seconds."""
        return self.root / "supervisor.heartbeat"

    @property
    def change_lock(self) -> Path:
        """Held while somebody brings the stack up or down."""
        return self.root / "change.lock"

    @property
    def specs_lock(self) -> Path:
        """Held for the instant in which a spec is changed or deleted."""
        return self.root / "specs.lock"

    @property
    def agent_lock(self) -> Path:
        """Held by the resident agent."""
        return self.state / "agent.lock"

    def log(self, replica: str) -> Path:
        """Return the log file of *replica*."""
        return self.logs / f"{replica}.log"
