#!/usr/bin/python
# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: monitoring_audit
short_description: Examines whether Prometheus watches every host, and whether alerts are on their way
version_added: "0.1.0"
author: the airworthy.stack maintainers (@airworthy)
description:
  - Proves the controls C(mon.exporters), C(mon.health), C(mon.response), C(mon.uptime), C(mon.errors) and
    C(mon.alerts). It runs on the server that carries Prometheus and Alertmanager, and asks both.
  - Neither may answer without TLS, without a password or with a wrong one.
  - Where one of the two was started a moment ago, it waits until the first rules are evaluated.
  - Where something was down at its last scrape, it waits for the next one, since it may have been started again.
extends_documentation_fragment: [airworthy.stack.prometheus, airworthy.stack.attributes.reads_only]
options:
  alertmanager_port:
    description: The port of Alertmanager.
    type: int
    default: 9093
  targets:
    description: The labels of each target that the inventory has - C(job), C(instance), and C(path) of a probed page.
    type: list
    elements: dict
    required: true
  alerts:
    description: The names of the alerts that must be loaded.
    type: list
    elements: str
    required: true
  receivers:
    description: The names of Alertmanager's receivers that reach a person.
    type: list
    elements: str
    required: true
  settle:
    description: Seconds after its start in which Prometheus or Alertmanager may have nothing to tell yet.
    type: int
    default: 180
"""

EXAMPLES = r"""
- name: Every host is watched, and alerts are on their way
  airworthy.stack.monitoring_audit:
    hostname: mon1
    ca_file: /etc/airworthy/tls/ca.crt
    user: airworthy
    password: "{{ lookup('airworthy.stack.secret', 'monitoring') }}"
    targets: [{job: node, instance: mon1}, {job: probe_http, instance: web1, path: /}]
    alerts: [InstanceDown]
    receivers: [email_1]
  register: __monitoring_controls
"""

RETURN = r"""
controls:
  description: The controls, as described in docs/certificate.md.
  returned: always
  type: list
  elements: dict
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.airworthy.stack.plugins.module_utils.control import (
    Check,
    Control,
    judged,
    not_applicable,
    run_probes,
)
from ansible_collections.airworthy.stack.plugins.module_utils.prometheus import (
    API_SPEC,
    Api,
    Sample,
    Silent,
    moment,
)
from ansible_collections.airworthy.stack.plugins.module_utils.web_client import ask_as_strangers, judge_strangers

REMEDIATION = "ansible-playbook site.yml --tags monitoring"

# Jobs of which the watcher has one target each, whatever the inventory says.
OWN_JOBS = ("prometheus", "alertmanager", "blackbox")

RECEIVERS = "receivers"

# Seconds between two looks.
PAUSE = 5

# By job, the series that says whether the service itself is well; others have only `up`.
HEALTH = {
    "probe_http": "probe_success",
    "probe_tls": "probe_success",
    "postgres": "pg_up",
    "pgbouncer": "pgbouncer_up",
}

# By control, what is recorded of each edge.
RECORDED = {
    "mon.response": (
        "edge:response_seconds:mean5m",
        "edge:response_seconds:p50_5m",
        "edge:response_seconds:p95_5m",
        "edge:response_seconds:p99_5m",
    ),
    "mon.uptime": ("edge:uptime:ratio1d", "edge:uptime:ratio30d"),
    "mon.errors": ('edge:bad:ratio5m{sli="requests"}', 'edge:bad:ratio1h{sli="requests"}'),
}

# By control, the path at which a person sees the same.
SHOWN_BY = {
    "mon.exporters": "/api/v1/targets",
    "mon.health": "/api/v1/query?query=probe_success",
    **{control_id: f"/api/v1/query?query={names[0]}" for control_id, names in RECORDED.items()},
    "mon.alerts": "/api/v2/alerts",
}


@dataclass(frozen=True)
class Series:
    """Series with the seconds since their last samples."""

    values: Sequence[Sample]
    ages: Sequence[Sample]

    def find(self, **labels: str) -> tuple[float, float] | None:
        values = [one.value for one in self.values if one.has(**labels)]
        ages = [one.value for one in self.ages if one.has(**labels)]
        return (values[0], ages[0]) if values and ages else None


@dataclass(frozen=True)
class Alerting:
    """What Prometheus has loaded, and what Alertmanager makes of it."""

    groups: Sequence[Mapping[str, Any]]
    reloaded: Sequence[Sample]
    managers: Sequence[Mapping[str, str]]
    receivers: Sequence[str]
    alerts: Sequence[Mapping[str, Any]]
    failed: Sequence[Sample]
    now: float


def series(prometheus: Api, name: str) -> Series:
    return Series(prometheus.query(name), prometheus.query(f"time() - timestamp({name})"))


def observe_alerting(prometheus: Api, alertmanager: Api) -> Alerting:
    return Alerting(
        groups=prometheus.get("/api/v1/rules")["groups"],
        reloaded=prometheus.query("prometheus_config_last_reload_successful"),
        managers=prometheus.get("/api/v1/alertmanagers")["activeAlertmanagers"],
        receivers=[receiver["name"] for receiver in alertmanager.get("/api/v2/receivers")],
        alerts=alertmanager.get("/api/v2/alerts"),
        failed=prometheus.query("sum by (integration) (increase(alertmanager_notifications_failed_total[10m])) > 0"),
        now=time.time(),
    )


def named(labels: Mapping[str, str]) -> str:
    return " ".join(labels[name] for name in ("job", "instance", "port", "path") if name in labels)


def judge_targets(expected: Sequence[Mapping[str, str]], active: Sequence[Mapping[str, Any]]) -> list[Check]:
    seen = {named(target["labels"]): target for target in active}
    wanted = [named(labels) for labels in expected]
    checks = []
    for name in wanted:
        target = seen.get(name)
        if target is None:
            checks.append(Check(name, "up, over TLS", "unknown to Prometheus", False))
            continue
        secure = target["scrapeUrl"].startswith("https://")
        said = target["health"] + (f": {target['lastError']}" if target["lastError"] else "")
        checks.append(
            Check(name, "up, over TLS", said if secure else f"{said}, without TLS", secure and target["health"] == "up")
        )
    own = {name for name, target in seen.items() if target["labels"]["job"] in OWN_JOBS}
    foreign = sorted(set(seen) - set(wanted) - own)
    beyond = Check("targets that the inventory does not have", "none", ", ".join(foreign) or "none", not foreign)
    return [*checks, beyond]


def judge_own(active: Sequence[Mapping[str, Any]]) -> list[Check]:
    health = {target["labels"]["job"]: target["health"] for target in active}
    return [Check.equal(job, "up", health.get(job, "unknown to Prometheus")) for job in OWN_JOBS]


def judge_health(expected: Sequence[Mapping[str, str]], seen: Mapping[str, Series], interval: int) -> list[Check]:
    checks = []
    for labels in expected:
        if name := HEALTH.get(labels["job"]):
            found = seen[name].find(**labels)
            value, age = found or (0, 0)
            shown = f"{value:.0f}, {age:.0f} s ago" if found else "no series"
            fresh = bool(found) and age <= limit(interval)
            checks.append(Check(f"{name} of {named(labels)}", "1, fresh", shown, fresh and value == 1))
    return checks


def judge_recorded(edges: Sequence[str], seen: Mapping[str, Series], interval: int) -> list[Check]:
    checks = []
    for edge in edges:
        for name, recorded in seen.items():
            found = recorded.find(instance=edge)
            value, age = found or (math.nan, 0)
            shown = f"{value:.4g}, {age:.0f} s ago" if found else "no series"
            checks.append(
                Check(f"{name} of {edge}", "a number, fresh", shown, math.isfinite(value) and age <= limit(interval))
            )
    return checks


def limit(interval: int) -> int:
    """The age up to which a sample is fresh: a scrape may be late, and rules are evaluated after it."""
    return 3 * interval + 60


def judge_rules(expected: Sequence[str], seen: Alerting, interval: int) -> list[Check]:
    rules = [rule for group in seen.groups for rule in group["rules"]]
    loaded = {rule["name"] for rule in rules if rule["type"] == "alerting"}
    missing = [name for name in dict.fromkeys(expected) if name not in loaded]
    broken = [f"{rule['name']}: {rule.get('lastError') or rule['health']}" for rule in rules if rule["health"] != "ok"]
    late = [group["name"] for group in seen.groups if seen.now - moment(group["lastEvaluation"]) > limit(interval)]
    reloaded = {sample.value for sample in seen.reloaded}
    return [
        Check("alerts", f"{len(set(expected))} loaded", _without("missing", missing), bool(expected) and not missing),
        Check("rules", "all evaluated", _without("broken", broken), bool(rules) and not broken),
        Check("groups of rules", "evaluated in time", _without("late", late), not late),
        Check("Prometheus' configuration", "loaded", "loaded" if reloaded == {1.0} else "refused", reloaded == {1.0}),
    ]


def judge_delivery(expected: Sequence[str], seen: Alerting) -> list[Check]:
    managers = [manager["url"] for manager in seen.managers]
    one = len(managers) == 1 and managers[0].startswith("https://")
    watchdog = [alert for alert in seen.alerts if alert["labels"]["alertname"] == "Watchdog"]
    lacking = [name for name in expected if name not in seen.receivers]
    failed = [f"{sample.labels.get('integration')}: {sample.value:.0f}" for sample in seen.failed]
    receivers = "none is configured: set monitoring_receivers" if not expected else _without("unknown", lacking)
    return [
        Check("Alertmanager", "connected over TLS", ", ".join(managers) or "not connected", one),
        Check(RECEIVERS, "at least one", receivers, bool(expected) and not lacking),
        Check("Watchdog in Alertmanager", "active", _state(watchdog), any(_active(alert) for alert in watchdog)),
        Check("notifications of the last ten minutes", "none failed", _without("failed", failed), not failed),
    ]


def _active(alert: Mapping[str, Any]) -> bool:
    return bool(alert["status"]["state"] == "active")


def _state(alerts: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(alert["status"]["state"] for alert in alerts) or "missing"


def _without(what: str, found: Sequence[str]) -> str:
    return f"{what}: {', '.join(found)}" if found else f"none {what}"


class Audit:
    """The probes of one examination; each of them asks anew."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.params = params
        self.prometheus = Api.of(params, params["prometheus_port"])
        self.alertmanager = Api.of(params, params["alertmanager_port"])

    def strangers(self, service: str, api: Api, path: str) -> list[Check]:
        return judge_strangers(service, ask_as_strangers(api.target, path, api.user, api.password))

    def exporters(self) -> list[Check]:
        checks = self.strangers("Prometheus", self.prometheus, "/api/v1/targets")
        active = self.prometheus.get("/api/v1/targets", state="active")["activeTargets"]
        return checks + judge_targets(self.params["targets"], active) + judge_own(active)

    def health(self) -> list[Check]:
        wanted = {HEALTH[labels["job"]] for labels in self.params["targets"] if labels["job"] in HEALTH}
        seen = {name: series(self.prometheus, name) for name in sorted(wanted)}
        return judge_health(self.params["targets"], seen, self.params["interval"])

    def edges(self) -> list[str]:
        found = (labels["instance"] for labels in self.params["targets"] if labels["job"] == "probe_http")
        return list(dict.fromkeys(found))

    def recorded(self, control_id: str) -> list[Check]:
        seen = {name: series(self.prometheus, name) for name in RECORDED[control_id]}
        return judge_recorded(self.edges(), seen, self.params["interval"])

    def alerts(self) -> list[Check]:
        checks = self.strangers("Alertmanager", self.alertmanager, "/api/v2/alerts")
        seen = observe_alerting(self.prometheus, self.alertmanager)
        checks += judge_rules(self.params["alerts"], seen, self.params["interval"])
        return checks + judge_delivery(self.params["receivers"], seen)

    def checks(self, control_id: str) -> list[Check]:
        if control_id in RECORDED:
            return self.recorded(control_id)
        probes = {"mon.exporters": self.exporters, "mon.health": self.health, "mon.alerts": self.alerts}
        return probes[control_id]()

    def control(self, control_id: str) -> Control:
        if control_id in RECORDED and not self.edges():
            return not_applicable(control_id, "quick", "No host of tier edge is watched from here.")
        api = self.alertmanager if control_id == "mon.alerts" else self.prometheus
        # curl asks for the password, so that it stands in no history
        command = api.target.curl(SHOWN_BY[control_id], "-u", "admin")
        try:
            checks = self.checks(control_id)
        except Silent as silence:
            checks = [Check("answer", "200", str(silence), False)]
        return judged(control_id, "quick", checks, command=command, remediation=REMEDIATION)

    def age(self) -> float:
        """Seconds since one of the two was started; many, when one does not run."""
        try:
            started = self.prometheus.get("/api/v1/status/runtimeinfo")["startTime"]
            also = self.alertmanager.get("/api/v2/status")["uptime"]
        except Silent:
            return math.inf
        return time.time() - max(moment(started), moment(also))


def can_settle(controls: Sequence[Mapping[str, Any]]) -> bool:
    """Whether something fails that time may mend; a receiver that nobody configured is not among it."""
    checks = [check for control in controls for check in control["evidence"]["checks"]]
    return any(not check["ok"] and check["subject"] != RECEIVERS for check in checks)


def is_scraped_badly(controls: Sequence[Mapping[str, Any]]) -> bool:
    """Whether something fails that the next scrape may see in order."""
    return any(control["status"] == "fail" and control["id"] in ("mon.exporters", "mon.health") for control in controls)


def examine(params: Mapping[str, Any], sleep: Callable[[float], None] = time.sleep) -> list[dict[str, Any]]:
    audit, waited = Audit(params), 0
    while True:
        controls = run_probes("quick", {name: partial(audit.control, name) for name in SHOWN_BY})
        age = audit.age() if can_settle(controls) else math.inf
        next_scrape = is_scraped_badly(controls) and waited <= params["interval"]
        if math.isinf(age) or (age > params["settle"] and not next_scrape):
            return controls
        sleep(PAUSE)
        waited += PAUSE


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **API_SPEC,
            "alertmanager_port": {"type": "int", "default": 9093},
            "targets": {"type": "list", "elements": "dict", "required": True},
            "alerts": {"type": "list", "elements": "str", "required": True},
            "receivers": {"type": "list", "elements": "str", "required": True},
            "settle": {"type": "int", "default": 180},
        },
        supports_check_mode=True,
    )
    module.exit_json(changed=False, controls=examine(module.params))


if __name__ == "__main__":
    main()
