"""What must not be shown: secrets, told by the name of a variable, its form, or its content."""

from __future__ import annotations

import re
from collections.abc import Mapping

#: A word of a name that gives a secret away.
SECRET_WORDS = frozenset(
    [
        "PASSWORD",
        "PASSWD",
        "PASS",
        "PWD",
        "SECRET",
        "TOKEN",
        "KEY",
        "DSN",
        "URL",
        "URI",
        "CREDENTIAL",
        "CREDENTIALS",
        "AUTH",
    ]
)
_WITH_PASSWORD = re.compile(r"://[^/\s]*:[^/\s]*@")
#: Names that end so hold where a secret is, not what it is.
_PLACES = ("_FILE", "_DIR", "_PATH")
#: Of a secret's content; anything shorter stands in harmless values too.
_LEAST_CONTENT = 4


def is_secret(name: str, value: str = "") -> bool:
    """Whether the variable is a secret by its name, or by a password in its value."""
    words = re.split(r"[^A-Z0-9]+", name.upper())
    return not SECRET_WORDS.isdisjoint(words) or _WITH_PASSWORD.search(value) is not None


def why_hidden(name: str, value: str, contents: Mapping[str, str]) -> str:
    """
    Return why the value of a variable is not shown, "" when it may be.

    Args:
        name: Of the variable.
        value: Its value.
        contents: Content of each secret file, by the file's name.
    """
    for file, content in contents.items():
        secret = content.strip()
        if len(secret) >= _LEAST_CONTENT and secret in value:
            return f"it holds the secret {file}"
    if _WITH_PASSWORD.search(value):
        return "it holds a password"
    if is_secret(name) and value and not name.upper().endswith(_PLACES):
        return "its name is a secret's"
    return ""
