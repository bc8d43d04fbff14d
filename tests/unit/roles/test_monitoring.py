"""The alerts: whoever is woken by one finds out what to do, and what it needs to say is there."""

from __future__ import annotations

import http.client
import json
import re
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from ansible_collections.airworthy.stack.plugins.plugin_utils import exporters
from role_programs import load_program

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
    """FireDrill has no rule: a drill raises it itself, to say what it is."""
    assert {path.stem for path in RUNBOOKS.iterdir()} == {alert["alert"] for alert in ALERTS} | {"FireDrill"}


def test_the_links_of_runbooks_lead_somewhere() -> None:
    for path in RUNBOOKS.iterdir():
        for link in re.findall(r"\]\(([^)]+)\)", path.read_text()):
            assert (path.parent / link).exists(), f"{path.name} leads to {link}"


def test_a_threshold_is_a_variable_that_exists() -> None:
    known = yaml.safe_load((ROOT / "roles/monitoring/defaults/main.yml").read_text())
    text = (TEMPLATES / "rules.d/airworthy_alerts.yml.j2").read_text()
    used = set(re.findall(r"\[\[ (monitoring_\w+) \]\]", text))
    assert used <= set(known)
    thresholds = re.compile(r"_(percent|ms|days|hours|minutes)$|(lag|delay)_seconds$")
    assert {name for name in known if thresholds.search(name)} - used == {
        "monitoring_headroom_percent",  # of the load test
        "monitoring_retention_days",
    }


def test_every_job_has_a_file_of_targets() -> None:
    files = {path.name.removesuffix(".json.j2") for path in (TEMPLATES / "targets").iterdir()}
    assert files == {*exporters.JOB_TIERS, "probe_http", "probe_tls"}


# The receiver that writes alerts into the journal.


@pytest.fixture(scope="module")
def history() -> ModuleType:
    return load_program("monitoring/templates/history/usr/local/lib/airworthy/alert_history.py")


@pytest.fixture
def receiver(history: ModuleType) -> Iterator[http.client.HTTPConnection]:
    history.Receiver.token = "secret"
    server = ThreadingHTTPServer(("127.0.0.1", 0), history.Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=5)
    server.shutdown()
    server.server_close()


NOTIFICATION = {
    "alerts": [
        {
            "status": status,
            "labels": {"alertname": "DiskSpaceLow", "severity": "warning", "instance": "db1", "device": "/dev/sdä"},
            "annotations": {"summary": "filling\nup", "description": "19 %"},
            "startsAt": "2026-11-27T12:00:00Z",
            "endsAt": ended,
        }
        for status, ended in (("firing", "0001-01-01T00:00:00Z"), ("resolved", "2026-11-27T12:05:00Z"))
    ]
}


def test_each_alert_is_a_line_of_its_own(
    receiver: http.client.HTTPConnection, capsys: pytest.CaptureFixture[str]
) -> None:
    receiver.request("POST", "/", json.dumps(NOTIFICATION), {"Authorization": "Bearer secret"})
    assert receiver.getresponse().status == 200
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["status"] for one in said] == ["firing", "resolved"]
    assert [one["ended"] for one in said] == [None, "2026-11-27T12:05:00Z"]
    assert said[0]["alertname"] == "DiskSpaceLow"
    assert said[0]["summary"] == "filling\nup"
    assert said[0]["labels"]["device"] == "/dev/sdä"


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({}, json.dumps(NOTIFICATION), 401),
        ({"Authorization": "Bearer wrong"}, json.dumps(NOTIFICATION), 401),
        ({"Authorization": "Bearer sécret"}, "{}", 401),
        ({"Authorization": "Bearer secret"}, "no JSON", 400),
        ({"Authorization": "Bearer secret"}, "[]", 400),
        ({"Authorization": "Bearer secret"}, '{"alerts": [{}]}', 400),
    ],
)
def test_nonsense_and_strangers_leave_no_line(
    receiver: http.client.HTTPConnection,
    capsys: pytest.CaptureFixture[str],
    headers: dict[str, str],
    body: str,
    status: int,
) -> None:
    receiver.request("POST", "/", body, headers)
    assert receiver.getresponse().status == status
    assert capsys.readouterr().out == ""
