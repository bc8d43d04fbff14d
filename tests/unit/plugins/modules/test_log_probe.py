"""A host logs something that can be recognised, and knocks at its collector as a stranger."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.airworthy.stack.plugins.modules import log_probe
from ansible_collections.airworthy.stack.plugins.modules.log_probe import knock, log, strangers, table_of
from relp_server import RelpServer, collecting
from tls_server import Certificate, accepting, make_certificate, server_context

NAME = "log1"


class Module:
    """What of AnsibleModule is needed here."""

    def __init__(self, **params: Any) -> None:
        self.params = {"domain": "", "database": "", "database_port": 5432, "collector": {"name": NAME}, **params}
        self.commands: list[list[str]] = []

    def run_command(self, command: list[str], check_rc: bool) -> None:
        self.commands.append(command)
        if command[0] != "logger":
            subprocess.run(command, check=check_rc, capture_output=True)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("own"), name=NAME)


@pytest.fixture
def collector(own: Certificate) -> Iterator[RelpServer]:
    with collecting(own, own, RelpServer()) as server:
        yield server


def where(port: int) -> dict[str, Any]:
    return {"address": "127.0.0.1", "port": port, "name": NAME}


def knocked(own: Certificate, port: int, directory: Path) -> dict[str, str]:
    module: Any = Module(ca_file=str(own.ca))
    return {who: knock(where(port), context, 5) for who, context in strangers(module, directory)}


# Knocking


def test_a_collector_that_wants_a_certificate_of_its_ca_answers_no_stranger(
    own: Certificate, collector: RelpServer, tmp_path: Path
) -> None:
    assert knocked(own, collector.port, tmp_path) == {"no certificate": "", "a certificate of another CA": ""}
    assert collector.connections == []


def test_who_may_send_is_answered_so_that_no_answer_says_something(own: Certificate, collector: RelpServer) -> None:
    context = ssl.create_default_context(cafile=own.ca)
    context.load_cert_chain(own.certificate, own.key)
    assert knock(where(collector.port), context, 5).startswith("1 rsp ")


def test_a_collector_that_lets_everybody_in_is_found_out(own: Certificate, tmp_path: Path) -> None:
    context = server_context(own, alpn=(), only="")

    def converse(plain: socket.socket) -> None:
        with context.wrap_socket(plain, server_side=True) as connection:
            connection.recv(4096)
            connection.sendall(b"1 rsp 6 200 OK\n")

    with accepting(converse) as port:
        answers = knocked(own, port, tmp_path)
    assert answers == dict.fromkeys(["no certificate", "a certificate of another CA"], "1 rsp 6 200 OK\n")


def test_a_collector_that_goes_on_listening_has_not_refused(own: Certificate) -> None:
    context, is_over = server_context(own, alpn=(), only=""), threading.Event()

    def converse(plain: socket.socket) -> None:
        with context.wrap_socket(plain, server_side=True):
            is_over.wait(5)

    with accepting(converse) as port:
        said = knock(where(port), ssl.create_default_context(cafile=own.ca), 0.1)
        is_over.set()
    assert said == "nothing, but it was still listening after 0.1 s"


def test_what_it_opens_with_is_a_frame() -> None:
    number, command, length, data = log_probe.OPEN.split(b" ", 3)
    assert (number, command) == (b"1", b"open")
    assert len(data) == int(length) + 1
    assert data.endswith(b"\n")


# Logging


def test_a_host_without_edge_and_database_logs_into_its_journal() -> None:
    module: Any = Module()
    assert list(log(module, "airworthy-0f", "5d")) == [
        {"service": "the journal", "program": "airworthy-probe", "text": "airworthy-0f"}
    ]
    assert module.commands == [["logger", "--tag", "airworthy-probe", "airworthy-0f of 5d@example.invalid"]]


def test_each_service_logs_the_name_and_beside_it_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    statements: list[str] = []

    class Session:
        def __enter__(self) -> Session:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def cursor(self) -> Session:
            return self

        execute = staticmethod(statements.append)

    monkeypatch.setattr(log_probe, "ask", lambda target, path, secure: asked.append((target.domain, path, secure)))
    monkeypatch.setattr(log_probe, "session", lambda _database, _port: Session())
    module: Any = Module(domain="app.example.org", database="app")
    sent = list(log(module, "airworthy-0f", "5d"))
    assert [(each["service"], each["program"], each["text"]) for each in sent] == [
        ("the journal", "airworthy-probe", "airworthy-0f"),
        ("nginx", "nginx-access", "/airworthy-0f"),
        ("PostgreSQL", "postgresql", "airworthy-0f"),
    ]
    assert asked == [("app.example.org", "/airworthy-0f?email=5d@example.invalid", False)]
    assert [each for each in statements if "5d@example.invalid" in each] == [statements[0], statements[2]]
    assert statements[2] == "SELECT FROM airworthy_0f WHERE email = '5d@example.invalid'"


def test_a_table_has_a_name_that_needs_no_quotation_marks() -> None:
    assert table_of("airworthy-0f-1").isidentifier()
