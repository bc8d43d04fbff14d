"""An instance that died unnoticed: judged from what was seen, one fault at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.airworthy.stack.plugins.module_utils.web_client import Answer
from ansible_collections.airworthy.stack.plugins.module_utils.web_load import Outcome, Request
from ansible_collections.airworthy.stack.plugins.plugin_utils.failover import Fall, judge

ANSWERS = {"/": Answer(200), "/api/me": Answer(401)}
UNIT = {"state": "active", "restarts": 0, "connections": 5}
BEFORE = {**UNIT, "unit": "app@3000.service", "pid": 10, "invocation": "a1"}
AFTER = {**BEFORE, "pid": 30, "invocation": "c3", "restarts": 1}
OTHER = {**UNIT, "unit": "app@3001.service", "pid": 20, "invocation": "b2"}
FALL = Fall(ordered=10.0, over=15.0, before=(BEFORE, OTHER), after=AFTER, seconds=4.2)


def request(path: str, begun: float, status: int, failure: str = "") -> Request:
    return Request(path, begun, Outcome(0.01, failure, status))


REQUESTS = [
    request(path, begun, answer.status) for path, answer in ANSWERS.items() for begun in (8.0, 9.0, 11.0, 14.0, 16.0)
]


def test_nobody_noticed() -> None:
    control = judge(2, ANSWERS, FALL, REQUESTS)
    assert control.status == "pass"
    observed = {check.subject: check.observed for check in control.checks}
    assert observed["GET /api/me"] == "2 before, 2 while it was gone, 1 afterwards"
    assert observed["app@3000.service killed"].startswith("pid 10 then 30, invocation a1 then c3, restarts 0 then 1;")


@pytest.mark.parametrize(
    ("lost", "words"),
    [
        (request("/", 11.0, 502, "status 502"), "1 of 6 failed: 1 times status 502"),
        (request("/", 11.0, 0, "timed out"), "1 of 6 failed: 1 times timed out"),
        (request("/api/me", 11.0, 200), "1 of 6 failed: 1 times status 200"),
        (request("/api/me", 11.0, 429, "status 429"), "1 of 6 failed: 1 times status 429"),
    ],
)
def test_one_request_that_failed_is_one_too_many(lost: Request, words: str) -> None:
    control = judge(2, ANSWERS, FALL, [*REQUESTS, lost])
    assert control.status == "fail"
    assert words in control.observed


@pytest.mark.parametrize("missing", [(8.0, 9.0), (11.0, 14.0), (16.0,)], ids=["before", "while", "after"])
def test_a_time_at_which_nobody_asked_proves_nothing(missing: tuple[float, ...]) -> None:
    assert judge(2, ANSWERS, FALL, [each for each in REQUESTS if each.begun not in missing]).status == "fail"


@pytest.mark.parametrize(
    ("after", "what"),
    [
        (BEFORE, "it never died"),
        ({**AFTER, "pid": 10}, "the same process"),
        ({**AFTER, "restarts": 0}, "somebody else started it"),
        ({**AFTER, "state": "failed"}, "it is not back"),
        ({**AFTER, "connections": 0}, "it is back, and nobody asks it"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_instance_has_to_die_and_to_come_back(after: Mapping[str, Any], what: str) -> None:
    assert judge(2, ANSWERS, replace(FALL, after=after), REQUESTS).status == "fail", what


@pytest.mark.parametrize("idle", [0, 1])
def test_an_instance_without_load_is_no_load_balancing(idle: int) -> None:
    before = [dict(instance) for instance in FALL.before]
    before[idle]["connections"] = 0
    assert judge(2, ANSWERS, replace(FALL, before=before), REQUESTS).status == "fail"


def test_clients_that_stay_with_their_instance_leave_the_others_idle() -> None:
    before = [BEFORE, {**OTHER, "connections": 0}]
    assert judge(2, ANSWERS, replace(FALL, before=before), REQUESTS, sticky=True).status == "pass"
    before = [{**BEFORE, "connections": 0}, {**OTHER, "connections": 0}]
    assert judge(2, ANSWERS, replace(FALL, before=before), REQUESTS, sticky=True).status == "fail"


def test_a_single_instance_is_not_killed_and_fails() -> None:
    control = judge(1, ANSWERS, None, [])
    assert (control.status, control.observed) == ("fail", "1 of 3 not as expected: instances: 1")


def test_a_site_that_is_down_already_fails() -> None:
    control = judge(2, {"/": Answer(502), "/api/me": Answer(failure="timed out")}, None, [])
    assert control.observed == "2 of 3 not as expected: GET / before: 502; GET /api/me before: no answer (timed out)"
