"""What an edge believes of a request: judged from what was seen, one fault at a time."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.airworthy.stack.plugins.module_utils.web_client import Answer
from ansible_collections.airworthy.stack.plugins.modules import request_audit
from ansible_collections.airworthy.stack.plugins.modules.request_audit import Attempt, Cdn

OWN = "https://app.example.org"
ADMIN = "https://admin.example.org"
WANTED: dict[str, Any] = {
    "allowed_origins": [ADMIN],
    "exempt_prefixes": ["/api/webhooks/"],
    "static_prefixes": ["/static/"],
    "hashed_assets": r"^/static/.+\.[0-9a-f]{8,}\.js$",
}
ASSET = "/static/client.0123abcd.js"
KEPT = (("Cache-Control", "public, max-age=31536000, immutable"),)
HONEST = Answer(200, body="192.0.2.10\n")


def attempts() -> dict[str, Attempt]:
    return {attempt.name: attempt for attempt in request_audit.attempts(OWN, WANTED)}


def test_pages_of_the_application_and_of_allowed_origins_are_to_be_served() -> None:
    served = {name for name, attempt in attempts().items() if attempt.served}
    assert {
        "POST from the own page",
        f"POST from {ADMIN}",
        "POST below /api/webhooks/",
        "GET from another site",
    } <= served


@pytest.mark.parametrize("origin", ["null", "https://evil.example", f"{OWN}.evil.example", "http://app.example.org"])
def test_other_origins_are_to_be_refused(origin: str) -> None:
    assert not attempts()[f"POST from {origin}"].served


@pytest.mark.parametrize(
    ("served", "status", "verdict"),
    [
        (True, 404, "pass"),
        (True, 401, "pass"),
        (True, 403, "fail"),
        (True, 502, "fail"),
        (True, 0, "fail"),
        (False, 403, "pass"),
        (False, 404, "fail"),
        (False, 200, "fail"),
        (False, 502, "fail"),
        (False, 0, "fail"),
    ],
)
def test_an_attempt_is_judged_by_its_status(served: bool, status: int, verdict: str) -> None:
    attempt = Attempt("POST", served, {})
    assert request_audit.judge_csrf([(attempt, Answer(status))], "curl").status == verdict


@pytest.mark.parametrize(
    ("path", "answer", "found"),
    [
        (ASSET, Answer(200, KEPT), []),
        (ASSET, Answer(404, KEPT), ["status 404"]),
        (
            ASSET,
            Answer(200, (("Cache-Control", "public, max-age=31536000"),)),
            ["Cache-Control: public, max-age=31536000"],
        ),
        (
            ASSET,
            Answer(200, (("Cache-Control", "public, max-age=60, immutable"),)),
            ["Cache-Control: public, max-age=60, immutable"],
        ),
        (ASSET, Answer(200), ["Cache-Control: missing"]),
        ("/static/client.js", Answer(200, KEPT), ["its name does not change with its content (nginx_hashed_assets)"]),
        (ASSET, Answer(200, (*KEPT, ("Set-Cookie", "a=b"))), ["sets a cookie, which a cache would hand to everybody"]),
    ],
)
def test_a_file_that_caches_may_keep(path: str, answer: Answer, found: list[str]) -> None:
    assert request_audit.asset_faults(path, answer, WANTED["hashed_assets"]) == found


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, "pass"),
        ({"X-Forwarded-For": Answer(200, body="203.0.113.77\n")}, "fail"),
        ({"Forwarded": Answer(failure="timed out")}, "fail"),
        ({"": Answer(404)}, "fail"),
    ],
)
def test_a_claim_to_be_another_client(change: dict[str, Answer], status: str) -> None:
    clients = dict.fromkeys(("", *request_audit.CLIENT_HEADERS), HONEST) | change
    assert request_audit.judge_cdn(Cdn(ASSET, Answer(200, KEPT), clients, None), WANTED, "curl").status == status


def test_a_page_without_static_files_does_not_pass() -> None:
    clients = dict.fromkeys(("", *request_audit.CLIENT_HEADERS), HONEST)
    seen = Cdn("", None, clients, None)
    assert request_audit.judge_cdn(seen, WANTED, "curl").status == "fail"
    assert request_audit.judge_cdn(seen, {**WANTED, "static_prefixes": []}, "curl").status == "pass"


@pytest.mark.parametrize(("answer", "status"), [(Answer(403), "pass"), (Answer(200), "fail"), (Answer(), "fail")])
def test_a_closed_origin_serves_no_stranger(answer: Answer, status: str) -> None:
    clients = dict.fromkeys(("", *request_audit.CLIENT_HEADERS), HONEST)
    assert request_audit.judge_cdn(Cdn(ASSET, Answer(200, KEPT), clients, answer), WANTED, "curl").status == status
