"""What is crashed at every boundary, on which runtime; nothing of the table may be left out."""

from __future__ import annotations

from console.domain.plans import Json

#: By runtime: verb and wish, on the light stacks of this package.
CASES: dict[str, list[tuple[str, dict[str, Json]]]] = {
    "embedded": [
        ("scale", {"targets": {"worker-llm": 3}, "hold_seconds": 0}),
        ("scale", {"targets": {"worker-llm": 0, "app": 3}, "hold_seconds": 0}),
        ("restart", {"services": ["app", "worker-llm"], "hold_seconds": 0}),
        ("settings", {"values": {"LLM_MAX_BATCH_SIZE": "4"}, "hold_seconds": 0}),
        ("restart", {"complete": True, "hold_seconds": 0}),
        ("cleanup", {}),
    ],
    "compose": [
        ("scale", {"targets": {"app": 3}, "hold_seconds": 0}),
        ("resize", {"service": "app", "cpus": "0.25", "memory": "80M"}),
        ("settings", {"values": {"MARK": "new"}, "hold_seconds": 0}),
        ("restart", {"services": ["app-1", "store"], "hold_seconds": 0}),
        ("restart", {"complete": True, "hold_seconds": 0}),
        ("maintenance", {"on": True}),
        ("cleanup", {}),
    ],
}
