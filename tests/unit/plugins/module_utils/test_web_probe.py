"""What the audits of an edge ask for."""

from __future__ import annotations

import pytest
from ansible_collections.airworthy.stack.plugins.module_utils import web_probe

OWN = "https://app.example.org"


def test_no_foreign_origin_is_an_allowed_one() -> None:
    allowed = [OWN, "http://app.example.org"]
    foreign = web_probe.foreign_origins(allowed)
    assert not set(foreign) & set(allowed)
    assert {"null", "https://evilapp.example.org", f"{OWN}.evil.example", "https://appxexample.org"} <= set(foreign)
    assert f"{OWN}:444" in foreign


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


def test_each_client_is_a_new_one() -> None:
    assert web_probe.new_client("") == {}
    first, second = web_probe.new_client("key"), web_probe.new_client("key")
    assert first != second
    assert first["X-Airworthy-Probe"].startswith("key.")
