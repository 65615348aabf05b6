"""``doctor``: is this host able to run the stack, and what mends it if not."""

from __future__ import annotations

import json

from console.checks.host import check_host
from console.cli.main import Commands, Invocation, add_command
from console.domain.checks import CheckStatus


def register(commands: Commands) -> None:
    """Add ``doctor``."""
    add_command(commands, "doctor", "is this host able to run the stack").set_defaults(
        run=run_doctor
    )


def run_doctor(call: Invocation) -> int:
    """Print one line per check; exit 1 when one fails."""
    results = check_host(call.settings)
    if call.json:
        print(
            json.dumps(
                {
                    "checks": [
                        {
                            "id": r.id,
                            "status": r.status.value,
                            "summary": r.summary,
                            "remedy": r.remedy,
                        }
                        for r in results
                    ]
                }
            )
        )
    else:
        for r in results:
            print(f"{r.status.value:8}{r.id:12}{r.summary}")
            if r.remedy:
                print(f"{'':20}next: {r.remedy}")
    return 1 if any(r.status is CheckStatus.FAIL for r in results) else 0
