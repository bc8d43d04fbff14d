"""The audit of answers, against an edge that does everything right, and against one fault at a time."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from ansible_collections.airworthy.stack.plugins.module_utils.control import Control
from ansible_collections.airworthy.stack.plugins.module_utils.web_client import Answer, Target
from ansible_collections.airworthy.stack.plugins.modules import http_audit
from ansible_collections.airworthy.stack.plugins.modules.http_audit import Exchange, Mishap, Sample
from tls_server import DOMAIN, Certificate, Page, answering, make_certificate, server_context, serving

ORIGIN = "https://admin.example.org"
WANTED: dict[str, Any] = {
    "security_headers": {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'self'"},
    "headers_from_app": [],
    "hsts": "max-age=63072000",
    "page": "/",
    "api": "/api/me",
    "static": "",
    "static_prefixes": ["/static/"],
    "failing": "/canary",
    "private": ["/metrics"],
    "revision": "abc123",
    "revision_path": "/revision",
    "max_body_mb": 10,
}
POLICY: dict[str, Any] = {
    "path": "/",
    "allowed_origins": [ORIGIN],
    "allowed_methods": ["GET", "PUT"],
    "allowed_headers": ["Content-Type"],
    "exposed_headers": ["X-Request-Id"],
    "allow_credentials": True,
    "max_age": 600,
}
HEADERS = (*WANTED["security_headers"].items(), ("Strict-Transport-Security", "max-age=63072000"), ("Server", "nginx"))


def failing(control: Control) -> dict[str, str]:
    return {check.subject: check.observed for check in control.checks if not check.ok}


# --- edge.headers


def changed(name: str, *values: str) -> tuple[tuple[str, str], ...]:
    return tuple(header for header in HEADERS if header[0] != name) + tuple((name, value) for value in values)


@pytest.mark.parametrize(
    ("headers", "secure", "found"),
    [
        (HEADERS, True, []),
        (changed("X-Content-Type-Options"), True, ["X-Content-Type-Options missing"]),
        (changed("X-Content-Type-Options", "nosniff", "nosniff"), True, ["X-Content-Type-Options 2 times"]),
        (changed("Content-Security-Policy", "default-src *"), True, ["Content-Security-Policy: default-src *"]),
        (changed("Strict-Transport-Security"), True, ["Strict-Transport-Security: missing"]),
        (changed("Strict-Transport-Security"), False, []),
        (HEADERS, False, ["Strict-Transport-Security: max-age=63072000"]),
        (changed("Server", "nginx/1.26.3"), True, ["Server: nginx/1.26.3"]),
        (changed("Server"), True, []),
        (changed("X-Powered-By", "Express"), True, ["X-Powered-By: Express"]),
    ],
)
def test_the_headers_of_an_answer(headers: tuple[tuple[str, str], ...], secure: bool, found: list[str]) -> None:
    assert http_audit.deviations(Answer(200, headers), secure, WANTED) == found


@pytest.mark.parametrize(
    ("policy", "found"),
    [
        (["default-src 'nonce-x'"], []),
        ([], ["Content-Security-Policy missing"]),
        ([""], ["Content-Security-Policy: "]),
        (["a", "b"], ["Content-Security-Policy 2 times"]),
    ],
)
def test_a_header_that_the_application_chooses(policy: list[str], found: list[str]) -> None:
    wanted = {**WANTED, "headers_from_app": ["Content-Security-Policy"]}
    assert http_audit.deviations(Answer(200, changed("Content-Security-Policy", *policy)), True, wanted) == found


NONCE = "0123456789abcdef" * 2


@pytest.mark.parametrize(
    ("seen", "subjects"),
    [
        ([NONCE, NONCE[::-1]], []),
        ([NONCE, NONCE], ["nonce of Content-Security-Policy"]),
        (["", NONCE], ["page /"]),
        (["short", NONCE], ["page /"]),
    ],
)
def test_a_nonce_is_another_one_each_time(seen: list[str], subjects: list[str]) -> None:
    wanted = {**WANTED, "security_headers": {"Content-Security-Policy": "script-src 'self' 'nonce-$request_id'"}}
    headers = [changed("Content-Security-Policy", f"script-src 'self' 'nonce-{nonce}'") for nonce in seen]
    answers = [(Sample("page", "/", (200,)), Answer(200, each)) for each in headers]
    assert list(failing(http_audit.judge_headers((answers, None), wanted, ""))) == subjects


@pytest.mark.parametrize(
    ("page", "prefixes", "found"),
    [
        ('<link href="/favicon.ico"><script src="/static/a.js">', ["/static/"], "/static/a.js"),
        ("<link href='/_next/static/a.css'>", ["/static/", "/_next/static/"], "/_next/static/a.css"),
        ("<script src=/static/a.js defer>", ["/static/"], "/static/a.js"),
        ('<a href="/students">', ["/static/"], ""),
        ('<script src="/static/a.js">', [], ""),
    ],
)
def test_the_page_says_where_its_static_files_are(page: str, prefixes: list[str], found: str) -> None:
    assert http_audit.static_file(page, prefixes) == found


@pytest.mark.parametrize(
    ("sample", "answer", "revision", "subject"),
    [
        (Sample("page", "/", range(200, 400)), Answer(502, HEADERS), Answer(200, body="abc123\n"), "page /"),
        (Sample("page", "/", range(200, 400)), Answer(failure="refused"), Answer(200, body="abc123\n"), "page /"),
        (Sample("page", "/", range(200, 400)), Answer(200, HEADERS), Answer(200, body="old\n"), "configuration loaded"),
        (Sample("page", "/", range(200, 400)), Answer(200, HEADERS), Answer(failure="x"), "configuration loaded"),
    ],
)
def test_a_wrong_answer_fails(sample: Sample, answer: Answer, revision: Answer, subject: str) -> None:
    control = http_audit.judge_headers(([(sample, answer)], revision), WANTED, "curl")
    assert (control.status, list(failing(control))) == ("fail", [subject])


# --- edge.cors

ANY = (("Access-Control-Allow-Origin", ORIGIN), ("Access-Control-Allow-Credentials", "true"), ("Vary", "Origin"))
ALLOWED = (*ANY, ("Access-Control-Expose-Headers", "X-Request-Id"))
PREFLIGHT = (
    *ANY,
    ("Access-Control-Allow-Methods", "GET, PUT"),
    ("Access-Control-Allow-Headers", "content-type"),
    ("Access-Control-Max-Age", "600"),
)
NOTHING = (("Vary", "Accept-Encoding"), ("Vary", "Origin"))


@pytest.mark.parametrize(
    ("preflight", "allowed", "status", "headers", "faults"),
    [
        (False, True, 200, ALLOWED, 0),
        (False, True, 200, ALLOWED[1:], 1),
        (False, True, 200, (("Access-Control-Allow-Origin", "*"), *ALLOWED[1:]), 1),
        (False, True, 200, (*ALLOWED, ALLOWED[0]), 1),
        (False, True, 200, (ALLOWED[0], *ALLOWED[2:]), 1),
        (False, True, 200, (*ALLOWED[:2], ALLOWED[3]), 1),
        (False, True, 200, ANY, 1),
        (True, True, 204, PREFLIGHT, 0),
        (True, True, 404, PREFLIGHT, 1),
        (True, True, 204, ANY, 3),
        (True, True, 204, (*ANY, ("Access-Control-Allow-Methods", "*"), *PREFLIGHT[4:]), 1),
        (True, True, 204, (*PREFLIGHT[:5], ("Access-Control-Max-Age", "86400")), 1),
        (False, False, 200, NOTHING, 0),
        (False, False, 200, ALLOWED, 3),
        (True, False, 204, NOTHING[:1], 1),
        (True, False, 204, (*NOTHING, ("Access-Control-Allow-Credentials", "true")), 1),
        (False, False, 0, (), 1),
    ],
)
def test_what_an_origin_is_told(preflight: bool, allowed: bool, status: int, headers: Any, faults: int) -> None:
    answer = Answer(status, headers, failure="" if status else "refused")
    exchange = Exchange(ORIGIN, preflight, allowed, answer, POLICY)
    assert len(http_audit.cors_faults(exchange)) == faults
    assert http_audit.judge_cors([exchange], "curl").status == ("fail" if faults else "pass")


def test_foreign_origins_look_like_the_allowed_one_and_are_not_it() -> None:
    foreign = http_audit.foreign_origins([ORIGIN, "https://evil.example"])
    assert ORIGIN not in foreign
    assert "https://evil.example" not in foreign
    assert {
        "null",
        "https://eviladmin.example.org",
        "https://admin.example.org.evil.example",
        "https://adminxexample.org",
        "https://admin.example.org:444",
        "http://admin.example.org",
    } <= set(foreign)


def test_who_may_call_another_path_is_foreign_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_audit, "ask", lambda *_args, **_options: Answer(200))
    here = {**POLICY, "allowed_origins": ["https://*.example.org"]}
    there = {**POLICY, "allowed_origins": ["https://b.example.org", "https://*.example.net"]}
    asked = http_audit.observe_cors(Target(DOMAIN, DOMAIN), here, [here, there])
    foreign = {exchange.origin for exchange in asked if not exchange.allowed}
    assert "https://airworthy.example.net" in foreign
    assert not foreign & {"https://b.example.org", "https://airworthy.example.org"}


# --- edge.errors

IDENTIFIED = (("Content-Type", "application/json"), ("X-Request-Id", "1"))


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (Answer(500, IDENTIFIED, '{"error":{"message":"Something went wrong here"}}'), ""),
        (Answer(500, (("X-Request-Id", "1"),)), ""),
        (Answer(200, IDENTIFIED), "status 200"),
        (Answer(failure="closed"), "no answer"),
        (Answer(500, IDENTIFIED[:1], "{}"), "no X-Request-Id"),
        (Answer(500, IDENTIFIED[1:], "core dumped"), "Content-Type"),
        (Answer(500, IDENTIFIED, "Error: x\n    at f (a.mjs)"), "stack trace"),
        (Answer(500, IDENTIFIED, 'Traceback (most recent call last):\n  File "x"'), "stack trace"),
        (Answer(500, IDENTIFIED, "thrown in server.js:42"), "stack trace"),
        (Answer(500, IDENTIFIED, "cannot open /opt/app/x"), "path of the server"),
        (Answer(500, IDENTIFIED, "in node:internal/process"), "path of the server"),
        (Answer(500, IDENTIFIED, "<hr>nginx/1.22.1"), "software version"),
        (Answer(500, (*IDENTIFIED, ("Via", "Apache/2.4"))), "software version"),
        (Answer(500, IDENTIFIED, 'relation "users" does not exist'), "database error"),
        (Answer(500, IDENTIFIED, "connect ECONNREFUSED 127.0.0.1:5432"), "database error"),
    ],
)
def test_an_error_must_not_tell_too_much(answer: Answer, fault: str) -> None:
    faults = "; ".join(http_audit.error_faults(Mishap("failing application", 500, answer)))
    assert fault in faults
    assert bool(faults) == bool(fault)


# --- the whole, over the wire


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


def good(request: BaseHTTPRequestHandler) -> Page:
    """What nginx with the role's configuration would answer."""
    origin, preflight = request.headers["Origin"], request.command == "OPTIONS"
    told = (PREFLIGHT if preflight else ALLOWED) if origin == ORIGIN else NOTHING
    headers = (*HEADERS, *told, *IDENTIFIED)
    size = int(request.headers["Content-Length"] or 0)
    if size > WANTED["max_body_mb"] * 1024 * 1024:
        return Page(413, headers, b"{}")
    if ".." in request.path or "%00" in request.path:
        return Page(400, headers, b"{}")
    if request.command == "TRACE" or preflight:
        return Page(405 if request.command == "TRACE" else 204, headers)
    pages = {
        "/": Page(200, headers, b'<script src="/static/a.js">'),
        "/static/a.js": Page(200, headers),
        "/api/me": Page(401, headers, b"{}"),
        "/canary": Page(500, headers, b"{}"),
        "/revision": Page(200, headers, b"abc123\n"),
    }
    return pages.get(request.path, Page(404, headers, b"{}"))


class Strict(BaseHTTPRequestHandler):
    """To what it cannot parse, Python answers with other statuses than nginx, and without our headers."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        self.close_connection = True
        self.protocol_version, self.request_version = "HTTP/1.1", "HTTP/1.1"
        self.send_response_only({431: 400, 501: 400}.get(code, code))
        for name, value in (*HEADERS, *IDENTIFIED, ("Content-Length", "0")):
            self.send_header(name, value)
        self.end_headers()


@contextmanager
def edge(certificate: Certificate, answer: Callable[[BaseHTTPRequestHandler], Page] = good) -> Iterator[Target]:
    with ExitStack() as stack:
        handler = type("Edge", (Strict, answering(answer)), {})
        port = stack.enter_context(serving(handler, server_context(certificate)))
        headers = tuple(header for header in HEADERS if header[0] != "Strict-Transport-Security")
        redirect = answering(lambda _: Page(308, (*headers, ("Location", "https://x/"))))
        http_port = stack.enter_context(serving(redirect))
        yield Target(DOMAIN, "127.0.0.1", port, http_port, str(certificate.ca), 5)


def audit(target: Target) -> dict[str, Control]:
    return {
        "edge.headers": http_audit.judge_headers(http_audit.observe_headers(target, WANTED), WANTED, ""),
        "edge.cors": http_audit.judge_cors(http_audit.observe_cors(target, POLICY, [POLICY]), ""),
        "edge.errors": http_audit.judge_errors(http_audit.observe_errors(target, WANTED), ""),
    }


def test_a_good_edge_passes(certificate: Certificate) -> None:
    with edge(certificate) as target:
        controls = audit(target)
    assert {name: failing(control) for name, control in controls.items()} == {name: {} for name in controls}
    assert [check.subject.split(" /")[0] for check in controls["edge.headers"].checks] == [
        "page",
        "missing page",
        "redirect",
        "failing application",
        "API",
        "static file",
        "configuration loaded",
    ]


def but(path: str, **faults: Any) -> Callable[[BaseHTTPRequestHandler], Page]:
    """Good, but for one path."""
    return lambda request: replace(good(request), **faults) if request.path == path else good(request)


def reflecting(request: BaseHTTPRequestHandler) -> Page:
    """An edge that gives every origin what it asks for."""
    told = (("Access-Control-Allow-Origin", request.headers["Origin"] or "*"), *ALLOWED[1:])
    return replace(good(request), headers=(*HEADERS, *told, *IDENTIFIED))


@pytest.mark.parametrize(
    ("answer", "control_id"),
    [
        (but("/static/a.js", headers=IDENTIFIED), "edge.headers"),
        (but("/", body=b"no static file"), "edge.headers"),
        (but("/canary", headers=IDENTIFIED), "edge.headers"),
        (but("/revision", body=b"the one before\n"), "edge.headers"),
        (but("/canary", body=b"Error: x\n    at y (/opt/app/z.js:1:1)"), "edge.errors"),
        (but("/metrics", status=200), "edge.errors"),
        (but("/METRICS/", status=200), "edge.errors"),
        (reflecting, "edge.cors"),
    ],
)
def test_a_careless_edge_fails(certificate: Certificate, answer: Any, control_id: str) -> None:
    with edge(certificate, answer) as target:
        controls = audit(target)
    assert [name for name, control in controls.items() if control.status == "fail"] == [control_id]


def test_an_edge_that_is_not_there_fails() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    controls = audit(Target(DOMAIN, "127.0.0.1", port, port, timeout=2))
    assert {control.status for control in controls.values()} == {"fail"}
