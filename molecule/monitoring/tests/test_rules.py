"""Each alert fires beyond its threshold and is silent before it: promtool on the rules as they are on the server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml
from testinfra.host import Host

RULES = "/etc/prometheus/rules.d"
Input = dict[str, str]  # series and their values, minute by minute, in promtool's notation

HOST = 'job="node",instance="web1"'
DRILL = f'{HOST},device="airworthy-fire",fstype="tmpfs",mountpoint="/var/lib/airworthy/fire"'
DISK = f'{HOST},device="/dev/sda1",fstype="ext4",mountpoint="/"'
PAGE = 'job="probe_http",instance="web1",path="/"'
DAY, HOUR = 86400, 3600
CERTIFIED = "airworthy_certificate_timestamp_seconds"
SHIPPER = "airworthy_log_shipper"
FORWARDER = "airworthy_log_forwarder"
SHIPPER_UNIT = {"name": "airworthy-log-shipper.service", "state": "active"}


@dataclass(frozen=True)
class Case:
    """An alert, what makes it fire, and what just does not; looked at after so many minutes."""

    alert: str
    fires: Input
    silent: Input
    minutes: int = 20
    severity: str = ""


def memory(used: int) -> Input:
    return one("node_memory_MemTotal_bytes", 100) | one("node_memory_MemAvailable_bytes", 100 - used)


def unit(used: int) -> Input:
    name = "airworthy_unit_memory"
    return one(f"{name}_bytes", used, unit="app") | one(f"{name}_limit_bytes", 100, unit="app")


def disk(free: str, labels: str = DISK) -> Input:
    return {
        f"node_filesystem_avail_bytes{{{labels}}}": free,
        f"node_filesystem_size_bytes{{{labels}}}": "100x600",
        f"node_filesystem_readonly{{{labels}}}": "0x600",
    }


def probes(failing: str) -> Input:
    """Failing and succeeding probes of a page, minute by minute."""
    return {f"probe_success{{{PAGE}}}": failing}


def one(name: str, value: float, /, **labels: str) -> Input:
    """A series that does not change."""
    more = "".join(f',{label}="{text}"' for label, text in labels.items())
    return {f"{name}{{{HOST}{more}}}": f"{value:.0f}x1500"}


def requests(failing: int, of: int = 1000, method: str = "GET") -> Input:
    """Requests a minute."""
    labels = 'job="nginx",instance="web1",'
    good, bad = (f'{labels}method="GET",status="200"', f'{labels}method="{method}",status="502"')
    counted = {good: of - failing, bad: failing}
    return {f"nginx_http_requests_total{{{series}}}": f"0+{count}x100" for series, count in counted.items()}


def responses(seconds: int) -> Input:
    """A hundred a minute, which took so long together."""
    name = "nginx_http_request_duration_seconds"
    return {f"{name}_sum{{{HOST}}}": f"0+{seconds}x30", f"{name}_count{{{HOST}}}": "0+100x30"}


def connections(used: int) -> Input:
    settings = one("pg_settings_max_connections", 103) | one("pg_settings_superuser_reserved_connections", 3)
    return settings | one("pg_stat_activity_count", used, datname="app", state="idle")


def clients(active: int, waiting: int = 0) -> Input:
    pool = {"database": "app", "user": "app"}
    return {
        **one("pgbouncer_config_max_client_connections", 100),
        **one("pgbouncer_pools_client_active_connections", active, **pool),
        **one("pgbouncer_pools_client_waiting_connections", waiting, **pool),
    }


def lost(lines: str, since: str = "0x60") -> Input:
    """Lines, and the shipper's other figures."""
    return {
        f'{SHIPPER}_dropped_total{{{HOST},reason="rate limit"}}': lines,
        f"{SHIPPER}_failures_total{{{HOST}}}": since,
    }


def told(when: str, file: str = SHIPPER) -> Input:
    """When the shipper has written its figures."""
    path = f"/var/lib/prometheus/node-exporter/{file}.prom"
    return {f"node_time_seconds{{{HOST}}}": "0+60x30", f'node_textfile_mtime_seconds{{{HOST},file="{path}"}}': when}


# promtool's clock begins at 0, so what is old has to have happened before that.
def old(name: str, seconds: int) -> Input:
    return {f"{name}{{{HOST}}}": f"-{seconds - 1200}x30"}


CASES = [
    Case("Watchdog", {}, {}),
    Case("InstanceDown", {'up{job="node",instance="a"}': "1 0x9", 'up{job="process",instance="a"}': "0x10"},
         {'up{job="node",instance="a"}': "0x10", 'up{job="process",instance="a"}': "1x10"}, minutes=5),
    Case("ExporterDown", one("up", 0), {f"up{{{HOST}}}": "0x3 1x10"}, minutes=8),
    Case("SamplesRefused", {"prometheus_target_scrapes_exceeded_sample_limit_total": "0x5 1x5"},
         {"prometheus_target_scrapes_exceeded_sample_limit_total": "7x10"}, minutes=9),
    Case("RulesFailing", {'prometheus_rule_evaluation_failures_total{rule_group="hosts"}': "0+1x20"},
         {'prometheus_rule_evaluation_failures_total{rule_group="hosts"}': "9x20"}),
    *(Case("ConfigurationRefused", one(name, 0), one(name, 1)) for name in (
        "prometheus_config_last_reload_successful", "alertmanager_config_last_reload_successful")),
    Case("NotificationsFailing", {'alertmanager_notifications_failed_total{integration="email"}': "0+1x20"},
         {'alertmanager_notifications_failed_total{integration="email"}': "3x20"}),
    *(Case("RemoteWriteFailing", {f"{name}{{{HOST}}}": "0+1x40"}, one(name, 5), minutes=30) for name in (
        "prometheus_remote_storage_samples_failed_total", "prometheus_remote_storage_samples_retried_total")),
    Case("SiteDown", probes("1x5 0x10"), probes("1x5 0 1x10"), minutes=8),
    Case("CertificateExpiring", {f"probe_ssl_earliest_cert_expiry{{{PAGE}}}": f"{14 * DAY}x30"},
         {f"probe_ssl_earliest_cert_expiry{{{PAGE}}}": f"{14 * DAY + 1800}x30"}),
    Case("ErrorRateHigh", requests(failing=51), requests(failing=49)),
    Case("ErrorRateHigh", requests(failing=2, of=10), requests(failing=1, of=10)),
    Case("ErrorRateHigh", requests(failing=51, method="drill"), requests(failing=49, method="drill")),
    Case("ResponseSlow", responses(201), responses(199)),
    # Two of the last probes, which is little of six hours; two of the hour, but none of the last.
    Case("BudgetBurning", probes("1x358 0x1 1x10"), probes("1x340 0x1 1x20"), minutes=362, severity="critical"),
    Case("BudgetBurning", requests(failing=15), requests(failing=5), minutes=60, severity="critical"),
    # A fire drill is no fault of the month.
    Case("BudgetBurning", requests(failing=500), requests(failing=500, method="drill"), minutes=60,
         severity="critical"),
    # 0.6 % of six hours are two minutes and ten seconds.
    Case("BudgetBurning", probes("1x349 0x2 1x20"), probes("1x349 0x1 1x20"), minutes=361, severity="critical"),
    # Not burning any more.
    Case("BudgetBurning", probes("1x300 0x60"), probes("1x200 0x5 1x160"), minutes=361, severity="critical"),
    # Some of a day, and of the last six hours; or not of those.
    Case("BudgetBurning", probes("1x1100 0x10 1x340"), probes("1x500 0x10 1x940"), minutes=1440, severity="warning"),
    Case("MemoryHigh", memory(81), memory(80)),
    Case("MemoryHigh", unit(used=81), unit(used=80)),
    Case("DiskSpaceLow", disk("19x30"), disk("20x30")),
    Case("DiskSpaceLow", disk("19x30", DRILL), disk("19x30", DISK.replace("ext4", "tmpfs"))),
    Case("DiskFullSoon", disk("39-0.05x600"), disk("39-0.01x600"), minutes=480),
    Case("OutOfMemory", {f"node_vmstat_oom_kill{{{HOST}}}": "3x10 4x10"}, one("node_vmstat_oom_kill", 3), minutes=15),
    Case("ClockSkewed", {f"node_time_seconds{{{HOST}}}": "3+60x20"}, {f"node_time_seconds{{{HOST}}}": "2+60x20"}),
    Case("UnitFailed", one("node_systemd_units", 1, state="failed"), one("node_systemd_units", 0, state="failed")),
    Case("SecurityUpdatesPending", one("airworthy_updates_pending", 1, kind="security"),
         one("airworthy_updates_pending", 0, kind="security"), minutes=1445),
    Case("DatabaseConnectionsFailing", one("pg_up", 0), one("pg_up", 1)),
    Case("DatabaseConnectionsFailing", one("pgbouncer_up", 0), one("pgbouncer_up", 1)),
    Case("ConnectionsNearLimit", connections(81), connections(80)),
    Case("PoolNearLimit", clients(81), clients(80)),
    Case("PoolExhausted", clients(10, waiting=1), clients(10)),
    Case("LongTransaction", one("pg_transactions_oldest_seconds", 901), one("pg_transactions_oldest_seconds", 900)),
    Case("Deadlocks", {f'pg_stat_database_deadlocks{{{HOST},datname="app"}}': "2x10 3x10"},
         one("pg_stat_database_deadlocks", 2, datname="app"), minutes=15),
    Case("WraparoundNear", one("pg_database_frozenxid_age", 1e9 + 1), one("pg_database_frozenxid_age", 1e9)),
    *(Case("ReplicationLag", one(name, 61), one(name, 60)) for name in (
        "pg_replication_lag_seconds", "pg_replication_replicas_lag_seconds")),
    Case("BackupTooOld", old("airworthy_backup_last_timestamp_seconds", 30 * HOUR + 60),
         old("airworthy_backup_last_timestamp_seconds", 30 * HOUR)),
    Case("BackupTooOld", old("airworthy_files_backup_last_success_time_seconds", 30 * HOUR + 60),
         old("airworthy_files_backup_last_success_time_seconds", 30 * HOUR)),
    *(Case("BackupFailing", one(name, 0), one(name, 1)) for name in (
        "airworthy_backup_job_success", "airworthy_backup_repository_ok", "airworthy_files_backup_success",
        "airworthy_files_backup_check_success", "airworthy_files_backup_prune_success")),
    Case("DrillTooOld", old("airworthy_drill_last_timestamp_seconds", 38 * DAY + 60),
         old("airworthy_drill_last_timestamp_seconds", 38 * DAY)),
    Case("DrillTooOld", one("airworthy_drill_last_success", 0), one("airworthy_drill_last_success", 1)),
    Case("LogShipperBehind", one(f"{SHIPPER}_delay_seconds", 301), one(f"{SHIPPER}_delay_seconds", 300)),
    Case("LogShipperBehind", {f"{SHIPPER}_delay_seconds{{{HOST}}}": "0x14 301x10"},
         {f"{SHIPPER}_delay_seconds{{{HOST}}}": "0x15 301x10"}),
    Case("LogLinesLost", lost("2x10 3x60"), lost("2x60"), minutes=24),
    Case("LogLinesLost", lost("2x10 3x60"), lost("2x8 3x60"), minutes=24),
    # The first of their reason. After a quarter of an hour, it is enough.
    Case("LogLinesLost", lost("_x38 5x20"), lost("_x20 5x60"), minutes=40),
    # The shipper has begun again; Prometheus has.
    Case("LogLinesLost", lost("9x9 stale _x20 5x20"), lost("_x30 5x20", since="_x30 0x20"), minutes=35),
    Case("LogShipperSilent", told("-301+60x30"), told("-300+60x30")),
    Case("LogShipperSilent", told("540x30"), told("600x30")),
    Case("LogShipperSilent", told("-301+60x30"), told("-301+60x30", file="airworthy_backup")),
    Case("LogShipperSilent", one("node_systemd_unit_state", 1, **SHIPPER_UNIT),
         one("node_systemd_unit_state", 1, **SHIPPER_UNIT) | told("-15+60x30")),
    Case("LogShipperSilent", one("node_systemd_unit_state", 0, **SHIPPER_UNIT) | told("0x30", file="airworthy_backup"),
         told("0x30", file="airworthy_backup")),
    Case("LogStoreNotKept", old("airworthy_log_store_kept_timestamp_seconds", 3 * HOUR + 960),
         old("airworthy_log_store_kept_timestamp_seconds", 3 * HOUR + 900)),
    Case("LogForwarderBehind", one(f"{FORWARDER}_delay_seconds", 301, target="siem"),
         one(f"{FORWARDER}_delay_seconds", 300, target="siem")),
    Case("LogForwarderBehind", {f'{FORWARDER}_delay_seconds{{{HOST},target="siem"}}': "0x14 301x10"},
         {f'{FORWARDER}_delay_seconds{{{HOST},target="siem"}}': "0x15 301x10"}),
    *(Case("LogForwarderLost", {f'{FORWARDER}_{name}_total{{{HOST},target="siem"}}': "0x10 1x20"},
           {f'{FORWARDER}_{name}_total{{{HOST},target="siem"}}': "0x2 1x30"}) for name in ("refused", "lost")),
    Case("NotCertified", one("airworthy_certificate_passed", 0), one("airworthy_certificate_passed", 1)),
    Case("NotCertified", old(CERTIFIED, 8 * DAY + 1200), old(CERTIFIED, 8 * DAY)),
    # The newest level counts.
    Case("NotCertified", old(CERTIFIED, 9 * DAY), old(CERTIFIED, 9 * DAY) | one(CERTIFIED, 0, level="deep")),
    Case("NeverCertified", one("up", 1), one(CERTIFIED, 0), minutes=1445),
]  # fmt: skip


def sides(case: Case) -> Iterator[dict[str, Any]]:
    severity = f',severity="{case.severity}"' if case.severity else ""
    firing = f'count(ALERTS{{alertname="{case.alert}",alertstate="firing"{severity}}}) or vector(0)'
    for name, given, wanted in (("fires", case.fires, 1), ("silent", case.silent, 0)):
        if not given and not wanted:
            continue  # what always fires has no other side
        yield {
            "name": f"{case.alert} {name}: {given}",
            "interval": "1m",
            "input_series": [{"series": series, "values": values} for series, values in given.items()],
            "promql_expr_test": [{"expr": firing, "eval_time": f"{case.minutes}m", "exp_samples": [{"value": wanted}]}],
        }


def test_each_alert_fires_where_it_must_and_only_there(host: Host) -> None:
    document = {
        "rule_files": [f"{RULES}/airworthy_recording.yml", f"{RULES}/airworthy_alerts.yml"],
        "evaluation_interval": "1m",
        "tests": [test for case in CASES for test in sides(case)],
    }
    host.run_test(f"cat > /run/rules_test.yml <<'END'\n{yaml.safe_dump(document)}\nEND")
    result = host.run("promtool test rules /run/rules_test.yml")
    assert result.rc == 0, result.stdout + result.stderr


def test_each_alert_has_a_case(host: Host) -> None:
    loaded = re.findall(r"- alert: (\w+)", host.file(f"{RULES}/airworthy_alerts.yml").content_string)
    assert set(loaded) == {case.alert for case in CASES}
