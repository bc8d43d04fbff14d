"""Personal data in requests, and what the logs hold of it: judged one fault at a time."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.airworthy.stack.plugins.module_utils.web_client import Answer, Target
from ansible_collections.airworthy.stack.plugins.plugin_utils.personal_data import (
    KINDS,
    Person,
    Sample,
    judge,
    new_markers,
    samples,
)
from tls_server import DOMAIN, Page, answering, make_certificate, server_context, serving

LOG = "/var/log/nginx/access.log"
WANTED: dict[str, Any] = {
    "page": "/",
    "api": "/api/me",
    "sign_in": "/api/auth/sign-in",
    "auth_requests": 2,
    "limited": [{"path": "/api/", "burst": 3, "probe_method": "GET"}],
    "canary": "/canary",
    "waf_mode": "block",
    "max_body_mb": 1,
}
REQUESTS = [
    Sample("a page", range(200, 400), Answer(200, (("X-Request-Id", "a1"),))),
    Sample("a missing page", (404,), Answer(404, (("X-Request-Id", "b2"),))),
]
NOTHING: dict[str, Any] = {"searched": [LOG], "found": {kind: [] for kind in KINDS}, "missing": []}


def test_all_requests_and_nothing_else_in_the_logs() -> None:
    assert judge(REQUESTS, NOTHING, LOG).status == "pass"


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_personal_data_that_was_logged_is_named_with_its_place(kind: str) -> None:
    found = {**NOTHING["found"], kind: ["/var/log/nginx/error.log"]}
    control = judge(REQUESTS, {**NOTHING, "found": found}, LOG)
    assert control.status == "fail"
    assert control.observed == f"1 of 9 not as expected: {kind}: in /var/log/nginx/error.log"


@pytest.mark.parametrize(
    ("requests", "seen", "words"),
    [
        (REQUESTS, {"missing": ["b2"]}, "a missing page: 404, not logged"),
        (REQUESTS, {"searched": []}, "none"),
        ([Sample("a page", (200,), Answer(200))], {}, "a page: 200, without an id"),
        ([Sample("an attack", (403,), Answer(200, (("X-Request-Id", "a1"),)))], {}, "an attack: 200, logged"),
        ([Sample("a page", (200,), Answer(failure="timed out"))], {}, "no answer (timed out), without an id"),
    ],
)
def test_what_was_not_logged_or_ended_otherwise_proves_nothing(requests: Any, seen: dict[str, Any], words: str) -> None:
    control = judge(requests, {**NOTHING, **seen}, LOG)
    assert control.status == "fail"
    assert words in control.observed


class Edge:
    """Answers everything with 200, and keeps what it was sent."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, str]] = []

    def answer(self, request: BaseHTTPRequestHandler) -> Page:
        length = int(request.headers.get("Content-Length", 0))
        body = request.rfile.read(length).decode() if length < 1_000_000 else ""
        self.requests.append((f"{request.command} {request.path}", str(request.headers), body))
        return Page(headers=(("Connection", "close"),))


def test_every_request_carries_what_is_marked(tmp_path: Path) -> None:
    edge, certificate, markers = Edge(), make_certificate(tmp_path), new_markers()
    with serving(answering(edge.answer), server_context(certificate)) as port:
        target = Target(DOMAIN, "127.0.0.1", port, ca_file=str(certificate.ca), probe_key="key")
        taken = list(samples(Person(target, markers), WANTED))
    assert len({sample.name for sample in taken}) == len(taken) == 14
    assert len(set(markers.values())) == len(KINDS)
    for line, headers, body in edge.requests:
        assert markers["e-mail address"] in line and markers["token"] in line
        assert markers["cookie"] in headers and markers["Referer"] in headers
        assert markers["Authorization"] in headers or "evil.example" in headers, "a token is no forgery"
        assert markers["password"] in body or not body
    sign_ins = [headers for line, headers, _body in edge.requests if line.startswith("POST /api/auth/sign-in")]
    clients = {header for headers in sign_ins for header in headers.splitlines() if "X-Airworthy-Probe" in header}
    assert (len(sign_ins), len(clients)) == (3, 1), "one client tries once too often"


def test_what_does_not_exist_is_left_out(tmp_path: Path) -> None:
    edge, certificate = Edge(), make_certificate(tmp_path)
    lacking = {**WANTED, "api": "", "sign_in": "", "limited": [], "waf_mode": "detect"}
    with serving(answering(edge.answer), server_context(certificate)) as port:
        target = Target(DOMAIN, "127.0.0.1", port, ca_file=str(certificate.ca))
        assert len(list(samples(Person(target, new_markers()), lacking))) == 8
    assert not any("X-Airworthy-Probe" in headers for _line, headers, _body in edge.requests)
