"""``doctor``: is this host able to run the stack, and what mends it if not."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from console.cli.main import Commands, Invocation, add_command
from console.domain.checks import CheckStatus
from console.settings import Settings

if TYPE_CHECKING:
    from console.domain.checks import CheckResult

ABLE, NOT_ABLE, NOTHING_READ = 0, 1, 5


@dataclass(frozen=True, slots=True)
class Group:
    """
    Checks that are needed together.

    Args:
        name: ``host``, or the runtime that alone needs them.
        results: In the order they are shown.
    """

    name: str
    results: list[CheckResult]


def register(commands: Commands) -> None:
    """Add ``doctor``."""
    command = add_command(commands, "doctor", "is this host able to run the stack")
    command.add_argument(
        "--runtime",
        choices=("embedded", "compose"),
        help="answer for this one (default: the one in use, else what start would use)",
    )
    command.set_defaults(run=run_doctor)


def run_doctor(call: Invocation) -> int:
    """
    Print one line per check.

    Returns:
        1 when a check fails that the runtime in question needs, 5 when none of
        those could be answered, else 0.
    """
    runtime = call.args.runtime or _runtime_of(call.settings)
    groups = _examine(call.settings)
    code = judge(groups, runtime)
    if call.json:
        print(json.dumps(_as_json(groups, runtime, code)))
        return code
    for group in groups:
        print(_title(group.name, runtime))
        for r in group.results:
            print(f"  {r.status.value:8}{r.id:13}{r.summary}")
            if r.remedy:
                print(f"{'':23}next: {r.remedy}")
    print(_verdict(groups, runtime, code))
    return code


def judge(groups: list[Group], runtime: str) -> int:
    """Return the exit code for a runtime: what only another one needs does not count."""
    statuses = {r.status for r in _needed(groups, runtime)}
    if CheckStatus.FAIL in statuses:
        return NOT_ABLE
    return NOTHING_READ if statuses == {CheckStatus.UNKNOWN} else ABLE


def _runtime_of(settings: Settings) -> str:
    """Return the runtime in use, else the one that a start would use."""
    from console.bootstrap import default_runtime

    return settings.runtime or default_runtime(settings)


def _examine(settings: Settings) -> list[Group]:
    from console.checks.docker_facts import read_docker_facts
    from console.checks.docker_host import judge_docker_host
    from console.checks.host import check_embedded, check_host

    return [
        Group("host", check_host(settings)),
        Group("embedded", check_embedded()),
        Group("compose", judge_docker_host(read_docker_facts(settings), datetime.now(UTC))),
    ]


def _needed(groups: list[Group], runtime: str) -> list[CheckResult]:
    # A swarm is made of engines: it needs what compose needs.
    wanted = {"host", "compose" if runtime == "swarm" else runtime}
    return [r for group in groups if group.name in wanted for r in group.results]


def _title(name: str, runtime: str) -> str:
    if name == "host":
        return "this host"
    return f"for the {name} runtime" + ("" if name == runtime else " (not the one in question)")


def _verdict(groups: list[Group], runtime: str, code: int) -> str:
    if code == ABLE:
        return f"able to run the {runtime} runtime"
    if code == NOTHING_READ:
        return f"nothing could be read: whether the {runtime} runtime can run is not known"
    failed = [r.id for r in _needed(groups, runtime) if r.status is CheckStatus.FAIL]
    return f"not able to run the {runtime} runtime: {', '.join(failed)}"


def _as_json(groups: list[Group], runtime: str, code: int) -> dict[str, object]:
    return {
        "schema_version": 1,
        "runtime": runtime,
        "able": None if code == NOTHING_READ else code == ABLE,
        "checks": [
            {
                "id": r.id,
                "group": group.name,
                "status": r.status.value,
                "summary": r.summary,
                "remedy": r.remedy,
            }
            for group in groups
            for r in group.results
        ],
    }
