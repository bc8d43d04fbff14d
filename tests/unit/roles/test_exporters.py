"""The role's own programs, and the pattern by which the edge's log is read."""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import jinja2
import pytest
import yaml
from role_programs import load_program

ROLES = Path(__file__).parents[3] / "roles"
TEMPLATES = ROLES / "exporters" / "templates"


@pytest.fixture
def updates(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setitem(sys.modules, "apt_pkg", ModuleType("apt_pkg"))  # only servers have it
    return load_program("exporters/templates/updates/usr/local/lib/airworthy/pending_updates.py")


@pytest.fixture
def pooler(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    driver = ModuleType("psycopg2")
    driver.extras = ModuleType("psycopg2.extras")  # type: ignore[attr-defined]
    driver.Error = RuntimeError  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "psycopg2", driver)
    monkeypatch.setitem(sys.modules, "psycopg2.extras", driver.extras)
    return load_program("exporters/templates/pooler/usr/local/lib/airworthy/pooler_exporter.py")


# Pending updates


def newer(version: str, than: str) -> bool:
    return [int(part) for part in re.findall(r"\d+", version)] > [int(part) for part in re.findall(r"\d+", than)]


@pytest.mark.parametrize(
    ("running", "installed", "marked", "waits"),
    [
        ("6.1.0-40-amd64", ["6.1.0-40-amd64", "6.1.0-37-amd64"], False, False),
        ("6.1.0-37-amd64", ["6.1.0-40-amd64", "6.1.0-37-amd64"], False, True),
        ("6.1.0-37-amd64", ["6.1.0-37-amd64", "6.1.0-40-cloud-amd64"], False, False),  # another kind of kernel
        ("6.1.0-37-cloud-amd64", ["6.1.0-37-cloud-amd64", "6.1.0-40-cloud-amd64"], False, True),
        ("6.8.12-host", [], False, False),  # a container
        ("6.8.12-host", ["6.12.0-1-amd64"], False, False),
        ("6.1.0-40-amd64", ["6.1.0-40-amd64"], True, True),
    ],
)
def test_a_newer_kernel_waits_for_a_reboot(
    updates: ModuleType, running: str, installed: list[str], marked: bool, waits: bool
) -> None:
    assert updates.waits_for_reboot(running, installed, marked, newer) is waits


@pytest.mark.parametrize(
    ("archives", "kind"),
    [
        (["trixie-security"], "security"),
        (["trixie", "trixie-updates"], "other"),
        ([], "other"),
        (["now", "a-security"], "security"),
    ],
)
def test_updates_of_the_security_archive_are_told_apart(updates: ModuleType, archives: list[str], kind: str) -> None:
    assert updates.kind(archives) == kind


def test_updates_are_told_in_prometheus_format(updates: ModuleType) -> None:
    lines = updates.written(Counter({"security": 2, "other": 0}), True, 1000.4, 2000.0).splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        'airworthy_updates_pending{kind="security"} 2',
        'airworthy_updates_pending{kind="other"} 0',
        "airworthy_reboot_required 1",
        "airworthy_updates_lists_timestamp_seconds 1000",
        "airworthy_updates_timestamp_seconds 2000",
    ]


# The pooler


def console(pooler: ModuleType) -> dict[str, list[dict[str, Any]]]:
    return {
        "STATS_TOTALS": [{"database": name, **dict.fromkeys(pooler.STATS, 2_000_000)} for name in ("app", "pgbouncer")],
        "POOLS": [{"database": "app", "user": 'a"b', **dict.fromkeys(pooler.POOLS, 3)}],
        "DATABASES": [{"name": "app", "database": "app_1", **dict.fromkeys(pooler.DATABASES, 20)}],
        "LISTS": [{"list": name, "items": 5} for name in pooler.LISTS],
        "CONFIG": [{"key": "max_client_conn", "value": "500"}, {"key": "auth_type", "value": "scram-sha-256"}],
    }


def test_the_console_is_told_in_prometheus_format(pooler: ModuleType) -> None:
    lines = pooler.written(pooler.figures(console(pooler))).splitlines()
    assert "pgbouncer_up 1" in lines
    assert 'pgbouncer_stats_totals_queries_pooled_total{database="app"} 2000000' in lines
    assert 'pgbouncer_stats_totals_client_wait_seconds_total{database="app"} 2' in lines
    assert 'pgbouncer_pools_client_waiting_connections{database="app",user="a\\"b"} 3' in lines
    assert 'pgbouncer_databases_max_connections{database="app"} 20' in lines
    assert "pgbouncer_config_max_client_connections 500" in lines
    assert not [line for line in lines if 'database="pgbouncer"' in line]
    names = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(names) == len(set(names))


def test_a_pooler_that_does_not_answer_is_down(pooler: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> None:
        raise RuntimeError("FATAL: password authentication failed")

    monkeypatch.setattr(pooler, "ask", refused)
    assert pooler.scrape().splitlines()[-1] == "pgbouncer_up 0"


# The edge


def fields(text: str) -> list[str]:
    return re.findall(r'"(\w+)":', text)


def test_the_edges_log_is_read_as_it_is_written() -> None:
    written = (ROLES / "nginx/templates/etc/nginx/conf.d/log.conf.j2").read_text().partition("log_format json")[2]
    program = (TEMPLATES / "etc/airworthy/edge_exporter/edge.mtail").read_text()
    read = "".join(re.findall(r"^const .*", program, re.MULTILINE))
    assert fields(read)
    assert fields(written)[: len(fields(read))] == fields(read)


# The database


@pytest.mark.parametrize("version", [15, 17])
def test_each_figure_of_the_database_is_selected(version: int) -> None:
    template = (TEMPLATES / "etc/airworthy/database_exporter/queries.yml.j2").read_text()
    rendered = jinja2.Template(template, trim_blocks=True).render(
        __exporters_postgres_version=version, ansible_managed=""
    )
    for name, query in yaml.safe_load(rendered).items():
        for column, meaning in (item for metric in query["metrics"] for item in metric.items()):
            assert re.search(rf"\b{column}\b", query["query"]), f"{name} does not select {column}"
            assert meaning["usage"] in ("LABEL", "GAUGE", "COUNTER")
            assert meaning["description"]


# Memory that services may have


@pytest.fixture(scope="module")
def limits() -> ModuleType:
    return load_program("exporters/templates/limits/usr/local/lib/airworthy/memory_limits.py")


SHOWN = """\
MemoryHigh=infinity
MemoryMax=262144
Id=mtail.service
ControlGroup=/system.slice/mtail.service

MemoryHigh=400000
MemoryMax=512000
Id=app@3000.service
ControlGroup=/system.slice/system-app.slice/app@3000.service

MemoryHigh=infinity
MemoryMax=infinity
Id=nginx.service
ControlGroup=/system.slice/nginx.service

MemoryHigh=infinity
MemoryMax=1024
Id=gone.service
ControlGroup=/system.slice/gone.service

MemoryHigh=infinity
MemoryMax=1024
Id=oneshot.service
ControlGroup=
"""


def test_of_a_service_with_a_limit_it_is_told_what_its_processes_have(limits: ModuleType, tmp_path: Path) -> None:
    groups = {"mtail.service": "7\n", "system-app.slice/app@3000.service": "8\n9\n10\n", "nginx.service": "11\n"}
    for name, processes in groups.items():
        group = tmp_path / "groups/system.slice" / name
        group.mkdir(parents=True)
        (group / "cgroup.procs").write_text(processes)
    for number in ("7", "8", "9", "11"):  # 10 has ended
        (tmp_path / number).mkdir()
        (tmp_path / number / "status").write_text("Name:\tx\nRssAnon:\t 100 kB\nRssFile:\t 50 kB\nRssShmem:\t 1 kB\n")
    found = limits.uses(SHOWN, tmp_path / "groups", tmp_path)
    assert list(found) == [("mtail", 101 << 10, 262144), ("app@3000", 202 << 10, 400000)]


def test_a_name_with_a_backslash_breaks_nothing(limits: ModuleType) -> None:
    text = limits.written([limits.Use(r"airworthy-fire\x2d1", 1, 2)])
    assert r'airworthy_unit_memory_bytes{unit="airworthy-fire\\x2d1"} 1' in text.splitlines()
