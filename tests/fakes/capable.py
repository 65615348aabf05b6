"""A runtime with every capability that does nothing: a screen asks it which keys to offer."""

from __future__ import annotations

from console.domain.tunables import LimitSettings, Setting


class CapableRuntime:
    """As much of a runtime as the screens look at: which capabilities it has."""

    name = "embedded"

    def replica_names(self, service: str, count: int, taken: object) -> list[str]:
        return [f"{service}-{number}" for number in range(1, count + 1)]

    def start_replica(self, service: str, replica: str, labels: object) -> None:
        raise AssertionError("screens never start a replica")

    def start_command(self, service: str, replica: str) -> str:
        return f"start {replica}"

    def remove_replica(self, replica: str, grace_seconds: float) -> None:
        raise AssertionError("screens never remove a replica")

    def remove_command(self, replica: str, grace_seconds: float) -> str:
        return f"stop {replica}"

    def restart_replica(self, replica: str, grace_seconds: float) -> None:
        raise AssertionError("screens never restart a replica")

    def settings(self) -> tuple[Setting, ...]:
        return (
            Setting("LOG_LEVEL", "INFO", "INFO", "how much is logged"),
            Setting("LLM_BATCH_SIZE", None, "4", "briefs at a time"),
            Setting("POSTGRES_PASSWORD", secret=True, explanation="the database's"),
        )

    def concerned(self, values: object) -> tuple[str, ...]:
        return ("app",)

    def write_settings(self, values: object) -> None:
        raise AssertionError("screens never write a setting")

    def why_not_anew(self, service: str) -> str:
        return ""

    def settings_command(self, values: object) -> str:
        return "write settings"

    def limit_settings(self, service: str) -> LimitSettings:
        return LimitSettings()

    def set_limits(self, replica: str, limits: object) -> None:
        raise AssertionError("screens never set a limit")

    def limits_command(self, replica: str, limits: object) -> str:
        return f"update {replica}"

    def old_logs(self, days: float) -> list[object]:
        raise AssertionError("screens never look for logs")

    def remove_log(self, name: str) -> None:
        raise AssertionError("screens never remove a log")

    def has_maintenance(self) -> bool:
        return True

    def set_maintenance(self, *, on: bool) -> None:
        raise AssertionError("screens never switch anything themselves")

    def maintenance_command(self, *, on: bool) -> str:
        return f"maintenance page {'on' if on else 'off'}"

    def restart_command(self, replica: str, grace_seconds: float) -> str:
        return f"restart {replica}"
