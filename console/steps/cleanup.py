"""
Step kinds of the cleanup.

They ask the runtime whether a thing is still there instead of the picture: no
picture has images and files, which nobody looks at all day.  Hence the arguments of
the port that are not used here.
"""

from __future__ import annotations

import json

from console.capabilities import HasImages, HasLogFiles
from console.domain.plans import Json, Observation, Step, require_text
from console.domain.snapshot import Snapshot
from console.domain.text import plain_text
from console.errors import ConsoleError, NotSupported
from console.ports import Runtime

LOOK_SECONDS = 30.0
#: A log of that name which is younger was rotated since the plan was made.
YOUNG_DAYS = 1.0
WORK_SECONDS = 600.0


class RemoveImage:
    """Arguments: ``image``, its name with the tag, or its id."""

    name = "remove_image"
    sources = ()

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def observe(self, step: Step, snapshot: Snapshot) -> Observation:  # noqa: ARG002 -- as every kind
        """Hold once there is no such image."""
        there = _images_of(self._runtime).image_exists(require_text(step.arguments, "image"))
        return Observation(not there, "still there" if there else "gone")

    def do(self, step: Step) -> None:
        """Remove it; the engine declines for one that a container has got meanwhile."""
        _images_of(self._runtime).remove_image(require_text(step.arguments, "image"))


class RemoveBuildCache:
    """No arguments."""

    name = "remove_build_cache"
    sources = ()

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def observe(self, step: Step, snapshot: Snapshot) -> Observation:  # noqa: ARG002 -- as every kind
        """Hold once nothing in it is older than a week."""
        left = _images_of(self._runtime).old_build_cache()
        return Observation(left == 0, f"{left} bytes left" if left else "gone")

    def do(self, step: Step) -> None:  # noqa: ARG002 -- as every kind
        """Remove it."""
        _images_of(self._runtime).remove_build_cache()


class RemoveLogs:
    """Arguments: ``logs``, names below the state directory."""

    name = "remove_logs"
    sources = ()

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def observe(self, step: Step, snapshot: Snapshot) -> Observation:  # noqa: ARG002 -- as every kind
        """Hold once none of them is there; one rotated anew under its name is another."""
        left = self._left(step)
        return Observation(not left, f"{len(left)} still there" if left else "gone")

    def do(self, step: Step) -> None:
        """Remove them."""
        for name in self._left(step):
            _logs_of(self._runtime).remove_log(name)

    def _left(self, step: Step) -> list[str]:
        old = {each.name for each in _logs_of(self._runtime).old_logs(YOUNG_DAYS)}
        return [name for name in _names(step, "logs") if name in old]


class PackCheckpoints:
    """
    Arguments: ``replica``, ``names``, ``packed`` (False: brought back), ``look`` (the
    command that lists what is not packed) and ``command`` (that does it).
    """

    name = "pack_checkpoints"
    sources = ()

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def observe(self, step: Step, snapshot: Snapshot) -> Observation:  # noqa: ARG002 -- as every kind
        """Hold once all, or none, of them lie where the worker keeps them."""
        said = self._exec(step, "look", LOOK_SECONDS)
        listed = {each["name"] for each in json.loads(said)}
        names = set(_names(step, "names"))
        unpacked = len(names & listed)
        done = unpacked == (0 if step.arguments.get("packed") else len(names))
        return Observation(done, f"{len(names) - unpacked} of {len(names)} packed away")

    def do(self, step: Step) -> None:
        """Have the worker's own command do it."""
        self._exec(step, "command", WORK_SECONDS)

    def _exec(self, step: Step, argument: str, seconds: float) -> str:
        words = _names(step, argument)
        done = self._runtime.exec(require_text(step.arguments, "replica"), words, seconds)
        if done.exit_code != 0:
            raise ConsoleError(
                f"{' '.join(words[:5])} ended with {done.exit_code}: "
                f"{plain_text(done.output[-300:])}"
            )
        return done.output


def _names(step: Step, key: str) -> list[str]:
    found: Json = step.arguments.get(key)
    if not isinstance(found, list):
        raise ValueError(f"step {step.name} has no {key}")
    return [str(each) for each in found]


def _images_of(runtime: Runtime) -> HasImages:
    if not isinstance(runtime, HasImages):
        raise NotSupported(f"{runtime.name} has no images")
    return runtime


def _logs_of(runtime: Runtime) -> HasLogFiles:
    if not isinstance(runtime, HasLogFiles):
        raise NotSupported(f"{runtime.name} keeps no logs in files")
    return runtime
