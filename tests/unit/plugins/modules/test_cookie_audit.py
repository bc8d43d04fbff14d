"""Which cookies leave an edge: judged from what was seen, one fault at a time."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.airworthy.stack.plugins.module_utils.web_client import Answer, Target
from ansible_collections.airworthy.stack.plugins.modules import cookie_audit
from ansible_collections.airworthy.stack.plugins.modules.cookie_audit import Cookie, Seen
from tls_server import DOMAIN, Page, answering, make_certificate, server_context, serving

WANTED: dict[str, Any] = {
    "canary": "/canary",
    "canary_cookies": ["bare=1", "cross_site=1; SameSite=None", "csrf_token=1"],
    "readable_cookies": ["csrf_token"],
    "page": "/",
    "api": "/api/me",
    "sign_in": "/api/auth/sign-in",
}
SAFE = (
    "bare=1; Secure; HttpOnly; SameSite=Lax",
    "cross_site=1; secure; httponly; samesite=strict",
    "csrf_token=1; Secure; SameSite=Lax",
)


def answer(status: int, *cookies: str) -> Answer:
    return Answer(status, tuple(("Set-Cookie", cookie) for cookie in cookies))


FAILING, QUIET = answer(500), answer(200)


def seen(*cookies: str, failing: Answer = FAILING, application: Answer = QUIET) -> Seen:
    return Seen({200: answer(200, *cookies), 404: answer(404, *SAFE), 500: failing}, {"GET /": application})


@pytest.mark.parametrize(
    ("header", "readable", "faults"),
    [
        ("sid=1; Path=/; Secure; HttpOnly; SameSite=Lax", False, []),
        ("sid=1;SECURE;httponly;SAMESITE=STRICT", False, []),
        ("sid=1; Secure; SameSite=Lax", True, []),
        ("sid=1; HttpOnly", False, ["not Secure", "SameSite missing"]),
        ("sid=1; Secure; HttpOnly; SameSite=None", False, ["SameSite none"]),
        ("sid=Secure; HttpOnly; SameSite=Lax", False, ["not Secure"]),
        ("sid=a=b; Secure; HttpOnly; SameSite", False, ["SameSite "]),
    ],
)
def test_a_cookie_is_what_a_browser_makes_of_it(header: str, readable: bool, faults: list[str]) -> None:
    cookie = Cookie.of(header)
    assert (cookie.name, cookie.is_readable, cookie.faults()) == ("sid", readable, faults)


@pytest.mark.parametrize("application", [answer(200), answer(401, SAFE[0]), answer(200, SAFE[2])])
def test_safe_cookies_pass_and_nothing_is_said_of_a_session_store(application: Answer) -> None:
    control = cookie_audit.judge(seen(*SAFE, application=application), WANTED, "curl")
    assert control.status == "pass"
    assert "no session store" in control.observed


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (seen("bare=1", *SAFE[1:]), "bare: not Secure; bare: SameSite missing; bare: readable by scripts"),
        (seen("bare=1; Secure; HttpOnly; SameSite=None", *SAFE[1:]), "bare: SameSite none"),
        (seen(*SAFE[:2], "csrf_token=1; Secure; HttpOnly; SameSite=Lax"), "csrf_token: HttpOnly, though"),
        (seen(*SAFE[:2]), "came: bare, cross_site"),
        (seen(), "came: none"),
        (seen(*SAFE, failing=answer(500, "bare=1; Secure; HttpOnly; SameSite=Lax")), "came: bare"),
        (seen(*SAFE, failing=answer(200)), "status 200"),
        (seen(*SAFE, application=answer(200, "sid=1; HttpOnly; SameSite=Lax")), "sid: not Secure"),
        (seen(*SAFE, application=answer(200, "sid=1; Secure; SameSite=Lax")), "sid: readable by scripts"),
        (seen(*SAFE, application=Answer(failure="timed out")), "no answer (timed out)"),
    ],
)
def test_each_fault_is_seen_and_named(what: Seen, words: str) -> None:
    control = cookie_audit.judge(what, WANTED, "curl")
    assert control.status == "fail"
    assert words in control.observed


def test_a_readable_cookie_that_the_canary_does_not_know_is_missed() -> None:
    wanted = {**WANTED, "readable_cookies": ["csrf_token", "theme"]}
    assert cookie_audit.judge(seen(*SAFE), wanted, "curl").status == "fail"


def test_each_of_many_cookies_in_one_answer_is_looked_at(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)

    def careless(request: BaseHTTPRequestHandler) -> Page:
        status = {"/canary/404": 404, "/canary": 500}.get(request.path, 200)
        mine = [*SAFE, "late=1"] if request.path == "/canary/404" else SAFE if "/canary/" in request.path else []
        return Page(status, tuple(("Set-Cookie", cookie) for cookie in mine))

    with serving(answering(careless), server_context(certificate)) as port:
        target = Target(DOMAIN, "127.0.0.1", port, ca_file=str(certificate.ca))
        control = cookie_audit.judge(cookie_audit.observe(target, WANTED), WANTED, "curl")
    assert [check.subject for check in control.checks if not check.ok] == [
        "cookies of a careless application, status 404"
    ]
    assert "late: not Secure" in control.observed
