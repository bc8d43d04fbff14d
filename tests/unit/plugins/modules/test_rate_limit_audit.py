"""How often an edge lets a client ask: judged from what was seen, one fault at a time."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.airworthy.stack.plugins.module_utils.web_client import Answer, Target
from ansible_collections.airworthy.stack.plugins.modules import rate_limit_audit
from ansible_collections.airworthy.stack.plugins.modules.rate_limit_audit import Burst

WANTED: dict[str, Any] = {
    "auth": "/api/auth/sign-in",
    "auth_requests": 10,
    "auth_minutes": 15,
    "limited": [{"path": "/api/", "burst": 100, "probe_method": "GET"}],
}
SERVED = Answer(400)
BODY = '{"error":{"message":"Too many requests","requestId":"0123"}}'
REFUSED = Answer(429, (("Retry-After", "893"),), BODY)


@pytest.mark.parametrize(
    ("attempts", "other", "status"),
    [
        ([SERVED] * 10 + [REFUSED], SERVED, "pass"),
        ([SERVED] * 11, SERVED, "fail"),
        ([SERVED] * 9 + [REFUSED] * 2, SERVED, "fail"),
        ([Answer(502)] * 10 + [REFUSED], SERVED, "fail"),
        ([Answer(failure="timed out")] * 10 + [REFUSED], SERVED, "fail"),
        ([SERVED] * 10 + [Answer(503, REFUSED.headers, BODY)], SERVED, "fail"),
        ([SERVED] * 10 + [Answer(429, (), BODY)], SERVED, "fail"),
        ([SERVED] * 10 + [Answer(429, (("Retry-After", "901"),), BODY)], SERVED, "fail"),
        ([SERVED] * 10 + [Answer(429, (("Retry-After", "soon"),), BODY)], SERVED, "fail"),
        ([SERVED] * 10 + [Answer(429, REFUSED.headers, "<html>")], SERVED, "fail"),
        ([SERVED] * 10 + [REFUSED], REFUSED, "fail"),
    ],
)
def test_attempts_to_sign_in(attempts: list[Answer], other: Answer, status: str) -> None:
    assert rate_limit_audit.judge_auth((attempts, other), WANTED, "curl").status == status


@pytest.mark.parametrize(
    ("answers", "other", "status"),
    [
        ([SERVED] * 130 + [REFUSED] * 102, SERVED, "pass"),
        ([SERVED] * 232, SERVED, "fail"),
        ([SERVED] * 99 + [REFUSED] * 133, SERVED, "fail"),
        ([SERVED] * 130 + [REFUSED] * 101 + [Answer(503)], SERVED, "fail"),
        ([SERVED] * 130 + [REFUSED] * 101 + [Answer(failure="timed out")], SERVED, "fail"),
        ([SERVED] * 130 + [REFUSED] * 102, REFUSED, "fail"),
        ([SERVED] * 130 + [REFUSED] * 101 + [Answer(429, REFUSED.headers, "<html>")], SERVED, "fail"),
        ([SERVED] * 130 + [REFUSED] * 101 + [Answer(429, (), BODY)], SERVED, "fail"),
    ],
)
def test_a_burst_of_requests(answers: list[Answer], other: Answer, status: str) -> None:
    control = rate_limit_audit.judge_api([Burst("/api/", 100, answers, 1.16, other)], "curl")
    assert control.status == status
    assert any(check.observed.endswith(", in 1.2 s") for check in control.checks)


def test_what_does_not_exist_is_not_applicable() -> None:
    wanted = {**WANTED, "auth": "", "limited": []}
    probes = rate_limit_audit.probes_of(Target("app.example.org", "192.0.2.1"), wanted)
    assert {probe().status for probe in probes.values()} == {"not_applicable"}
