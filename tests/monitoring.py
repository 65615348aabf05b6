"""The monitoring's configuration as tests read it: rules, dashboards, and the tools for them."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from console.runtimes.compose.environment import SERVICES_BASE, known_variables

PROJECT = Path(__file__).parents[1]
COMPOSE = PROJECT / "compose"
RULE_FILES = ("recording_rules.yml", "alert_rules.yml")


@dataclass(frozen=True)
class Query:
    """A PromQL expression and where it stands."""

    place: str
    text: str


@cache
def rules(file: str) -> tuple[dict[str, Any], ...]:
    """Return the rules of a file, in order."""
    groups = yaml.safe_load((COMPOSE / "prometheus" / file).read_text())["groups"]
    return tuple(rule for group in groups for rule in group["rules"])


def alerts() -> tuple[dict[str, Any], ...]:
    """Return the alert rules."""
    return rules("alert_rules.yml")


def dashboards() -> dict[str, dict[str, Any]]:
    """Return Grafana's dashboards by file name."""
    directory = COMPOSE / "grafana" / "dashboards"
    return {path.name: json.loads(path.read_text()) for path in sorted(directory.glob("*.json"))}


def panels(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the panels that show something."""
    return (panel for panel in dashboard["panels"] if panel["type"] != "row")


def queries() -> list[Query]:
    """
    Return everything that must have an answer on a stack that runs.

    Of an alert that is what is compared: the comparison itself has an answer only
    while it fires.
    """
    found = [Query(rule["record"], rule["expr"]) for rule in rules("recording_rules.yml")]
    for rule in alerts():
        found += [Query(rule["alert"], part) for part in measured(rule["expr"])]
    for name, dashboard in dashboards().items():
        for panel in panels(dashboard):
            found += [
                Query(f"{name}: {panel['title']}", target["expr"]) for target in panel["targets"]
            ]
    return found


def measured(expression: str) -> list[str]:
    """Return what an alert's expression compares, without the comparisons."""
    parts = []
    for part in re.split(r" (?:and on \(\)|or) ", " ".join(expression.split())):
        inner = re.fullmatch(r"absent\((.*)\)", part)
        text = inner.group(1) if inner else part
        parts.append(re.sub(r" (?:>=|==|>|<) [\d.]+(?: \* [\d.]+)?$", "", text))
    return parts


def run_tool(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run promtool, amtool or a shell with it on the configuration, without a network."""
    mounts = [
        part
        for name in ("prometheus", "alertmanager")
        for part in ("-v", f"{COMPOSE / name}:/etc/{name}:ro")
    ]
    return _docker(
        "run", "--rm", "--network=none", *mounts, f"--entrypoint={program}",
        _image("PROMETHEUS_IMAGE" if program == "promtool" else "ALERTMANAGER_IMAGE"), *arguments,
    )  # fmt: skip


@cache
def _image(variable: str) -> str:
    """Return the image as the stack chooses it: the local base, else upstream's."""
    if _docker("image", "inspect", SERVICES_BASE).returncode == 0:
        return SERVICES_BASE
    return known_variables(PROJECT)[variable]


def _docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, timeout=120, check=False
    )
