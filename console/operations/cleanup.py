"""
Cleanup: what lies on the disk and no release needs any more.

Unlike others this planner reads, through the runtime, what there is to remove: no
picture has it.  Volumes are never touched; checkpoints are packed away by the
product's own command, in the volume where they lie.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from console.capabilities import HasImages, HasLogFiles
from console.domain.leftovers import Leftover, bytes_in_words
from console.domain.plans import Json, Plan, Risk, Step
from console.domain.services import Replica, ReplicaState
from console.errors import ConsoleError
from console.operations.request import PlanRequest
from console.operations.scale import check_seen

#: Releases before the present one whose images stay, to go back to.
KEPT_RELEASES = 2
LOG_DAYS = CHECKPOINT_DAYS = 7
#: The newest of all jobs stay as they are, however old.
KEPT_CHECKPOINTS = 3
#: So many at a time: their names must fit into one command and its answer.
CHECKPOINTS_AT_ONCE = 200
LIST_SECONDS = 30.0
STEP_SECONDS = 150.0
ARCHIVE_SECONDS = 900.0


def plan_cleanup(request: PlanRequest) -> Plan:
    """
    Plan the removal of old images and logs and the packing away of old checkpoints.

    Args:
        request: Its wish may hold ``build_cache``: also what the engine's builder has
            not used for a week.

    Returns:
        The plan, each thing with its size; without steps when there is nothing to do.

    Raises:
        Unreachable: When engine or state cannot be read.
    """
    check_seen(request)
    steps: list[Step] = []
    undo: list[Step] = []
    warnings: list[str] = []
    total = 0
    images, logs = _images(request), _logs(request)
    if images:
        warnings.append("images share layers: what becomes free may be less than their sizes")
    for image in images:
        steps.append(_remove_image(image))
    if logs:
        steps.append(_remove_logs(logs))
    total += sum(each.size_bytes for each in (*images, *logs))
    replica = _rl_worker(request)
    checkpoints = _old_checkpoints(request, replica, warnings)
    if replica is not None and checkpoints:
        steps.append(_checkpoint_step("archive", replica, checkpoints))
        undo.append(_checkpoint_step("restore", replica, checkpoints))
        total += sum(each.size_bytes for each in checkpoints)
    if request.wish.get("build_cache") and isinstance(request.runtime, HasImages):
        cache = request.runtime.old_build_cache()
        if cache:
            steps.append(_remove_cache(cache))
            total += cache
            warnings.append("the build cache is the engine's: of every project built there")
    if images or logs:
        warnings.append("images and logs cannot be brought back; undo brings back checkpoints")
    words = f"{bytes_in_words(total)}: {len(images)} images, {len(logs)} logs"
    words += f", {len(checkpoints)} checkpoints packed"
    return Plan(
        verb="cleanup",
        summary=words if steps else "there is nothing to clean up",
        steps=tuple(steps),
        undo=tuple(undo),
        warnings=tuple(warnings),
        wish=dict(request.wish),
    )


def _images(request: PlanRequest) -> list[Leftover]:
    runtime = request.runtime
    return runtime.removable_images(KEPT_RELEASES) if isinstance(runtime, HasImages) else []


def _logs(request: PlanRequest) -> list[Leftover]:
    runtime = request.runtime
    return runtime.old_logs(LOG_DAYS) if isinstance(runtime, HasLogFiles) else []


def _remove_image(image: Leftover) -> Step:
    short = image.name.removeprefix("sha256:")[:12] if ":" in image.name[:7] else image.name
    return Step(
        name=f"remove-image-{short.replace(':', '-')}",
        kind="remove_image",
        arguments={"image": image.name},
        command=f"docker image rm {short}: {bytes_in_words(image.size_bytes)}",
        risk=Risk.LOW,
        timeout_seconds=STEP_SECONDS,
    )


def _remove_logs(logs: Sequence[Leftover]) -> Step:
    return Step(
        name="remove-logs",
        kind="remove_logs",
        arguments={"logs": [each.name for each in logs]},
        command=f"rm {', '.join(map(str, logs))}",
        risk=Risk.LOW,
        timeout_seconds=STEP_SECONDS,
    )


def _remove_cache(size_bytes: int) -> Step:
    return Step(
        name="remove-build-cache",
        kind="remove_build_cache",
        command=f"docker builder prune, unused for a week: {bytes_in_words(size_bytes)}",
        risk=Risk.LOW,
        timeout_seconds=STEP_SECONDS,
    )


def _checkpoint_step(action: str, replica: str, checkpoints: Sequence[Leftover]) -> Step:
    """Return the step that packs them away (``archive``) or brings them back (``restore``)."""
    names = [each.name for each in checkpoints]
    return Step(
        name=f"{action}-checkpoints",
        kind="pack_checkpoints",
        arguments={
            "replica": replica,
            "names": names,
            "packed": action == "archive",
            "look": checkpoints_command("list", *names, "--json"),
            "command": checkpoints_command(action, *names),
        },
        command=f"exec {replica}: {action} {', '.join(map(str, checkpoints))}",
        risk=Risk.LOW,
        timeout_seconds=ARCHIVE_SECONDS,
        undoes="archive-checkpoints" if action == "restore" else None,
    )


def checkpoints_command(action: str, *more: str) -> list[str]:
    """Return the product's own command for checkpoints."""
    return ["python", "-m", "workers", "checkpoints", action, *more]


def _rl_worker(request: PlanRequest) -> str | None:
    running: list[Replica] = [
        replica
        for service in request.snapshot.services
        if service.labels.get("console.queue") == "rl"
        for replica in service.replicas
        if replica.state is ReplicaState.RUNNING
    ]
    return running[0].name if running else None


def _old_checkpoints(
    request: PlanRequest, replica: str | None, warnings: list[str]
) -> list[Leftover]:
    """Return those to pack away; a worker that cannot tell is no obstacle to the rest."""
    if replica is None:
        if any(s.labels.get("console.queue") == "rl" for s in request.snapshot.services):
            warnings.append("checkpoints were not looked at: no worker of queue rl runs")
        return []
    try:
        done = request.runtime.exec(
            replica,
            [
                *checkpoints_command("list", "--json", "--limit", str(CHECKPOINTS_AT_ONCE)),
                *("--older-than-days", str(CHECKPOINT_DAYS), "--keep", str(KEPT_CHECKPOINTS)),
            ],
            LIST_SECONDS,
        )
        listed: list[dict[str, Json]] = json.loads(done.output)
        return [Leftover(str(each["name"]), int(each["size_bytes"])) for each in listed]
    except (ConsoleError, ValueError, KeyError, TypeError) as error:
        why = error.message if isinstance(error, ConsoleError) else "its answer makes no sense"
        warnings.append(f"checkpoints were not looked at: {replica}: {why}")
        return []
