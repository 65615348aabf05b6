"""Settings that an operator may change: what they mean, and which values make sense."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

#: What no setting may contain: an env file would read it as something else.
_SPECIAL = re.compile(r"""["'`$\\#\x00-\x1f\x7f]""")

#: A value → what is wrong with it, empty when nothing is.
Rule = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Setting:
    """
    One setting.

    Args:
        name: ``LOG_LEVEL``.
        value: What it is set to; None where the default counts, and for a secret.
        default: What counts where it is not set; "" where that is not known.
        explanation: For the operator.
        secret: It is neither shown nor set by a command.
        instead: What changes it, where ``settings set`` does not.
    """

    name: str
    value: str | None = None
    default: str = ""
    explanation: str = ""
    secret: bool = False
    instead: str = ""


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """Names of the settings that give a service its limits; None where nothing does."""

    cpu_cores: str | None = None
    memory_bytes: str | None = None
    cpu_reserved_cores: str | None = None
    memory_reserved_bytes: str | None = None


def one_of(*words: str) -> Rule:
    """Return the rule of a setting that is one of a few words."""
    return lambda value: "" if value in words else f"is not one of {', '.join(words)}"


def whole(least: int, most: int | None = None) -> Rule:
    """Return the rule of a setting that is a whole number."""
    words = f"from {least} to {most}" if most is not None else f"of at least {least}"

    def check(value: str) -> str:
        fits = value.isascii() and value.isdecimal() and int(value) >= least
        if fits and (most is None or int(value) <= most):
            return ""
        return f"is not a whole number {words}"

    return check


def pattern(expression: str, example: str) -> Rule:
    """Return the rule of a setting of a certain form."""
    compiled = re.compile(expression)
    return lambda value: "" if compiled.fullmatch(value) else f"is not of the form {example}"


_FLAG = one_of("true", "false")
_SECONDS = pattern(r"0*[1-9]\d*(\.\d+)?|0*\.\d*[1-9]\d*|0+\.\d*[1-9]\d*", "5 (seconds, above 0)")
_PORT = whole(1, 65535)

#: By name.  The product's own are kept equal to what it accepts by a test.
RULES: Mapping[str, Rule] = {
    "LOG_LEVEL": one_of("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"),
    "LOG_FORMAT": one_of("json", "human"),
    **dict.fromkeys(
        (
            *("RATE_LIMIT_ENABLED", "PROMETHEUS_ENABLED"),
            *("USE_CACHE", "USE_GPU", "ENABLE_QUANTIZATION"),
        ),
        _FLAG,
    ),
    "DB_POOL_SIZE": whole(1, 100),
    "DB_POOL_TIMEOUT": _SECONDS,
    "RATE_LIMIT": pattern(r"[1-9]\d*/(second|minute|hour|day)", "120/minute"),
    "MAX_BODY_BYTES": whole(1024),
    "LLM_WORKER_CONCURRENCY": whole(1, 64),
    "LLM_MAX_BATCH_SIZE": whole(1, 256),
    "RL_WORKER_CONCURRENCY": whole(1, 64),
    "RL_BATCH_SIZE": whole(1, 65536),
    "CACHE_TTL": whole(0),
    "EDGE_RATE_PER_KEY": whole(1),
    "EDGE_RATE_PER_ADDRESS": whole(1),
    "POSTGRES_MAX_CONNECTIONS": whole(10, 10000),
    "POSTGRES_SHARED_BUFFERS": pattern(r"[1-9]\d*(kB|MB|GB)", "256MB"),
    "REDIS_MAXMEMORY": pattern(r"[1-9]\d*(kb|mb|gb)", "640mb"),
    "PROMETHEUS_RETENTION": pattern(r"[1-9]\d*[smhdwy]", "15d"),
    "PROMETHEUS_RETENTION_SIZE": pattern(r"[1-9]\d*(KB|MB|GB)", "8GB"),
    "LOG_MAX_SIZE": pattern(r"[1-9]\d*[kmg]", "10m"),
}


def wrong_with(name: str, value: str) -> str:
    """
    Return what is wrong with a value, empty when nothing is.

    An empty value means the default, whatever the setting.
    """
    if not value:
        return ""
    if value != value.strip() or _SPECIAL.search(value):
        return "has a character that an env file reads as something else"
    rule = RULES.get(name)
    if rule is None and name.endswith("_PORT"):
        rule = _PORT
    return rule(value) if rule is not None else ""
