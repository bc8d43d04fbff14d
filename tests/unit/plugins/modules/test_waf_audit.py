"""The audit of what is refused and what is served, against a server that does both, and against one fault at a time."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.airworthy.stack.plugins.module_utils.control import Control
from ansible_collections.airworthy.stack.plugins.module_utils.web_client import Answer, Target
from ansible_collections.airworthy.stack.plugins.modules import waf_audit
from ansible_collections.airworthy.stack.plugins.modules.waf_audit import Attack, Ordinary
from tls_server import DOMAIN, Page, answering, make_certificate, server_context, serving

WANTED: dict[str, Any] = {
    "mode": "block",
    "page": "/",
    "api": "/api/me",
    "sign_in": "/api/auth/sign-in",
    "max_body_mb": 10,
    "probe_key": "",
}


def verdict(control: Control) -> tuple[str, list[str]]:
    return control.status, [check.subject for check in control.checks if not check.ok]


@pytest.mark.parametrize(
    ("answer", "refused"),
    [
        *((Answer(status), True) for status in (400, 403, 405, 413, 415)),
        *((Answer(status), False) for status in (200, 308, 401, 404, 429, 500, 502)),
        (Answer(failure="timed out"), False),
    ],
)
def test_an_attack_is_refused_or_not(answer: Answer, refused: bool) -> None:
    control = waf_audit.judge(([Attack("scanner", answer)], []), WANTED, "curl")
    assert verdict(control) == (("pass", []) if refused else ("fail", ["scanner"]))


@pytest.mark.parametrize(
    ("plain", "answer", "served"),
    [
        (Answer(200), Answer(200), True),
        (Answer(401), Answer(401), True),
        (Answer(400), Answer(400), True),
        (Answer(401), Answer(403), False),  # the firewall, not the application
        (Answer(401), Answer(400), False),
        (Answer(403), Answer(403), False),  # everything is refused
        (Answer(429), Answer(429), False),  # nothing was seen of the application
        (Answer(502), Answer(502), False),
        (Answer(200), Answer(failure="timed out"), False),
        (Answer(failure="refused"), Answer(failure="refused"), False),
    ],
)
def test_an_ordinary_request_is_served_like_a_plain_one(plain: Answer, answer: Answer, served: bool) -> None:
    control = waf_audit.judge(([], [Ordinary("sign-in", plain, answer)]), WANTED, "curl")
    assert verdict(control) == (("pass", []) if served else ("fail", ["sign-in"]))


def test_without_requests_nothing_is_proved() -> None:
    assert waf_audit.judge(([], []), WANTED, "curl").status == "error"


def test_without_a_firewall_there_is_nothing_to_judge() -> None:
    control = waf_audit.examine(Target(DOMAIN, "203.0.113.1"), {**WANTED, "mode": "off"})
    assert control.status == "not_applicable"
    assert "nginx_waf_mode is off" in control.observed


@pytest.mark.parametrize(("mode", "advice"), [("detect", "nginx_waf_mode to block"), ("block", "nginx_waf_exclusions")])
def test_what_to_do(mode: str, advice: str) -> None:
    control = waf_audit.judge(([Attack("scanner", Answer(200))], []), {**WANTED, "mode": mode}, "curl")
    assert (control.status, advice in control.remediation) == ("fail", True)


def test_requests_go_where_they_do_no_harm() -> None:
    sent = waf_audit.attacks(WANTED).values()
    assert not any("/auth/" in request.path for request in sent)
    assert {request.method for request in sent if request.path != WANTED["api"]} == {"GET", "TRACE", "PROPFIND"}
    alone = waf_audit.attacks({**WANTED, "api": ""}).values()
    assert {request.path.partition("?")[0] for request in alone} == {"/"}


@pytest.mark.parametrize("working", [True, False])
def test_over_the_wire(tmp_path: Path, working: bool) -> None:
    """A server that knows plain requests by what they lack, and one whose firewall has been switched off."""
    signs = ("UNION", "%3Cscript%3E", "<script>", "passwd", "jndi", "sqlmap", "x-airworthy", str(10 * 1024 * 1024 + 1))
    seen: list[str] = []

    def answer(request: BaseHTTPRequestHandler) -> Page:
        length = int(request.headers["Content-Length"] or 0)
        body = request.rfile.read(length).decode() if length < 10_000 else ""
        seen.append(request.path)
        hostile = any(sign in f"{request.path} {request.headers} {body}" for sign in signs)
        refused = working and (hostile or request.command in ("TRACE", "PROPFIND"))
        return Page(403 if refused else 401 if "auth" in request.path else 200)

    certificate = make_certificate(tmp_path)
    handler = answering(answer)
    handler.do_TRACE = handler.do_PROPFIND = handler.do_GET  # type: ignore[attr-defined]
    with serving(handler, server_context(certificate)) as port:
        target = Target(DOMAIN, "127.0.0.1", port, ca_file=str(certificate.ca))
        control = waf_audit.examine(target, WANTED)
    assert control.status == ("pass" if working else "fail")
    assert seen.count(WANTED["sign_in"]) == 2
    assert (verdict(control)[1] == []) is working
