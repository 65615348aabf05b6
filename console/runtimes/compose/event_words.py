"""Events of the engine in words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from console.domain.description import RuntimeEvent
from console.domain.text import plain_text
from console.runtimes.compose.containers import exit_words

_WORDS = {
    "create": "made",
    "start": "started",
    "restart": "restarted",
    "stop": "stopped",
    "oom": "out of memory: the kernel kills",
    "pause": "paused",
    "unpause": "goes on after a pause",
    "destroy": "removed",
    "rename": "renamed",
    "update": "its limits were changed",
}
_GRAVE = frozenset({"oom"})


def event_of(event: Mapping[str, Any], project: str) -> RuntimeEvent:
    """Return an event of a container of *project*, as the engine sends it, in words."""
    attributes = (event.get("Actor") or {}).get("Attributes") or {}
    action, _, detail = str(event.get("Action") or "").partition(": ")
    words, grave = _WORDS.get(action, action), action in _GRAVE
    if action == "die":
        code = str(attributes.get("exitCode") or "0")
        words = f"ended: {exit_words(int(code) if code.isdecimal() else 0, out_of_memory=False)}"
        grave = code != "0"
    elif action == "kill":
        words = f"was sent signal {attributes.get('signal', '?')}"
    elif action == "health_status":
        words, grave = f"its health check says {detail}", detail == "unhealthy"
    return RuntimeEvent(
        at=datetime.fromtimestamp(int(event.get("time") or 0), UTC),
        replica=str(attributes.get("name") or "").removeprefix(f"{project}-"),
        words=plain_text(words, 200),
        grave=grave,
    )
