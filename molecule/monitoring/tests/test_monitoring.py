"""What monitoring promises, seen with other eyes than its own."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from promql import series_in
from testinfra.host import Host

ROOT = Path(__file__).parents[3]
CA = "/etc/airworthy/tls/ca.crt"
UNITS = {"prometheus": 9090, "prometheus-alertmanager": 9093, "prometheus-blackbox-exporter": 9115}
Ask = Callable[..., Any]
Query = Callable[[str], list[dict[str, Any]]]

# Series of which a rule, the page or a dashboard may speak before they are there.
SOMETIMES = {
    "airworthy_backup_last_timestamp_seconds",  # the role that brings these runs after this one
    "airworthy_backup_job_success",
    "airworthy_backup_job_duration_seconds",
    "airworthy_backup_last_size_bytes",
    "airworthy_backup_last_repository_bytes",
    "airworthy_backup_free_bytes",
    "airworthy_backup_repository_ok",
    "airworthy_drill_last_timestamp_seconds",
    "airworthy_drill_last_success",
    "airworthy_drill_backup_size_bytes",
    "airworthy_drill_recovery_point_seconds",
    "airworthy_drill_recovery_time_seconds",
    "airworthy_files_backup_last_success_time_seconds",
    "airworthy_files_backup_success",
    "airworthy_files_backup_check_success",
    "airworthy_files_backup_prune_success",
    "airworthy_log_shipper_lines_total",  # where logs are brought to a collector
    "airworthy_log_shipper_masked_total",
    "airworthy_log_shipper_dropped_total",
    "airworthy_log_shipper_failures_total",
    "airworthy_log_shipper_delay_seconds",
    "airworthy_log_shipper_delivered_timestamp_seconds",
    "airworthy_log_forwarder_delay_seconds",  # where they are forwarded
    "airworthy_log_forwarder_lost_total",
    "airworthy_log_forwarder_refused_total",
    "airworthy_log_store_bytes",
    "airworthy_log_store_files",
    "airworthy_log_store_oldest_day_timestamp_seconds",
    "airworthy_log_store_kept_timestamp_seconds",
    "prometheus_remote_storage_samples_failed_total",  # where there is a receiver
    "prometheus_remote_storage_samples_retried_total",
    "airworthy_certificate_passed",  # certify.yml brings it
    "airworthy_certificate_timestamp_seconds",
    "airworthy_certificate_lines",
    "airworthy_certificate_failing",
}

each = pytest.mark.parametrize(("unit", "port"), UNITS.items())


@each
def test_it_runs_now_and_after_a_boot(host: Host, unit: str, port: int) -> None:
    assert host.service(unit).is_running
    assert host.service(unit).is_enabled


@each
def test_it_can_be_reached_from_here_only(host: Host, unit: str, port: int) -> None:
    listening = host.check_output(f"ss --no-header --listening --tcp --numeric 'sport = :{port}'").split()
    assert [word for word in listening if word.endswith(f":{port}")] == [f"127.0.0.1:{port}"]
    assert f"{port}" not in host.check_output("nft list chain inet airworthy input")


@each
@pytest.mark.parametrize(("scheme", "status"), [("https", "401"), ("http", "400")])
def test_a_stranger_learns_nothing(host: Host, unit: str, port: int, scheme: str, status: str) -> None:
    url = f"{scheme}://127.0.0.1:{port}/metrics"
    assert host.check_output(f"curl -s -o /dev/null -w '%{{http_code}}' --cacert {CA} {url}") == status


@pytest.mark.parametrize("path", ["/-/reload", "/-/quit", "/api/v1/admin/tsdb/snapshot"])
def test_nobody_stops_or_reloads_it_over_the_network(host: Host, path: str) -> None:
    password = (ROOT / "molecule/inventory/.secrets/monitoring_admin").read_text().strip()
    curl = f"curl -s -o /dev/null -w '%{{http_code}}' -X POST --cacert {CA} --config - https://127.0.0.1:9090{path}"
    assert host.check_output(f"echo 'user = admin:{password}' | {curl}") .startswith(("4", "5"))


@each
def test_it_has_no_privileges(host: Host, unit: str, port: int) -> None:
    pid = host.check_output(f"systemctl show -P MainPID {unit}")
    status = host.file(f"/proc/{pid}/status").content_string
    assert "NoNewPrivs:\t1" in status
    assert "CapEff:\t0000000000000000" in status
    assert host.check_output(f"stat -c %U /proc/{pid}") == "prometheus"


def test_secrets_are_for_it_alone(host: Host) -> None:
    for path in ("prometheus/secrets/exporters", "prometheus/secrets/monitoring", "alertmanager/alertmanager.yml"):
        secret = host.file(f"/etc/{path}")
        assert (secret.user, secret.group, secret.mode) == ("root", "prometheus", 0o640)


def test_the_host_and_the_one_that_it_watches_are_up(host: Host, query: Query, wait: Callable[..., Any]) -> None:
    targets = json.loads(host.file("/etc/prometheus/targets/node.json").content_string)
    watched = {group["labels"]["instance"] for group in targets}
    assert len(watched) == 2
    wait(lambda: {one["metric"]["instance"] for one in query('up{job="node"} == 1')} == watched)
    wait(lambda: not query("up == 0"), 60, lambda: query("up == 0"))


def test_each_instance_of_the_application_is_a_target(host: Host, query: Query, wait: Callable[..., Any]) -> None:
    name = host.check_output("hostname")
    for series in ("up", "nodejs_eventloop_lag_seconds", "app_database_requests_waiting"):
        one_each = f'{series}{{job="app",instance="{name}"}}'
        wait(lambda asked=one_each: {one["metric"]["port"] for one in query(asked)} == {"3000", "3001"})
    down = f'up{{job="app",instance="{name}"}} == 0'
    wait(lambda: not query(down), 60, lambda: query(down))


def test_a_page_shows_the_site_at_a_glance(host: Host) -> None:
    password = (ROOT / "molecule/inventory/.secrets/monitoring_admin").read_text().strip()
    curl = f"curl -sS --fail --cacert {CA} --config - https://127.0.0.1:9090/consoles/index.html"
    page = host.check_output(f"echo 'user = admin:{password}' | {curl}")
    name = host.check_output("hostname")
    for table in ("Hosts", "Databases", "The site, as its visitors see it"):
        assert f"<th>{name}</th>" in page.partition(f"<h2>{table}</h2>")[2].partition("<h2>")[0]
    assert page.rstrip().endswith("</html>"), "an error in a template ends the page"


def test_each_rule_and_each_figure_is_about_series_that_exist(host: Host, ask: Ask, wait: Callable[..., Any]) -> None:
    """A rule about nothing never fires. Where its series come and go, it is named above with the reason."""
    expressions = [rule["query"] for group in ask(9090, "/api/v1/rules")["groups"] for rule in group["rules"]]
    page = (ROOT / "roles/monitoring/templates/etc/prometheus/consoles/index.html").read_text()
    expressions += [words for words in re.findall(r'(?:query|printf) "((?:[^"\\]|\\.)*)"', page) if "=%q" not in words]
    written = yaml.safe_load((ROOT / "roles/monitoring/vars/main/dashboards.yml").read_text())
    dashboards = written["__monitoring_dashboards"]
    expressions += [line for one in dashboards.values() for panel in one["panels"] for line in panel["lines"].values()]
    names = {name for expression in expressions for name in series_in(expression)} - SOMETIMES
    assert len(names) > 10

    def known() -> set[str]:
        return set(ask(9090, "/api/v1/label/__name__/values"))

    wait(lambda: names <= known(), 150, lambda: names - known())


def test_a_dead_mans_switch_is_told_that_alerting_works(host: Host, wait: Callable[..., Any]) -> None:
    told = wait(lambda: [line for line in received(host) if line["path"] == "/watchdog"], 90)
    assert {alert["labels"]["alertname"] for line in told for alert in line["alerts"]} == {"Watchdog"}


def test_of_a_host_that_is_down_nothing_else_is_told(host: Host, ask: Ask, wait: Callable[..., Any]) -> None:
    name = f"lost{os.getpid()}"
    raise_alerts(host, {"InstanceDown": "critical", "MemoryHigh": "warning", "SiteDown": "critical"}, name)

    def states() -> dict[str, str]:
        alerts = [alert for alert in ask(9093, "/api/v2/alerts") if alert["labels"].get("instance") == name]
        return {alert["labels"]["alertname"]: alert["status"]["state"] for alert in alerts}

    wait(lambda: states() == {"InstanceDown": "active", "MemoryHigh": "suppressed", "SiteDown": "suppressed"}, 30)
    told = wait(lambda: [line for line in received(host) if name in json.dumps(line)], 60)
    assert {alert["labels"]["alertname"] for line in told for alert in line["alerts"]} == {"InstanceDown"}


def test_every_alert_is_in_the_journal(host: Host, wait: Callable[..., Any]) -> None:
    name = f"noted{os.getpid()}"
    raise_alerts(host, {"SecurityUpdatesPending": "warning"}, name)
    journal = f"journalctl --unit airworthy-alert-history --output cat --grep {name}"
    line = json.loads(wait(lambda: host.run(journal).stdout, 60).splitlines()[0])
    assert (line["alertname"], line["status"], line["instance"]) == ("SecurityUpdatesPending", "firing", name)


def test_nobody_else_writes_there(host: Host) -> None:
    token = host.check_output("cat /etc/prometheus/secrets/alert_history")
    curl = "curl -s -o /dev/null -w '%{http_code}' --data '{}' http://127.0.0.1:9095/"
    assert host.check_output(curl) == "401"
    assert host.check_output(f"{curl} -H 'Authorization: Bearer {token}x'") == "401"
    assert host.check_output(f"{curl} -H 'Authorization: Bearer {token}'") == "400", "no notification"
    assert host.socket("tcp://127.0.0.1:9095").is_listening
    assert not host.socket("tcp://0.0.0.0:9095").is_listening


def received(host: Host) -> list[dict[str, Any]]:
    """What the stand-in of a receiver was told."""
    log = host.file("/var/tmp/alerts")
    return [json.loads(line) for line in log.content_string.splitlines()] if log.exists else []


def raise_alerts(host: Host, alerts: dict[str, str], instance: str) -> None:
    labels = [{"alertname": name, "severity": severity, "instance": instance} for name, severity in alerts.items()]
    known = json.dumps([{"labels": each} for each in labels])
    password = (ROOT / "molecule/inventory/.secrets/monitoring_admin").read_text().strip()
    curl = f"curl -sf --cacert {CA} -u admin:{password} --json {shlex.quote(known)}"
    host.check_output(f"{curl} https://127.0.0.1:9093/api/v2/alerts")


# Stories, each told by what the role does when it runs again.


def converge(host: Host, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["ansible-playbook", "molecule/monitoring/converge.yml", "-i", "molecule/inventory", *arguments]
    command += ["--limit", f"{host.check_output('hostname')},neighbor"]
    return subprocess.run(command, cwd=ROOT, text=True, capture_output=True, timeout=300)


def test_a_host_that_leaves_the_inventory_leaves_prometheus(
    host: Host, ask: Ask, wait: Callable[..., Any], tmp_path: Path
) -> None:
    def states() -> dict[str, str]:
        targets = ask(9090, "/api/v1/targets", state="active")["activeTargets"]
        return {one["labels"]["instance"]: one["health"] for one in targets if one["labels"]["job"] == "node"}

    began, pid = states(), host.check_output("systemctl show -P MainPID prometheus")
    newcomer = {"airworthy_address": "127.0.0.9", "airworthy_watched_by": [host.check_output("hostname")]}
    more = tmp_path / "more.yml"
    more.write_text(json.dumps({"cache": {"hosts": {"newcomer": {**newcomer, "airworthy_exporter_ports": ELSEWHERE}}}}))

    came = converge(host, "-i", str(more))
    assert came.returncode == 0, came.stdout
    wait(lambda: states() == {**began, "newcomer": "down"})

    left = converge(host)
    assert left.returncode == 0, left.stdout
    wait(lambda: states() == began)
    assert host.check_output("systemctl show -P MainPID prometheus") == pid, "it went on all the time"


ELSEWHERE = {"node": 9, "process": 10, "postgres": 11, "pgbouncer": 12, "nginx": 13, "app": 14}


def test_a_broken_rule_never_lands(host: Host, ask: Ask) -> None:
    rules = host.file("/etc/prometheus/rules.d/airworthy_alerts.yml").content_string
    broken = converge(host, "-e", json.dumps({"__monitoring_budget": "no number ("}))
    assert broken.returncode != 0
    assert "is not valid, and nothing was changed" in broken.stdout
    assert host.file("/etc/prometheus/rules.d/airworthy_alerts.yml").content_string == rules
    assert {group["name"] for group in ask(9090, "/api/v1/rules")["groups"]} >= {"hosts", "site", "watching"}


def test_a_rule_that_a_person_broke_is_mended(host: Host, query: Query, wait: Callable[..., Any]) -> None:
    loaded = "prometheus_config_last_reload_successful"
    host.check_output("echo 'groups: [' > /etc/prometheus/rules.d/airworthy_alerts.yml && systemctl reload prometheus")
    wait(lambda: query(f"{loaded} == 0"))
    assert query("up == 1"), "it goes on with what it had loaded"

    assert converge(host).returncode == 0
    wait(lambda: query(f"{loaded} == 1"))


# The fire drill: that all five alerts arrive is seen in the scenario `site`. Here, what it says of those that do not.


FULL = "/var/lib/airworthy/fire/full"


def drill(host: Host, fires: list[dict[str, Any]], tmp_path: Path) -> dict[str, Any]:
    """The control of a drill with these faults."""
    name = host.check_output("hostname")
    record = tmp_path / "record.json"
    play = [
        {
            "hosts": name,
            "gather_facts": False,
            "tasks": [
                {
                    "ansible.builtin.import_role": {
                        "name": "airworthy.stack.monitoring",
                        "tasks_from": "certify/fire_drill",
                    }
                },
                {
                    "ansible.builtin.copy": {
                        "dest": str(record),
                        "content": "{{ __monitoring_fire_drill_controls.controls | to_json }}",
                        "mode": "0600",
                    },
                    "delegate_to": "localhost",
                },
            ],
        }
    ]
    playbook = tmp_path / "drill.yml"
    playbook.write_text(json.dumps(play))
    here = [{**fire, "instance": name, "drilled": True} for fire in fires]
    given = json.dumps({"__monitoring_fires": here, "airworthy_certify_level": "deep"})
    command = ["ansible-playbook", str(playbook), "-i", "molecule/inventory", "-e", given]
    result = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
    (control,) = json.loads(record.read_text())
    return dict(control)


def test_an_alert_that_does_not_come_fails_the_drill_and_every_fire_is_out(host: Host, tmp_path: Path) -> None:
    faults = [("disk", "DiskSpaceLow"), ("memory", "MemoryHigh"), ("errors", "ErrorRateHigh"), ("database", "Nothing")]
    control = drill(host, [{"fault": fault, "alert": alert, "seconds": 20} for fault, alert in faults], tmp_path)
    assert control["status"] == "fail"
    assert [check["observed"] for check in control["evidence"]["checks"]] == ["not told"] * len(faults)
    assert host.run("systemctl list-units --no-legend 'airworthy-fire-*'").stdout == ""
    assert host.service("pgbouncer").is_running
    assert not host.file(FULL).exists


def test_a_fire_ends_by_itself_whatever_becomes_of_the_drill(host: Host, wait: Callable[..., Any]) -> None:
    host.check_output("systemctl start airworthy-fire-disk@10 airworthy-fire-database@10 airworthy-fire-memory@10")
    assert not host.service("pgbouncer").is_running
    assert host.file(FULL).exists
    wait(lambda: host.run("systemctl list-units --no-legend 'airworthy-fire-*'").stdout == "", 40)
    assert host.service("pgbouncer").is_running
    assert not host.file(FULL).exists
    assert host.run("systemctl is-failed 'airworthy-fire-*'").rc != 0


def test_also_when_it_is_killed(host: Host, wait: Callable[..., Any]) -> None:
    for unit in ("airworthy-fire-disk@300", "airworthy-fire-database@300"):
        host.check_output(f"systemctl start {unit} && kill -KILL $(systemctl show -P MainPID {unit})")
    wait(lambda: host.service("pgbouncer").is_running and not host.file(FULL).exists, 30)
    host.check_output("systemctl reset-failed 'airworthy-fire-*'")
