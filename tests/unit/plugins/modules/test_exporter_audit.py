"""The audit of the exporters, against one that does everything right, and against one fault at a time."""

from __future__ import annotations

import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.airworthy.stack.plugins.module_utils.control import Control
from ansible_collections.airworthy.stack.plugins.module_utils.web_client import Answer
from ansible_collections.airworthy.stack.plugins.modules import exporter_audit
from ansible_collections.airworthy.stack.plugins.modules.exporter_audit import Scrape, Server
from tls_server import Page, answering, make_certificate, server_context, serving

HOST = "db1"
SERVER = Server(memory_bytes=4_000_000_000, time=1_800_000_000.0)
NODE = """
# HELP node_memory_MemTotal_bytes Memory information field MemTotal_bytes.
# TYPE node_memory_MemTotal_bytes gauge
node_memory_MemTotal_bytes 4e+09
node_time_seconds 1.8000000105e+09
node_filesystem_avail_bytes{device="/dev/sda1",mountpoint="/"} 1.5e+10
node_cpu_seconds_total{cpu="0",mode="idle"} 12.3
"""
POSTGRES = """
pg_up 1
pg_exporter_last_scrape_error 0
pg_settings_max_connections{server="localhost:5432"} 100
pg_stat_database_xact_commit{datid="5",datname="app"} 12
"""
DENIED = Answer(401, body="Unauthorized\n")


def scraped(kind: str, figures: str) -> Scrape:
    plain = Answer(400, body="Client sent an HTTP request to an HTTPS server.\n")
    return Scrape(kind, plain, DENIED, DENIED, Answer(200, body=figures))


GOOD = {"node": scraped("node", NODE), "postgres": scraped("postgres", POSTGRES)}


def failing(control: Control) -> list[str]:
    return [check.subject for check in control.checks if not check.ok]


@pytest.mark.parametrize("kind", ["node", "postgres"])
def test_a_good_exporter_passes(kind: str) -> None:
    assert exporter_audit.judge([GOOD[kind]], SERVER, "curl").status == "pass"


@pytest.mark.parametrize(
    ("kind", "fault", "subject"),
    [
        ("node", {"plain": Answer(200, body=NODE)}, "node without TLS"),
        ("node", {"plain": Answer(302, body=NODE)}, "node without TLS"),
        ("node", {"anonymous": Answer(200, body=NODE)}, "node without a password"),
        ("node", {"anonymous": Answer(401, body=NODE)}, "node without a password"),
        ("node", {"anonymous": Answer(failure="refused")}, "node without a password"),
        ("node", {"wrong": Answer(200, body=NODE)}, "node with a wrong password"),
        ("node", {"known": Answer(401)}, "node with the password"),
        ("node", {"known": Answer(failure="certificate verify failed")}, "node with the password"),
        ("node", {"known": Answer(200, body=NODE.replace("4e+09", "8e+09"))}, "node_memory_MemTotal_bytes"),
        ("node", {"known": Answer(200, body=NODE.replace("1.8000000105e", "1.70e"))}, "node_time_seconds"),
        ("node", {"known": Answer(200, body="# nothing")}, "node_cpu_seconds_total"),
        ("postgres", {"known": Answer(200, body=POSTGRES.replace("pg_up 1", "pg_up 0"))}, "pg_up"),
        ("postgres", {"known": Answer(200, body="pg_exporter_last_scrape_error 1")}, "pg_exporter_last_scrape_error"),
        ("postgres", {"known": Answer(200, body="pg_up 1\n")}, "pg_stat_database_xact_commit"),
    ],
)
def test_a_fault_fails(kind: str, fault: dict[str, Answer], subject: str) -> None:
    control = exporter_audit.judge([replace(GOOD[kind], **fault)], SERVER, "curl")
    assert control.status == "fail"
    assert subject in failing(control)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a 1\nb{x=\"1\"} 2\nb{x=\"}\"} 3e+02 1800000000000\n", {"a": [1.0], "b": [2.0, 300.0]}),
        ("# TYPE a gauge\n", {}),
        ("<html>not figures</html>\n", {}),
    ],
)
def test_figures_are_read(text: str, found: dict[str, list[float]]) -> None:
    assert exporter_audit.series(text) == found


def exporter(known: str) -> Any:
    def answer(request: BaseHTTPRequestHandler) -> Page:
        if request.headers["Authorization"] != exporter_audit.basic("prometheus", known)["Authorization"]:
            return Page(401, body=b"Unauthorized\n")
        memory = exporter_audit.observe_server().memory_bytes
        figures = NODE.replace("4e+09", str(memory)).replace("1.8000000105e+09", str(time.time()))
        return Page(200, body=figures.encode())

    return answering(answer)


@pytest.mark.parametrize(
    ("name", "password", "failed"),
    [
        (HOST, "secret", []),
        (HOST, "another", ["node with the password"]),
        ("db2", "secret", ["node with the password", "node with a wrong password", "node without a password"]),
    ],
)
def test_an_exporter_is_scraped_as_prometheus_does(tmp_path: Path, name: str, password: str, failed: list) -> None:
    certificate = make_certificate(tmp_path, name=name)
    with serving(exporter(password), server_context(certificate, only="")) as port:
        params = {
            "hostname": HOST,
            "exporters": [{"kind": "node", "port": port}],
            "address": "127.0.0.1",
            "ca_file": str(certificate.ca),
            "user": "prometheus",
            "password": "secret",
            "timeout": 5,
        }
        control = exporter_audit.examine(params)
    assert sorted(failing(control)) == sorted(failed)
    assert "secret" not in str(control.to_dict())
