"""
The software bill of materials of an image, as CycloneDX 1.6 in JSON.

What is installed is asked of the image itself; hashes are those of the wheels, which the
build has checked against the lock.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from console.errors import ConsoleError
from console.install import normalized, read_lock

LIST_SECONDS = 60.0
#: Run in the image: its Python packages and its Debian packages, nothing of ours imported.
LIST_PARTS = """
import importlib.metadata, json, subprocess
python = sorted({(d.name, d.version) for d in importlib.metadata.distributions()})
format = "${Package} ${Version} ${Architecture}\\n"
debian = subprocess.run(["dpkg-query", "-W", "-f", format], capture_output=True, text=True)
print(json.dumps({"python": python, "debian": [l.split() for l in debian.stdout.splitlines()]}))
"""


def bill_of_materials(
    tag: str, image: Mapping[str, Any], lock: str, wheelhouse: Path
) -> dict[str, Any]:
    """
    Return the bill of one image.

    Args:
        tag: Name of the image.
        image: As the engine describes it.
        lock: Lines of the lock that it was built from.
        wheelhouse: The wheels it was built from.

    Raises:
        ConsoleError: If the image cannot tell, or holds what the lock does not name.
    """
    parts = _list_parts(image["Id"])
    hashes = _hashes(lock, wheelhouse)
    installed = {normalized(name): (name, version) for name, version in parts["python"]}
    if foreign := sorted(installed.keys() - hashes.keys()):
        raise ConsoleError(f"{tag} holds packages that the lock does not name: {foreign}")
    libraries = [
        _component(
            f"pkg:pypi/{name}@{version}",
            version,
            label,
            [{"alg": "SHA-256", "content": content} for content in hashes[name]],
        )
        for name, (label, version) in sorted(installed.items())
    ]
    system = [
        _component(f"pkg:deb/debian/{name}@{version}?arch={architecture}", version, name, [])
        for name, version, architecture in parts["debian"]
    ]
    name, _, version = tag.rpartition(":")
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid4()}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
            "component": {
                "type": "container",
                "bom-ref": f"pkg:oci/{name}@{image['Id']}",
                "name": name,
                "version": version,
                "hashes": [{"alg": "SHA-256", "content": image["Id"].removeprefix("sha256:")}],
            },
        },
        "components": [*libraries, *system],
    }


def _component(
    reference: str, version: str, name: str, hashes: list[dict[str, str]]
) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": reference,
        "name": name,
        "version": version,
        "purl": reference.replace("+", "%2B"),
    }
    return {**component, "hashes": hashes} if hashes else component


def _hashes(lock: str, wheelhouse: Path) -> dict[str, list[str]]:
    """Return the hashes that the lock allows and a wheel here has, by package."""
    present = {hashlib.sha256(wheel.read_bytes()).hexdigest() for wheel in wheelhouse.glob("*.whl")}
    return {
        name: [
            found
            for found in re.findall(r"--hash=sha256:([0-9a-f]{64})", package.text)
            if found in present
        ]
        for name, package in read_lock(lock).items()
    }


def _list_parts(image: str) -> dict[str, list[list[str]]]:
    command = [
        *("docker", "run", "--rm", "--network", "none", "--read-only"),
        *("--entrypoint", "python", image, "-I", "-c", LIST_PARTS),
    ]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=LIST_SECONDS,
            check=False,
        )
        parts: dict[str, list[list[str]]] = msgspec.json.decode(done.stdout)
    except (OSError, subprocess.TimeoutExpired, msgspec.MsgspecError) as error:
        raise ConsoleError(
            f"image {image[:19]} does not tell what it holds: {error}",
            unchanged="the image is there",
            remedy="build it again",
        ) from error
    return parts
