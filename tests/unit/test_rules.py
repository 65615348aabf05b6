"""Prometheus' rules, Alertmanager's routes and Grafana's dashboards, without a stack."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from console.domain.policy import Policy
from tests.monitoring import COMPOSE, RULE_FILES, alerts, dashboards, measured, panels, run_tool

RULE_TESTS = sorted(path.name for path in (COMPOSE / "prometheus" / "tests").glob("*.yml"))


@pytest.mark.docker
def test_prometheus_accepts_its_configuration() -> None:
    checked = run_tool("promtool", "check", "config", "/etc/prometheus/prometheus.yml")

    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.docker
@pytest.mark.parametrize("file", RULE_FILES)
def test_every_rule_is_well_formed_and_there_once(file: str) -> None:
    checked = run_tool("promtool", "check", "rules", "--lint-fatal", f"/etc/prometheus/{file}")

    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.docker
@pytest.mark.parametrize("file", RULE_TESTS)
def test_alerts_fire_when_they_should_and_only_then(file: str) -> None:
    tested = run_tool("promtool", "test", "rules", f"/etc/prometheus/tests/{file}")

    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_every_alert_is_tested_both_ways() -> None:
    tested: dict[str, set[bool]] = defaultdict(set)
    windows: dict[str, set[str]] = defaultdict(set)
    for file in RULE_TESTS:
        document = yaml.safe_load((COMPOSE / "prometheus" / "tests" / file).read_text())
        for case in (case for test in document["tests"] for case in test["alert_rule_test"]):
            expected = case.get("exp_alerts", [])
            tested[case["alertname"]].add(bool(expected))
            windows[case["alertname"]] |= {e["exp_labels"].get("window", "") for e in expected}

    assert tested == {alert["alert"]: {True, False} for alert in alerts()}
    for alert in alerts():
        assert alert["labels"].get("window", "") in windows[alert["alert"]] | {""}


def test_every_alert_says_how_grave_it_is_what_is_the_matter_and_what_to_do(project: Path) -> None:
    anchors = set(re.findall(r'<a id="([^"]+)">', (project / "RUNBOOK.md").read_text("utf-8")))

    for alert in alerts():
        assert alert["labels"]["severity"] in ("critical", "warning"), alert["alert"]
        assert alert["labels"]["service"], alert["alert"]
        assert alert["annotations"]["summary"].endswith("."), alert["alert"]
        assert alert["annotations"]["runbook"] == f"RUNBOOK.md#{alert['alert'].lower()}"
        assert alert["alert"].lower() in anchors, alert["alert"]


@pytest.mark.parametrize(
    ("name", "limit", "hold", "severity"),
    [
        ("HighErrorRate", "> 0.05", "5m", "critical"),
        ("HighResponseTime", "> 1", "5m", "warning"),
        ("WorkerQueueBacklog", "> 100", "10m", "warning"),
        ("DatabaseConnectionPoolExhausted", "> 0.9", "5m", "critical"),
        ("DiskSpace", "> 0.85", "10m", "warning"),
        ("MemoryUse", "> 0.9", "5m", "warning"),
    ],
)
def test_the_figures_are_those_that_were_agreed(
    name: str, limit: str, hold: str, severity: str
) -> None:
    found = [alert for alert in alerts() if alert["alert"] == name]

    assert found
    for alert in found:
        assert alert["expr"].strip().endswith(f" {limit}")
        assert (alert["for"], alert["labels"]["severity"]) == (hold, severity)
        assert Policy().alerts[name].threshold == float(limit.split()[1])


def test_they_stand_in_the_group_that_is_known_by_name() -> None:
    document = yaml.safe_load((COMPOSE / "prometheus" / "alert_rules.yml").read_text())

    assert [group["name"] for group in document["groups"]] == ["fragrance_ai_alerts"]


@pytest.mark.docker
def test_alertmanager_accepts_its_configuration_with_every_set_of_receivers() -> None:
    """What start.sh puts together is checked in place of being run, for each set of secrets."""
    script = """
        set -e
        sed '/^exec/,$d' /etc/alertmanager/start.sh >/tmp/put-together.sh
        for given in "" alert_webhook_url alert_slack_url alert_pagerduty_key \
            "alert_webhook_url alert_slack_url alert_pagerduty_key"; do
            rm -rf /run/secrets && mkdir -p /run/secrets
            for name in $given; do echo https://receiver.example/x >/run/secrets/$name; done
            sh /tmp/put-together.sh
            amtool check-config /tmp/alertmanager.yml >&2
            echo $(grep -c _configs: /tmp/alertmanager.yml)
            ! grep -q receiver.example /tmp/alertmanager.yml
        done
    """
    checked = run_tool("sh", "-c", script)

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert checked.stdout.split() == ["0", "1", "1", "1", "3"]


@pytest.mark.docker
def test_every_alert_goes_to_the_operators() -> None:
    ask = ["amtool", "config", "routes", "test", "--config.file=/etc/alertmanager/alertmanager.yml"]
    for severity in ("critical", "warning"):
        answered = run_tool(*ask, f"severity={severity}", "service=app")
        assert answered.stdout.split() == ["operators"], answered.stderr


def test_a_comparison_is_taken_off_what_it_compares() -> None:
    assert measured("a / b > 14.4 * 0.001\n  and on () c * 3600 >= 10") == ["a / b", "c * 3600"]
    assert measured('absent(up{job="app"} == 1)') == ['up{job="app"}']
    assert measured("max by (job) (up) == 0 or absent(up{job='x'})") == [
        "max by (job) (up)",
        "up{job='x'}",
    ]


def test_there_are_four_dashboards() -> None:
    titles = {dashboard["title"] for dashboard in dashboards().values()}

    assert titles == {"System Overview", "Application", "Workers", "Database"}
    assert len({dashboard["uid"] for dashboard in dashboards().values()}) == 4


@pytest.mark.parametrize("name", sorted(dashboards()))
def test_a_dashboard_is_whole(name: str) -> None:
    dashboard = dashboards()[name]
    shown = list(panels(dashboard))
    provisioned = yaml.safe_load(
        (COMPOSE / "grafana" / "provisioning" / "datasources" / "prometheus.yml").read_text()
    )

    assert shown
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    assert not _overlapping(dashboard["panels"])
    for panel in shown:
        assert panel["title"]
        assert panel["datasource"]["uid"] == provisioned["datasources"][0]["uid"], panel["title"]
        assert panel["targets"], panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        for target in panel["targets"]:
            assert target["expr"]
            assert "vector(0)" not in target["expr"]  # it would show absence as zero


def test_thresholds_of_alerts_are_drawn_where_their_figure_is() -> None:
    drawn = {
        step["value"]
        for dashboard in dashboards().values()
        for panel in panels(dashboard)
        for step in panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", ())
    }

    assert {0.05, 1, 100, 0.9, 0.85, 0.5} <= drawn


def _overlapping(placed: list[dict[str, Any]]) -> list[str]:
    taken: dict[tuple[int, int], str] = {}
    wrong = []
    for panel in placed:
        at = panel["gridPos"]
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                if taken.setdefault((x, y), panel["title"]) != panel["title"] or x >= 24:
                    wrong.append(panel["title"])
    return wrong
