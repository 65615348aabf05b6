"""
Whether the settings of a stack are right: names, values, secrets, and limits that fit the host.

Pure judgement of :class:`EnvFacts`; nothing here shows the value of a secret.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from console.domain.amounts import parse_cores
from console.domain.checks import CheckResult, CheckStatus
from console.domain.tunables import wrong_with

PASS, WARN = CheckStatus.PASS, CheckStatus.WARN
FAIL, UNKNOWN = CheckStatus.FAIL, CheckStatus.UNKNOWN

#: A secret of so few characters can be guessed.
SHORTEST_SECRET = 32
#: What stands in examples; never a secret of one's own.
PLACEHOLDERS = (
    *("change", "example", "placeholder", "default", "your", "todo", "fixme", "xxx"),
    *("password", "secret", "admin", "12345", "dummy", "sample"),
)
NAMED = 5


@dataclass(frozen=True, slots=True)
class EnvFacts:
    """
    What is judged.

    Args:
        path: The env file, for words.
        private: Whether only its owner (or a group of operators) may read it; None for a
            file that goes with the source and holds no secret.
        variables: Of the file, in its order.
        known: Every name that something reads.
        secret_names: Of the product's secrets, in capitals.
        secrets: Contents by name of the file; None where they cannot be read.
        needed: Secrets that must not be empty.
        cores: Of the engine's host; None when it does not say.
        memory_mib: Of the engine's host; None when it does not say.
        memory_wanted_mib: Limits of all replicas together.
        cores_wanted: Limits of all replicas together.
        refused: What compose says against the files with these values; "" for nothing,
            None when it was not asked.
    """

    path: str
    private: bool | None
    variables: Mapping[str, str]
    known: Collection[str]
    secret_names: Collection[str] = ()
    secrets: Mapping[str, str] | None = field(default_factory=dict)
    needed: Collection[str] = ()
    cores: int | None = None
    memory_mib: int | None = None
    memory_wanted_mib: int = 0
    cores_wanted: float = 0.0
    refused: str | None = None


def judge_env(facts: EnvFacts) -> list[CheckResult]:
    """Return the answers of all checks, in the order they are shown."""
    return [
        _private(facts),
        _names(facts),
        _values(facts),
        _secrets(facts),
        _memory(facts),
        _cpus(facts),
        _compose(facts),
    ]


def _private(facts: EnvFacts) -> CheckResult:
    if facts.private is False:
        return CheckResult(
            "private", FAIL, f"{facts.path} can be read by others", f"chmod 600 {facts.path}"
        )
    words = "holds no secret and goes with the source" if facts.private is None else "is private"
    return CheckResult("private", PASS, f"{facts.path} {words}")


def _names(facts: EnvFacts) -> CheckResult:
    unknown = [name for name in facts.variables if name not in facts.known]
    if not unknown:
        return CheckResult("names", PASS, f"{len(facts.variables)} settings, all known")
    words = []
    for name in unknown[:NAMED]:
        near = difflib.get_close_matches(name, [*facts.known, *facts.secret_names], 1)
        words.append(f"{name} (did you mean {near[0]}?)" if near else name)
    more = f" and {len(unknown) - NAMED} more" if len(unknown) > NAMED else ""
    return CheckResult(
        "names",
        FAIL,
        f"nothing reads {', '.join(words)}{more}",
        f"correct them in {facts.path}; .env.example explains every name",
    )


def _values(facts: EnvFacts) -> CheckResult:
    wrong = [
        f"{name} {why}"
        for name, value in facts.variables.items()
        if (why := wrong_with(name, value))
    ]
    if wrong:
        return CheckResult("values", FAIL, "; ".join(wrong[:NAMED]), f"correct {facts.path}")
    return CheckResult("values", PASS, "each is one that makes sense")


def _secrets(facts: EnvFacts) -> CheckResult:
    open_ones = [
        name for name in facts.variables if facts.variables[name] and name in facts.secret_names
    ]
    if open_ones:
        return CheckResult(
            "secrets",
            FAIL,
            f"{', '.join(open_ones)} stands in {facts.path}, where every process sees it",
            "put it into the file of that name, in lower case, in secrets/ beside it",
        )
    if facts.secrets is None:
        return CheckResult("secrets", UNKNOWN, "cannot be read", "fragrance env init")
    if missing := [name for name in facts.needed if not facts.secrets.get(name)]:
        return CheckResult(
            "secrets", FAIL, f"missing or empty: {', '.join(missing)}", "fragrance env init"
        )
    weak = [name for name in facts.needed if _is_weak(name, facts.secrets[name])]
    if weak:
        return CheckResult(
            "secrets",
            FAIL,
            f"a placeholder, or too short: {', '.join(weak)}",
            "openssl rand -base64 36 > secrets/NAME, as the service it opens has it too",
        )
    return CheckResult("secrets", PASS, f"{len(facts.needed)} there, none a placeholder")


def _is_weak(name: str, value: str) -> bool:
    if name.endswith("_url"):
        return False  # its password is the other side's to choose
    low = value.lower()
    return len(value) < SHORTEST_SECRET or any(low.startswith(word) for word in PLACEHOLDERS)


def _memory(facts: EnvFacts) -> CheckResult:
    wanted = f"limits of {facts.memory_wanted_mib / 1024:.1f} GiB in all"
    if facts.memory_mib is None:
        return CheckResult(
            "memory", UNKNOWN, f"{wanted}; the daemon does not answer", "docker info"
        )
    words = f"{wanted} on {facts.memory_mib / 1024:.1f} GiB"
    if facts.memory_wanted_mib > facts.memory_mib:
        return CheckResult(
            "memory", FAIL, f"{words}: more than there is", "lower limits, or run fewer replicas"
        )
    return CheckResult("memory", PASS, words)


def _cpus(facts: EnvFacts) -> CheckResult:
    if facts.cores is None:
        return CheckResult("cpus", UNKNOWN, "the daemon does not answer", "docker info")
    above = [
        name
        for name, value in facts.variables.items()
        if name.endswith("_CPU_LIMIT") and (parse_cores(value) or 0) > facts.cores
    ]
    if above:
        return CheckResult(
            "cpus",
            FAIL,
            f"the engine refuses more than its {facts.cores} cores: {', '.join(above)}",
            f"lower them in {facts.path}",
        )
    words = f"limits of {facts.cores_wanted:g} cores in all on {facts.cores}"
    if facts.cores_wanted > facts.cores:
        return CheckResult("cpus", WARN, f"{words}: busy replicas share them")
    return CheckResult("cpus", PASS, words)


def _compose(facts: EnvFacts) -> CheckResult:
    if facts.refused is None:
        return CheckResult("compose", UNKNOWN, "not asked", "compose/engine/setup")
    if facts.refused:
        return CheckResult("compose", FAIL, facts.refused, f"correct {facts.path}")
    return CheckResult("compose", PASS, "accepts the files with these values")
