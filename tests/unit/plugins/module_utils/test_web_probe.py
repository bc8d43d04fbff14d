"""What the audits of an edge ask for."""

from __future__ import annotations

import itertools

import pytest
from ansible_collections.airworthy.stack.plugins.module_utils import web_probe
from ansible_collections.airworthy.stack.plugins.module_utils.web_client import Answer

OWN = "https://app.example.org"


def test_no_foreign_origin_is_an_allowed_one() -> None:
    allowed = [OWN, "http://app.example.org"]
    foreign = web_probe.foreign_origins(allowed)
    assert not set(foreign) & set(allowed)
    assert {"null", "https://evilapp.example.org", f"{OWN}.evil.example", "https://appxexample.org"} <= set(foreign)
    assert f"{OWN}:444" in foreign


def test_whom_a_pattern_does_not_stand_for() -> None:
    pattern = "https://pr-*.preview.example.org:8443"
    assert web_probe.sample_origin(pattern) == "https://pr-airworthy.preview.example.org:8443"
    assert {
        "https://evil.pr-airworthy.preview.example.org:8443",
        "https://preview.example.org:8443",
        "https://pr-airworthyxpreview.example.org:8443",
        "https://pr-airworthy.preview.example.org:8444",
        "http://pr-airworthy.preview.example.org:8443",
    } <= set(web_probe.foreign_origins([pattern]))


@pytest.mark.parametrize(
    ("page", "found"),
    [
        ('<script src="/static/client.0123.js">', "/static/client.0123.js"),
        ("<link href=/static/style.css rel=stylesheet>", "/static/style.css"),
        ('<a href="/about">', ""),
        ("", ""),
    ],
)
def test_the_first_static_file_of_a_page(page: str, found: str) -> None:
    assert web_probe.static_file(page, ["/static/"]) == found


def test_without_prefixes_nothing_is_static() -> None:
    assert web_probe.static_file('<script src="/static/client.0123.js">', []) == ""


@pytest.mark.parametrize(
    ("let_through", "asked"),
    [
        (100, 232),  # of whom asks at once
        (231, 232),
        (232, 464),  # of whom asks slowly: it lets through what it allows meanwhile
        (900, 928),
        (9999, 928),  # there is no limit
    ],
)
def test_a_limit_is_asked_until_it_refuses_also_by_a_machine_that_is_slow(let_through: int, asked: int) -> None:
    numbers = itertools.count()
    answers = web_probe.exceed(100, lambda: Answer(404 if next(numbers) < let_through else 429))
    assert len(answers) == asked
    assert [answer.status for answer in answers].count(429) == max(0, asked - let_through)
