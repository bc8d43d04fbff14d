"""The alerts: whoever is woken by one finds out what to do, and what it needs to say is there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.airworthy.stack.plugins.plugin_utils import exporters

ROOT = Path(__file__).parents[3]
TEMPLATES = ROOT / "roles/monitoring/templates/etc/prometheus"
RUNBOOKS = ROOT / "docs/runbooks"


def alerts() -> list[dict[str, Any]]:
    text = (TEMPLATES / "rules.d/airworthy_alerts.yml.j2").read_text()
    document = yaml.safe_load(re.sub(r"\[\[ (\w+) \]\]", r"\1", text))
    return [rule for group in document["groups"] for rule in group["rules"]]


ALERTS = alerts()
each = pytest.mark.parametrize("alert", ALERTS, ids=[alert["alert"] for alert in ALERTS])


@each
def test_an_alert_says_what_is_wrong_and_where_to_read_on(alert: dict[str, Any]) -> None:
    assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}
    assert alert["labels"]["severity"] in ("critical", "warning", "none")
    assert alert["annotations"]["runbook_url"] == f"__monitoring_runbooks/{alert['alert']}.md"


@each
def test_an_alert_has_a_runbook(alert: dict[str, Any]) -> None:
    runbook = (RUNBOOKS / f"{alert['alert']}.md").read_text()
    assert runbook.startswith(f"# {alert['alert']}\n")
    assert "\nLook:\n" in runbook
    assert "\nDo: " in runbook


def test_a_runbook_is_of_an_alert() -> None:
    assert {path.stem for path in RUNBOOKS.iterdir()} == {alert["alert"] for alert in ALERTS}


def test_the_links_of_runbooks_lead_somewhere() -> None:
    for path in RUNBOOKS.iterdir():
        for link in re.findall(r"\]\(([^)]+)\)", path.read_text()):
            assert (path.parent / link).exists(), f"{path.name} leads to {link}"


def test_a_threshold_is_a_variable_that_exists() -> None:
    known = yaml.safe_load((ROOT / "roles/monitoring/defaults/main.yml").read_text())
    text = (TEMPLATES / "rules.d/airworthy_alerts.yml.j2").read_text()
    used = set(re.findall(r"\[\[ (monitoring_\w+) \]\]", text))
    assert used <= set(known)
    thresholds = re.compile(r"_(percent|ms|days|hours|minutes)$|lag_seconds$")
    assert {name for name in known if thresholds.search(name)} - used == {
        "monitoring_headroom_percent",  # of the load test
        "monitoring_retention_days",
    }


def test_every_job_has_a_file_of_targets() -> None:
    files = {path.name.removesuffix(".json.j2") for path in (TEMPLATES / "targets").iterdir()}
    assert files == {*exporters.JOB_TIERS, "probe_http", "probe_tls"}
