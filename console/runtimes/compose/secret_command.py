"""Secrets that a program keeps (vault, KMS, pass): asked for once each, when they are missing."""

from __future__ import annotations

import shlex
import subprocess

from console.errors import Refused, Unreachable

COMMAND_SECONDS = 30.0
#: Where the name of the secret stands in the command.
NAME = "{name}"


def ask_command(command: str, secret: str) -> str:
    """
    Return the secret that *command* prints.

    Args:
        command: Words as a shell splits them, run without one; ``{name}`` in them becomes
            the secret's name.  What it prints is never shown.
        secret: Name in lower case, ``postgres_password``.

    Raises:
        Refused: If the command cannot be read, or gives nothing.
        Unreachable: If it is not there or does not end in time.
    """
    remedy = "type the command of SECRETS_COMMAND yourself and see what it says"
    unchanged = "nothing was started; secrets that are there stay"
    try:
        words = [word.replace(NAME, secret) for word in shlex.split(command)]
    except ValueError as error:
        raise Refused(
            f"SECRETS_COMMAND cannot be read: {error}", unchanged=unchanged, remedy=remedy
        ) from error
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Unreachable(
            f"SECRETS_COMMAND gave no {secret} within {COMMAND_SECONDS:g} s",
            unchanged=unchanged,
            remedy=remedy,
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise Unreachable(
            f"SECRETS_COMMAND cannot be run: {getattr(error, 'strerror', None) or 'no text'}",
            unchanged=unchanged,
            remedy=remedy,
        ) from error
    value = done.stdout.strip()
    if done.returncode != 0 or not value:
        raise Refused(
            f"SECRETS_COMMAND gave no {secret}: it ended with {done.returncode}",
            unchanged=unchanged,
            remedy=remedy,
        )
    return value
