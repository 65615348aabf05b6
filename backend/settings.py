"""Settings of the application; the loader is shared, see :mod:`backend.contracts.settings`."""

from __future__ import annotations

from backend.contracts.settings import Settings, SettingsError, load_settings

__all__ = ["Settings", "SettingsError", "load_settings"]
