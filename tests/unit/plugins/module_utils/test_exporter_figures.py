"""What exporters say is compared with what the server says: one fault at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.airworthy.stack.plugins.module_utils import exporter_figures
from ansible_collections.airworthy.stack.plugins.module_utils.exporter_figures import JUDGES, Figures, Server

SERVER = Server(
    memory_bytes=4_000_000_000,
    time=1_800_000_000.0,
    oom_kills=(2, 3),
    failed_units=1,
    processes={"postgres": 9, "nginx": 3},
    database="app",
    role="app",
    max_connections=100,
    statement_calls=(40, 42),
    pooler_clients=500,
    pooler_connections=20,
    requests=(7.0, 8.0),
)
GOOD = {
    "node": """
# HELP node_memory_MemTotal_bytes Memory information field MemTotal_bytes.
# TYPE node_memory_MemTotal_bytes gauge
node_memory_MemTotal_bytes 4e+09
node_time_seconds 1.8000000105e+09
node_vmstat_oom_kill 3
node_systemd_units{state="active"} 200
node_systemd_units{state="failed"} 1
node_systemd_unit_state{name="ssh.service",state="active",type="notify"} 1
node_filesystem_avail_bytes{device="/dev/sda1",mountpoint="/"} 1.5e+10
node_cpu_seconds_total{cpu="0",mode="idle"} 12.3
node_timex_sync_status 0
node_textfile_scrape_error 0
airworthy_updates_pending{kind="security"} 0
airworthy_updates_pending{kind="other"} 5
airworthy_updates_timestamp_seconds 1.799999e+09
""",
    "process": """
namedprocess_namegroup_num_procs{groupname="postgres"} 10
namedprocess_namegroup_memory_bytes{groupname="postgres",memtype="resident"} 1e+08
namedprocess_namegroup_num_procs{groupname="nginx"} 3
namedprocess_namegroup_memory_bytes{groupname="nginx",memtype="resident"} 1e+07
""",
    "postgres": """
pg_up 1
pg_exporter_last_scrape_error 0
pg_settings_max_connections{server="localhost:5432"} 100
pg_stat_database_xact_commit{datname="app",server="localhost:5432"} 12
pg_database_frozenxid_age{datname="app"} 730
pg_stat_activity_max_tx_duration{datname="app",state="active"} 0
pg_replication_lag_seconds 0
""",
    "pgbouncer": """
pgbouncer_up 1
pgbouncer_config_max_client_connections 500
pgbouncer_databases_max_connections{database="app"} 20
pgbouncer_databases_current_connections{database="app"} 0
""",
    "nginx": """
nginx_http_requests_total{method="GET",status="200"} 90
nginx_http_requests_total{method="GET",status="308"} 10
nginx_log_lines_unread_total 1
nginx_connections_active 1
nginx_http_request_duration_seconds_bucket{le="2"} 100
""",
    "app": """
# TYPE process_resident_memory_bytes gauge
process_resident_memory_bytes 1.5e+07
orders_total{ kind = "a b" }\t7 1800000000000
temperature_celsius -.5
ratio NaN
""",
}
STATEMENTS = """
pg_up 1
pg_stat_statements_calls_total{datname="app",usename="app"} 41
pg_stat_statements_calls_total{datname="app",usename="report"} 7000
pg_stat_statements_seconds_total{datname="app",usename="app"} 1.5
pg_stat_statements_slowest_mean_seconds{datname="app",usename="app"} 0
"""


def failing(kind: str, text: str, server: Server = SERVER) -> list[str]:
    return [check.subject for check in JUDGES[kind](Figures.of(text), server) if not check.ok]


@pytest.mark.parametrize("kind", JUDGES)
def test_the_truth_passes(kind: str) -> None:
    assert failing(kind, GOOD[kind]) == []


@pytest.mark.parametrize(
    ("kind", "told", "instead", "subject"),
    [
        ("node", "4e+09", "8e+09", "node_memory_MemTotal_bytes"),
        ("node", "1.8000000105e", "1.70e", "node_time_seconds"),
        ("node", "oom_kill 3", "oom_kill 1", "node_vmstat_oom_kill"),
        ("node", "oom_kill 3", "oom_kill 4", "node_vmstat_oom_kill"),
        ("node", 'state="failed"} 1', 'state="failed"} 0', "node_systemd_units"),
        ("node", "node_systemd_unit_state", "node_systemd", "node_systemd_unit_state"),
        ("node", "timestamp_seconds 1.799999e", "timestamp_seconds 1.79e", "airworthy_updates_pending"),
        ("node", '{kind="security"}', '{kind="secure"}', "airworthy_updates_pending"),
        ("node", "scrape_error 0", "scrape_error 1", "node_textfile_scrape_error"),
        ("process", 'groupname="nginx"} 3', 'groupname="nginx"} 0', "processes of nginx"),
        ("process", 'groupname="postgres"', 'groupname="other"', "processes of postgres"),
        ("postgres", "pg_up 1", "pg_up 0", "pg_up"),
        ("postgres", "scrape_error 0", "scrape_error 1", "pg_exporter_last_scrape_error"),
        ("postgres", "} 100", "} 200", "pg_settings_max_connections"),
        ("postgres", 'commit{datname="app"', 'commit{datname="postgres"', "pg_stat_database_xact_commit"),
        ("pgbouncer", "pgbouncer_up 1", "pgbouncer_up 0", "pgbouncer_up"),
        ("pgbouncer", " 500", " 100", "pgbouncer_config_max_client_connections"),
        ("pgbouncer", '{database="app"} 20', '{database="app"} 30', "pgbouncer_databases_max_connections"),
        ("nginx", "unread_total 1", "unread_total 2", "lines of the log that are not understood"),
        ("app", "ratio NaN", "ratio of orders", "Prometheus' text format"),
        ("app", "ratio NaN", "<p>It works</p>", "Prometheus' text format"),
        ("nginx", 'le="2"} 100', 'le="2"} 0', "nginx_http_request_duration_seconds_bucket"),
    ],
)
def test_what_is_not_so_fails(kind: str, told: str, instead: str, subject: str) -> None:
    assert told in GOOD[kind]
    assert failing(kind, GOOD[kind].replace(told, instead)) == [subject]


@pytest.mark.parametrize(
    ("kind", "server", "subject"),
    [
        ("postgres", {"max_connections": None}, "pg_settings_max_connections"),
        ("pgbouncer", {"pooler_clients": None}, "pgbouncer_config_max_client_connections"),
        ("pgbouncer", {"pooler_connections": None}, "pgbouncer_databases_max_connections"),
        ("nginx", {"requests": (8.0, 8.0)}, "a request that was just made"),
    ],
)
def test_what_cannot_be_compared_fails(kind: str, server: dict[str, Any], subject: str) -> None:
    assert failing(kind, GOOD[kind], replace(SERVER, **server)) == [subject]


@pytest.mark.parametrize("kind", JUDGES)
def test_nothing_is_never_enough(kind: str) -> None:
    assert failing(kind, "# nothing\n")


@pytest.mark.parametrize(
    ("told", "instead", "calls", "failed"),
    [
        ("", "", (40, 42), []),
        ("} 41", "} 39", (40, 42), ["pg_stat_statements_calls_total of app"]),
        ("} 41", "} 43", (40, 42), ["pg_stat_statements_calls_total of app"]),
        ("", "", None, ["pg_stat_statements_calls_total of app"]),
        ('calls_total{datname="app",usename="app"}', "another", (0, 0), []),
        ('calls_total{datname="app",usename="app"}', "another", (1, 1), ["pg_stat_statements_calls_total of app"]),
        ("seconds_total{", "seconds{", (40, 42), ["pg_stat_statements_seconds_total"]),
        ("pg_up 1", "pg_up 0", (40, 42), ["pg_up"]),
    ],
)
def test_statements_are_those_of_the_application(told: str, instead: str, calls: Any, failed: list[str]) -> None:
    figures = Figures.of(STATEMENTS.replace(told, instead) if told else STATEMENTS)
    server = replace(SERVER, statement_calls=calls)
    assert [check.subject for check in exporter_figures.judge_statements(figures, server) if not check.ok] == failed


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a 1\n", [("a", {}, 1.0)]),
        ('b{x="1",y="}"} 3e+02 1800000000000\n', [("b", {"x": "1", "y": "}"}, 300.0)]),
        ('b{x="a\\"b"} NaN\n', [("b", {"x": 'a\\"b'}, None)]),
        ("# TYPE a gauge\n", []),
        ("<html>not figures</html>\n", []),
        ("It works\n", []),
        ("c\t+Inf\nd{} -1.\n", [("c", {}, float("inf")), ("d", {}, -1.0)]),
    ],
)
def test_figures_are_read(text: str, found: list[Any]) -> None:
    read = [(name, labels, None if value != value else value) for name, labels, value in Figures.of(text).samples]
    assert read == found
