from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.airworthy.stack.plugins.module_utils.web_client import (
    Answer,
    Strangers,
    Target,
    ask,
    ask_raw,
    judge_strangers,
)
from tls_server import DOMAIN, Page, accepting, answering, make_certificate, server_context, serving


def test_it_asks_for_the_name_at_the_address_and_shows_what_came_back(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    seen = []

    def answer(request) -> Page:  # type: ignore[no-untyped-def]
        seen.append((request.command, request.path, request.headers["Host"], request.headers["Origin"]))
        return Page(404, (("X-Twice", "1"), ("x-twice", "2")), "größer".encode())

    with serving(answering(answer), server_context(certificate)) as port:
        target = Target(DOMAIN, "127.0.0.1", port, ca_file=str(certificate.ca))
        reply = ask(target, "/a?b", method="OPTIONS", headers={"Origin": "null"})
    assert seen == [("OPTIONS", "/a?b", f"{DOMAIN}:{port}", "null")]
    assert (reply.status, reply.values("X-Twice"), reply.body) == (404, ["1", "2"], "größer")


def test_a_redirect_is_shown_and_not_followed() -> None:
    with serving(answering(lambda _: Page(308, (("Location", "https://elsewhere.example/"),)))) as port:
        reply = ask(Target(DOMAIN, "127.0.0.1", http_port=port), secure=False)
    assert (reply.status, reply.first("Location")) == (308, "https://elsewhere.example/")


@pytest.mark.parametrize(
    ("made", "trusted", "words"),
    [
        ({"name": "other.example.org"}, "own", "mismatch"),
        ({"days": -1}, "own", "expired"),
        ({"intermediate": True}, "own", "unable to get local issuer certificate"),
        ({}, "foreign", "unable to get local issuer certificate|certificate signature failure|self-signed"),
    ],
)
def test_without_a_good_certificate_there_is_no_answer(tmp_path: Path, made: dict, trusted: str, words: str) -> None:
    own, foreign = make_certificate(tmp_path / "own", **made), make_certificate(tmp_path / "foreign")
    ca = {"own": own.ca, "foreign": foreign.ca}[trusted]
    with serving(answering(lambda _: Page()), server_context(own)) as port:
        reply = ask(Target(DOMAIN, "127.0.0.1", port, ca_file=str(ca)))
    assert not reply.status
    assert any(word in str(reply) for word in words.split("|")), reply


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"", "closed connection"),
        (b"220 smtp.example.org\r\n", "220 smtp"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "IncompleteRead"),
    ],
)
def test_a_broken_answer_is_an_observation(said: bytes, words: str) -> None:
    def converse(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(said)

    with accepting(converse) as port:
        reply = ask_raw(Target(DOMAIN, "127.0.0.1", http_port=port), b"G<T\r\n\r\n", secure=False)
    assert not reply.status
    assert words in str(reply)


def test_nobody_there_is_an_observation() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert "refused" in str(ask(Target(DOMAIN, "127.0.0.1", port)))


def test_the_command_asks_the_same() -> None:
    target = Target(DOMAIN, "192.0.2.1", ca_file="/pki/ca.crt")
    assert target.curl("/a b", "-H", "Origin: null") == (
        "curl -sS -i --connect-to ::192.0.2.1:443 --cacert /pki/ca.crt -H 'Origin: null' 'https://app.example.org/a b'"
    )
    assert Target(DOMAIN, DOMAIN).curl("/", secure=False) == "curl -sS -i http://app.example.org/"


def test_each_audit_is_one_client_and_may_be_others() -> None:
    nobody, known = Target("app.example.org", "192.0.2.1"), Target("app.example.org", "192.0.2.1", probe_key="key")
    assert nobody.credentials() == nobody.new_client() == {}
    assert known.credentials() == known.credentials()
    assert known.credentials()["X-Airworthy-Probe"].startswith("key.")
    clients = (known.credentials(), known.new_client(), known.new_client())
    assert len({client["X-Airworthy-Probe"] for client in clients}) == 3


@pytest.mark.parametrize(
    ("fault", "failed"),
    [
        ({}, []),
        ({"plain": Answer(200)}, ["x without TLS"]),
        ({"anonymous": Answer(200)}, ["x without a password"]),
        ({"anonymous": Answer(failure="refused")}, ["x without a password"]),
        ({"wrong": Answer(200)}, ["x with a wrong password"]),
    ],
)
def test_strangers_learn_nothing(fault: dict[str, Answer], failed: list[str]) -> None:
    good = Strangers(plain=Answer(400), anonymous=Answer(401), wrong=Answer(401))
    checks = judge_strangers("x", replace(good, **fault))
    assert [check.subject for check in checks if not check.ok] == failed
