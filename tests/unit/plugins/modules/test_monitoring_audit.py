"""The audit of Prometheus and Alertmanager, against two that do everything right, and against one fault at a time."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.airworthy.stack.plugins.module_utils.control import Check
from ansible_collections.airworthy.stack.plugins.module_utils.prometheus import Sample, moment
from ansible_collections.airworthy.stack.plugins.modules import monitoring_audit as audit
from prometheus_server import HOST, prometheus

NOW = 1_800_000_000.0
INTERVAL = 15
NODE = {"job": "node", "instance": "web1"}
PAGE = {"job": "probe_http", "instance": "web1", "path": "/"}
DATABASE = {"job": "postgres", "instance": "web1"}
INSTANCES = [{"job": "app", "instance": "web1", "port": port} for port in ("3000", "3001")]
EXPECTED = [NODE, PAGE, DATABASE, *INSTANCES]


def target(labels: dict[str, str], **changed: str) -> dict[str, Any]:
    return {"labels": labels, "scrapeUrl": "https://10.0.0.1:9100/metrics", "health": "up", "lastError": ""} | changed


OWN = [target({"job": job, "instance": HOST}) for job in audit.OWN_JOBS]
GOOD_TARGETS = [*(target(labels) for labels in EXPECTED), *OWN]
ALERTING = audit.Alerting(
    groups=[
        {
            "name": "hosts",
            "lastEvaluation": datetime.fromtimestamp(NOW - 10, UTC).isoformat(),
            "rules": [
                {"type": "recording", "name": "instance:memory:ratio", "health": "ok"},
                {"type": "alerting", "name": "MemoryHigh", "health": "ok"},
                {"type": "alerting", "name": "Watchdog", "health": "ok"},
            ],
        }
    ],
    reloaded=[Sample({}, 1.0)],
    managers=[{"url": "https://127.0.0.1:9093/api/v2/alerts"}],
    receivers=["nobody", "email_1"],
    alerts=[{"labels": {"alertname": "Watchdog"}, "status": {"state": "active"}}],
    failed=[],
    now=NOW,
)


def failing(checks: list[Check]) -> list[str]:
    return [check.subject for check in checks if not check.ok]


def test_good_targets_pass() -> None:
    assert failing(audit.judge_targets(EXPECTED, GOOD_TARGETS) + audit.judge_own(GOOD_TARGETS)) == []


@pytest.mark.parametrize(
    ("active", "failed"),
    [
        (GOOD_TARGETS[1:], ["node web1"]),
        ([target(NODE, health="down", lastError="refused"), *GOOD_TARGETS[1:]], ["node web1"]),
        ([target(NODE, health="unknown"), *GOOD_TARGETS[1:]], ["node web1"]),
        ([target(NODE, scrapeUrl="http://10.0.0.1:9100/metrics"), *GOOD_TARGETS[1:]], ["node web1"]),
        ([*GOOD_TARGETS, target(NODE | {"instance": "gone"})], ["targets that the inventory does not have"]),
        ([*GOOD_TARGETS, target(PAGE | {"path": "/x"})], ["targets that the inventory does not have"]),
        ([one for one in GOOD_TARGETS if one["labels"].get("port") != "3001"], ["app web1 3001"]),
        (GOOD_TARGETS[:-1], ["blackbox"]),
        ([], [*map(audit.named, EXPECTED), "prometheus", "alertmanager", "blackbox"]),
    ],
)
def test_a_fault_of_a_target_fails(active: list[dict[str, Any]], failed: list[str]) -> None:
    assert failing(audit.judge_targets(EXPECTED, active) + audit.judge_own(active)) == failed


def health(page: float = 1, database: float = 1, age: float = 5) -> dict[str, audit.Series]:
    return {
        "probe_success": audit.Series([Sample(PAGE, page)], [Sample(PAGE, age)]),
        "pg_up": audit.Series([Sample(DATABASE, database)], [Sample(DATABASE, age)]),
    }


@pytest.mark.parametrize(
    ("seen", "failed"),
    [
        (health(), []),
        (health(page=0), ["probe_success of probe_http web1 /"]),
        (health(database=0), ["pg_up of postgres web1"]),
        (health(age=106), ["probe_success of probe_http web1 /", "pg_up of postgres web1"]),
        (health(age=105), []),
        (health() | {"pg_up": audit.Series([], [])}, ["pg_up of postgres web1"]),
    ],
)
def test_health_is_what_the_services_say_now(seen: dict[str, audit.Series], failed: list[str]) -> None:
    assert failing(audit.judge_health(EXPECTED, seen, INTERVAL)) == failed


@pytest.mark.parametrize(
    ("value", "age", "ok"),
    [(0.2, 5, True), (0, 5, True), (math.nan, 5, False), (math.inf, 5, False), (0.2, 106, False)],
)
def test_what_is_recorded_is_a_fresh_number(value: float, age: float, ok: bool) -> None:
    edge = {"instance": "web1"}
    seen = {"edge:bad:ratio5m": audit.Series([Sample(edge, value)], [Sample(edge, age)])}
    assert [check.ok for check in audit.judge_recorded(["web1"], seen, INTERVAL)] == [ok]
    assert [check.ok for check in audit.judge_recorded(["web2"], seen, INTERVAL)] == [False]


def alerting(**changed: Any) -> audit.Alerting:
    return replace(deepcopy(ALERTING), **changed)


def rules(*known: dict[str, Any], ago: float = 10) -> list[dict[str, Any]]:
    return [{**ALERTING.groups[0], "rules": list(known), "lastEvaluation": f"{datetime.utcfromtimestamp(NOW - ago)}Z"}]


MEMORY, WATCHDOG = ALERTING.groups[0]["rules"][1:]
SILENCED = [{"labels": {"alertname": "Watchdog"}, "status": {"state": "suppressed"}}]


@pytest.mark.parametrize(
    ("seen", "failed"),
    [
        (ALERTING, []),
        (alerting(groups=rules(WATCHDOG)), ["alerts"]),
        (alerting(groups=rules(MEMORY | {"type": "recording"}, WATCHDOG)), ["alerts"]),
        (alerting(groups=rules(MEMORY | {"health": "err", "lastError": "x"}, WATCHDOG)), ["rules"]),
        (alerting(groups=rules(MEMORY | {"health": "unknown"}, WATCHDOG)), ["rules"]),
        (alerting(groups=rules(MEMORY, WATCHDOG, ago=110)), ["groups of rules"]),
        (alerting(groups=[]), ["alerts", "rules"]),
        (alerting(reloaded=[Sample({}, 0.0)]), ["Prometheus' configuration"]),
        (alerting(reloaded=[]), ["Prometheus' configuration"]),
        (alerting(managers=[]), ["Alertmanager"]),
        (alerting(managers=[{"url": "http://127.0.0.1:9093/api/v2/alerts"}]), ["Alertmanager"]),
        (alerting(receivers=["nobody"]), ["receivers"]),
        (alerting(alerts=[]), ["Watchdog in Alertmanager"]),
        (alerting(alerts=SILENCED), ["Watchdog in Alertmanager"]),
        (alerting(failed=[Sample({"integration": "email"}, 2)]), ["notifications of the last ten minutes"]),
    ],
)
def test_a_fault_of_alerting_fails(seen: audit.Alerting, failed: list[str]) -> None:
    checks = audit.judge_rules(["MemoryHigh", "Watchdog"], seen, INTERVAL) + audit.judge_delivery(["email_1"], seen)
    assert failing(checks) == failed


def test_without_a_receiver_it_says_what_to_set() -> None:
    (check,) = [check for check in audit.judge_delivery([], ALERTING) if not check.ok]
    assert "set monitoring_receivers" in check.observed


@pytest.mark.parametrize(
    "text", ["2027-01-15T08:00:00Z", "2027-01-15T08:00:00.000000000Z", "2027-01-15T09:00:00.0+01:00"]
)
def test_times_are_read(text: str) -> None:
    assert moment(text) == NOW


def vector(*samples: tuple[dict[str, str], float]) -> dict[str, Any]:
    found = [{"metric": labels, "value": [0, str(value)]} for labels, value in samples]
    return {"resultType": "vector", "result": found}


def answers(receivers: list[str], started: float) -> Callable[[str, str], Any]:
    """What a good pair of services says to each question."""
    stamp = datetime.fromtimestamp(started, UTC).isoformat()

    def say(path: str, query: str) -> Any:
        name = query.removeprefix("time() - timestamp(").rstrip(")")
        value = 5 if name != query else 1
        of_series = {"probe_success": PAGE, "pg_up": DATABASE, "prometheus_config_last_reload_successful": {}}
        if name in (*of_series, *(each for names in audit.RECORDED.values() for each in names)):
            return {"data": vector((of_series.get(name, {"instance": "web1"}), value))}
        groups = [{**ALERTING.groups[0], "lastEvaluation": datetime.now(UTC).isoformat()}]
        return {
            "/api/v1/query": {"data": vector()},
            "/api/v1/targets": {"data": {"activeTargets": GOOD_TARGETS}},
            "/api/v1/rules": {"data": {"groups": groups}},
            "/api/v1/alertmanagers": {"data": {"activeAlertmanagers": ALERTING.managers}},
            "/api/v1/status/runtimeinfo": {"data": {"startTime": stamp}},
            "/api/v2/status": {"uptime": stamp},
            "/api/v2/receivers": [{"name": name} for name in receivers],
            "/api/v2/alerts": ALERTING.alerts,
        }[path]

    return say


@contextmanager
def services(directory: Path, say: Callable[[str, str], Any], **changed: Any) -> Iterator[dict[str, Any]]:
    """One server that is both, and the parameters with which to examine it."""
    with prometheus(directory, lambda path, asked: say(path, asked.get("query", ""))) as params:
        yield {
            **params,
            "alertmanager_port": params["prometheus_port"],
            "targets": EXPECTED,
            "alerts": ["MemoryHigh", "Watchdog"],
            "receivers": ["email_1"],
            "interval": INTERVAL,
            "settle": 120,
            **changed,
        }


def never(seconds: float) -> None:
    pytest.fail("it waits for what will not come")


def test_good_services_pass(tmp_path: Path) -> None:
    with services(tmp_path, answers(["nobody", "email_1"], started=time.time())) as params:
        controls = audit.examine(params, sleep=never)
    assert {control["id"]: control["status"] for control in controls} == dict.fromkeys(audit.SHOWN_BY, "pass")
    assert "secret" not in json.dumps(controls)


@pytest.mark.parametrize("changed", [{"password": "another"}, {"hostname": "mon2"}, {"prometheus_port": 1}])
def test_services_that_do_not_answer_fail(tmp_path: Path, changed: dict[str, Any]) -> None:
    with services(tmp_path, answers(["email_1"], started=0), **changed) as params:
        controls = audit.examine(params, sleep=never)
    assert {control["status"] for control in controls} == {"fail"}


@pytest.mark.parametrize(("age", "waits"), [(10, 1), (1000, 0)])
def test_what_was_just_started_may_have_nothing_to_tell_yet(tmp_path: Path, age: float, waits: int) -> None:
    watchdog: list[dict[str, Any]] = []
    slept: list[float] = []

    def settle(seconds: float) -> None:
        slept.append(seconds)
        watchdog.extend(ALERTING.alerts)

    def say(path: str, query: str) -> Any:
        return watchdog if path == "/api/v2/alerts" else answers(["email_1"], time.time() - age)(path, query)

    with services(tmp_path, say) as params:
        controls = audit.examine(params, sleep=settle)
    assert len(slept) == waits
    not_passed = {control["id"] for control in controls if control["status"] != "pass"}
    assert not_passed == (set() if waits else {"mon.alerts"})


@pytest.mark.parametrize(("scrapes", "status"), [(1, "pass"), (99, "fail")])
def test_what_was_down_at_its_last_scrape_is_looked_at_after_the_next(
    tmp_path: Path, scrapes: int, status: str
) -> None:
    slept: list[float] = []
    down = [{**one, "health": "down", "lastError": "502"} for one in GOOD_TARGETS]

    def say(path: str, query: str) -> Any:
        if path == "/api/v1/targets" and len(slept) < scrapes:
            return {"data": {"activeTargets": down}}
        return answers(["email_1"], started=0)(path, query)

    with services(tmp_path, say) as params:
        controls = {control["id"]: control["status"] for control in audit.examine(params, sleep=slept.append)}
    assert controls["mon.exporters"] == status
    assert sum(slept) == (5 if status == "pass" else INTERVAL + 5)


def test_a_receiver_that_nobody_configured_is_not_waited_for(tmp_path: Path) -> None:
    with services(tmp_path, answers([], started=time.time()), receivers=[]) as params:
        controls = audit.examine(params, sleep=never)
    assert [control["id"] for control in controls if control["status"] != "pass"] == ["mon.alerts"]


def test_without_an_edge_there_is_nothing_to_record(tmp_path: Path) -> None:
    node = [target(NODE), *OWN]

    def say(path: str, query: str) -> Any:
        good = answers(["email_1"], started=0)(path, query)
        return {"data": {"activeTargets": node}} if path == "/api/v1/targets" else good

    with services(tmp_path, say, targets=[NODE]) as params:
        controls = audit.examine(params, sleep=never)
    assert {control["id"] for control in controls if control["status"] == "not_applicable"} == set(audit.RECORDED)
