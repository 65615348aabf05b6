"""Who acts: the login user behind any sudo, and where they came from."""

from __future__ import annotations

import ipaddress
import os
import pwd
from collections.abc import Mapping
from pathlib import Path

from console.domain.operations import Actor
from console.domain.text import plain_text

#: What the kernel says where nobody logged in (containers, services).
_NO_LOGIN = 2**32 - 1


def current_actor(
    environ: Mapping[str, str] | None = None, loginuid: Path = Path("/proc/self/loginuid")
) -> Actor:
    """
    Return who runs this process.

    The login uid stands through ``su`` and ``sudo`` and cannot be set by the user;
    where the kernel keeps none, ``SUDO_USER`` is believed only of root.

    Args:
        environ: Environment variables; ``os.environ`` when None.
        loginuid: Where the kernel tells the login uid.
    """
    env = os.environ if environ is None else environ
    uid = _login_uid(loginuid)
    if uid is None and os.getuid() == 0 and (name := env.get("SUDO_USER")):
        try:
            uid = pwd.getpwnam(name).pw_uid
        except (KeyError, ValueError):
            uid = None
    if uid is None:
        uid = os.getuid()
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = f"uid {uid}"
    return Actor(user=plain_text(user, 64), uid=uid, origin=_origin(env))


def _login_uid(path: Path) -> int | None:
    try:
        uid = int(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError):
        return None
    return None if uid == _NO_LOGIN else uid


def _origin(env: Mapping[str, str]) -> str:
    for variable in ("SSH_CONNECTION", "SSH_CLIENT"):
        words = env.get(variable, "").split()
        if words:
            try:
                return f"ssh {ipaddress.ip_address(words[0].partition('%')[0])}"
            except ValueError:
                return "ssh unknown address"
    return "local"
