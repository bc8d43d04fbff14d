"""A waiver lets a failing control stand, for a reason, by somebody, until a day; and nothing else."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from ansible_collections.airworthy.stack.plugins.plugin_utils import waivers

TODAY = datetime.date(2026, 11, 23)
HOSTS = ["web1", "web2"]


def waiver(**changes: Any) -> dict[str, Any]:
    raw = {"id": "scale.host", "reason": "small on purpose", "owner": "Maria", "expires": "2027-01-31", **changes}
    return {key: value for key, value in raw.items() if value is not None}


def control(status: str = "fail", host: str = "web1", control_id: str = "scale.host") -> dict[str, Any]:
    return {"id": control_id, "host": host, "status": status, "observed": "2 cores"}


def applied(raw: dict[str, Any], *controls: dict[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
    parsed, problems = waivers.parse([raw], HOSTS)
    assert not problems
    return waivers.apply(parsed, controls, TODAY)


@pytest.mark.parametrize(
    ("raw", "given", "status"),
    [
        pytest.param(waiver(), control(), "waived", id="on every host"),
        pytest.param(waiver(host="web1"), control(), "waived", id="on this host"),
        pytest.param(waiver(host="web2"), control(), "fail", id="on another host"),
        pytest.param(waiver(id="db.pool"), control(), "fail", id="of another control"),
        pytest.param(waiver(expires="2026-11-23"), control(), "waived", id="until today"),
        pytest.param(waiver(expires="2026-11-22"), control(), "fail", id="until yesterday"),
        pytest.param(waiver(expires=datetime.date(2027, 1, 31)), control(), "waived", id="a date as YAML reads it"),
        pytest.param(waiver(), control("pass"), "pass", id="of what passes"),
        pytest.param(waiver(), control("error"), "error", id="of what could not be examined"),
    ],
)
def test_what_a_waiver_does(raw: dict[str, Any], given: dict[str, Any], status: str) -> None:
    (judged,), _ = applied(raw, given)
    assert judged["status"] == status


def test_a_waived_control_shows_who_answers_for_it() -> None:
    (judged,), notes = applied(waiver(), control())
    assert judged["waiver"] == {
        "reason": "small on purpose", "owner": "Maria", "expires": "2027-01-31", "expired": False
    }  # fmt: skip
    assert not notes


def test_an_expired_waiver_says_so() -> None:
    (judged,), _ = applied(waiver(expires="2026-11-01"), control())
    assert judged["observed"] == "2 cores (its waiver by Maria expired on 2026-11-01)"
    assert judged["waiver"]["expired"]


def test_a_renewed_waiver_prevails_over_the_expired_one() -> None:
    parsed, _ = waivers.parse([waiver(expires="2026-11-01"), waiver(owner="Jonas")], HOSTS)
    (judged,), _ = waivers.apply(parsed, [control()], TODAY)
    assert (judged["status"], judged["waiver"]["owner"]) == ("waived", "Jonas")


@pytest.mark.parametrize(
    ("controls", "note"),
    [
        ([control("pass")], "Remove the waiver of scale.host by Maria: the control passes."),
        ([control("pass"), control("fail", "web2")], ""),
        ([control("error")], "Nothing is waived by the waiver of scale.host by Maria: the control could not be"),
        ([control("not_run")], "Nothing is waived by the waiver of scale.host by Maria: the control was not examined."),
        ([], "Nothing is waived by the waiver of scale.host by Maria: the control was not examined."),
    ],
)
def test_a_waiver_that_does_nothing_is_mentioned(controls: list[dict[str, Any]], note: str) -> None:
    _, notes = applied(waiver(), *controls)
    assert len(notes) == bool(note)
    assert "".join(notes).startswith(note)


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        ("scale.host", "found 'scale.host', wanted a mapping of id, reason, owner, expires and, optionally, host"),
        (waiver(id="scale.hots"), "id is 'scale.hots', which is no line of the checklist"),
        (waiver(id=None), "id is missing or empty: say which line of the checklist is waived"),
        (waiver(reason=None), "reason is missing or empty: say why it may fail"),
        (waiver(reason=""), "reason is missing or empty"),
        (waiver(owner=None), "owner is missing or empty: say who answers for it"),
        (waiver(expires=None), "expires is missing or empty: say until which day, as YYYY-MM-DD"),
        (waiver(expires="31.01.2027"), "expires is '31.01.2027': write a date such as 2027-01-31"),
        (waiver(expires="2027-02-30"), "expires is '2027-02-30'"),
        (waiver(expires=20270131), "expires is 20270131"),
        (waiver(host="wbe1"), "host is 'wbe1', which is not in the inventory"),
        (waiver(until="2027-01-31"), "until is no part of a waiver: write one of id, reason, owner, expires, host"),
    ],
)
def test_a_waiver_with_a_mistake_is_refused(raw: Any, problem: str) -> None:
    parsed, problems = waivers.parse([waiver(), raw], HOSTS)
    assert len(parsed) == 1
    assert len(problems) == 1
    assert problems[0].startswith(f"airworthy_waivers[1]: {problem}")


def test_all_mistakes_are_reported_at_once() -> None:
    _, problems = waivers.parse([{}, waiver(id="nope", owner="")], HOSTS)
    assert len(problems) == 6
