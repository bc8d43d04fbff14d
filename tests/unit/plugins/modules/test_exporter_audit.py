"""The audit of the exporters, against one that does everything right, and against one fault at a time."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.airworthy.stack.plugins.module_utils.control import Control
from ansible_collections.airworthy.stack.plugins.module_utils.exporter_figures import Server
from ansible_collections.airworthy.stack.plugins.module_utils.postgresql import PostgresUnavailable
from ansible_collections.airworthy.stack.plugins.module_utils.web_client import Answer
from ansible_collections.airworthy.stack.plugins.modules import exporter_audit
from ansible_collections.airworthy.stack.plugins.modules.exporter_audit import Audit, Scrape
from tls_server import Page, answering, make_certificate, server_context, serving

HOST = "db1"
PROCESSES = 'namedprocess_namegroup_num_procs{groupname="all"} 3\n' + (
    'namedprocess_namegroup_memory_bytes{groupname="all",memtype="resident"} 1e+08\n'
)
SERVER = Server(processes={"all": 3})
DENIED = Answer(401, body="Unauthorized\n")
PLAIN = Answer(400, body="Client sent an HTTP request to an HTTPS server.\n")
GOOD = Scrape(plain=PLAIN, anonymous=DENIED, wrong=DENIED, kind="process", known=Answer(200, body=PROCESSES))


def failing(control: Control) -> list[str]:
    return [check.subject for check in control.checks if not check.ok]


def test_a_good_exporter_passes() -> None:
    assert exporter_audit.judge([GOOD], SERVER, "curl").status == "pass"


@pytest.mark.parametrize(
    ("fault", "subject"),
    [
        ({"plain": Answer(200, body=PROCESSES)}, "process without TLS"),
        ({"plain": Answer(302, body=PROCESSES)}, "process without TLS"),
        ({"anonymous": Answer(200, body=PROCESSES)}, "process without a password"),
        ({"anonymous": Answer(401, body=PROCESSES)}, "process without a password"),
        ({"anonymous": Answer(failure="refused")}, "process without a password"),
        ({"wrong": Answer(200, body=PROCESSES)}, "process with a wrong password"),
        ({"known": Answer(401)}, "process with the password"),
        ({"known": Answer(502)}, "process with the password"),
        ({"known": Answer(failure="certificate verify failed")}, "process with the password"),
        ({"known": Answer(200, body="# nothing")}, "processes of all"),
    ],
)
def test_a_fault_fails(fault: dict[str, Answer], subject: str) -> None:
    control = exporter_audit.judge([replace(GOOD, **fault)], SERVER, "curl")
    assert control.status == "fail"
    assert subject in failing(control)


def exporter(known: str, figures: str = PROCESSES) -> Any:
    def answer(request: BaseHTTPRequestHandler) -> Page:
        if request.headers["Authorization"] != exporter_audit.basic_auth("prometheus", known)["Authorization"]:
            return Page(401, body=b"Unauthorized\n")
        return Page(200, body=figures.encode())

    return answering(answer)


def options(port: int, ca: Path, kind: str = "process") -> dict[str, Any]:
    return {
        "hostname": HOST,
        "exporters": [{"kind": kind, "port": port}],
        "instances": [3000, 3001],
        "processes": {"all": [Path("/proc/self/comm").read_text().rstrip("\n")], "none": ["no such program"]},
        "database": "app",
        "role": "app",
        "database_port": 5432,
        "pooler_port": 6432,
        "domain": "app.example.org",
        "address": "127.0.0.1",
        "ca_file": str(ca),
        "user": "prometheus",
        "password": "secret",
        "timeout": 5,
    }


@pytest.mark.parametrize(
    ("name", "password", "failed"),
    [
        (HOST, "secret", []),
        (HOST, "another", ["process with the password"]),
        ("db2", "secret", ["process with a wrong password", "process with the password", "process without a password"]),
    ],
)
def test_an_exporter_is_scraped_as_prometheus_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, password: str, failed: list[str]
) -> None:
    monkeypatch.setattr(exporter_audit, "failed_units", lambda: 0)
    certificate = make_certificate(tmp_path, name=name)
    with serving(exporter(password), server_context(certificate, only="")) as port:
        control = Audit(options(port, certificate.ca)).exporters()
    assert sorted(failing(control)) == failed
    assert "secret" not in str(control.to_dict())


@pytest.mark.parametrize(
    ("second", "failed"),
    [
        ("up 1\n# a comment\n\nrss{pid=\"7\"} 1.5e+07 1764244800000\n", []),
        ("", ["app 3001: Prometheus' text format"]),
        ("<html>\nIt works\n</html>\n", ["app 3001: Prometheus' text format"]),
        ("up 1\nIt works\n", ["app 3001: Prometheus' text format"]),
    ],
)
def test_each_instance_of_the_application_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, second: str, failed: list[str]
) -> None:
    told = {"/metrics/3000": "up 1\n", "/metrics/3001": second}

    def answer(request: BaseHTTPRequestHandler) -> Page:
        known = request.headers["Authorization"] == exporter_audit.basic_auth("prometheus", "secret")["Authorization"]
        return Page(200, body=told[request.path].encode()) if known else Page(401, body=b"Unauthorized\n")

    monkeypatch.setattr(exporter_audit, "failed_units", lambda: 0)
    certificate = make_certificate(tmp_path, name=HOST)
    with serving(answering(answer), server_context(certificate, only="")) as port:
        control = Audit(options(port, certificate.ca, "app")).exporters()
    assert failing(control) == failed
    assert {check.subject for check in control.checks} >= {"app 3000 without a password", "app 3001 without TLS"}


def test_the_edges_counter_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = iter([7, 7, 7, 9])
    asked: list[Any] = []
    audit = Audit(options(1, tmp_path, "nginx"))
    monkeypatch.setattr(Audit, "counted", lambda _self: next(counts))
    monkeypatch.setattr(exporter_audit, "ask", lambda target, **how: asked.append((target.domain, how)))
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    assert audit.count_a_request() == (7, 9)
    assert asked == [("app.example.org", {"secure": False})]


def test_statements_are_compared_with_the_servers_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = "pg_up 1\n" + "".join(
        f'pg_stat_statements_{name}{{datname="app",usename="app"}} {value}\n'
        for name, value in {"calls_total": 41, "seconds_total": 1.5, "slowest_mean_seconds": 0}.items()
    )
    monkeypatch.setattr(Audit, "statement_calls", lambda _self: next(calls))
    certificate = make_certificate(tmp_path, name=HOST)
    with serving(exporter("secret", figures), server_context(certificate, only="")) as port:
        audit = Audit(options(port, certificate.ca, "postgres"))
        calls = iter([41, 41])
        assert audit.statements().status == "pass"
        calls = iter([40, 40])
        assert failing(audit.statements()) == ["pg_stat_statements_calls_total of app"]


def test_a_database_that_is_down_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def nobody(*_arguments: Any, **_options: Any) -> Any:
        raise PostgresUnavailable("nothing listens")
        yield

    monkeypatch.setattr(exporter_audit, "session", nobody)
    audit = Audit(options(1, tmp_path, "postgres"))
    assert audit.max_connections() is None
    assert audit.statement_calls() is None
    assert audit.pooler() == (None, None)


def test_groups_that_run_are_counted() -> None:
    own = Path("/proc/self/comm").read_text().rstrip("\n")
    assert set(exporter_audit.running({"own": [own], "none": ["no such program"]})) == {"own"}


def test_the_kernel_is_read() -> None:
    assert exporter_audit.oom_kills() >= 0
    with pytest.raises(RuntimeError, match="/proc/vmstat has no line like"):
        exporter_audit.kernel_figure("/proc/vmstat", "^no_such_line (1)")
