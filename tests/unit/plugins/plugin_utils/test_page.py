"""The certificate as a person reads it: complete, in itself, and never a way in for what a server says."""

from __future__ import annotations

import itertools
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from ansible_collections.airworthy.stack.plugins.module_utils.catalogue import LINES, SECTIONS
from ansible_collections.airworthy.stack.plugins.plugin_utils import page
from ansible_collections.airworthy.stack.plugins.plugin_utils.certificate import STATUSES, Certificate, Host, assemble

HOSTILE = """</td><script>alert(1)</script><img src=x onerror='alert(2)'>" {{ 7 * 7 }}"""
VOID = {"meta", "link", "img", "br", "hr", "input", "use", "path", "circle"}


def record(status: str = "pass", text: str = "seen") -> dict[str, Any]:
    return {
        "id": "db.pool",
        "level": "quick",
        "status": status,
        "expected": text,
        "observed": text,
        "evidence": {
            "checks": [{"subject": text, "expected": text, "observed": text, "ok": status == "pass"}],
            "command": text,
        },
        "remediation": text,
        "duration": 0.1,
    }


def certificate(*records: dict[str, Any], inventory: str = "test", notes: list[str] | None = None) -> Certificate:
    tiers = frozenset({"database"})
    names = [f"db{number}" for number, _ in enumerate(records, 1)]
    registered = [{"__pgbouncer_controls": {"controls": [each]}} for each in records]
    hosts = [Host(name, tiers, variables) for name, variables in zip(names, registered, strict=True)]
    controls = assemble(hosts, "quick", tiers)
    generated = "2026-11-23T22:41:07Z"
    return Certificate("airworthy.stack", "0.1.0", inventory, generated, "quick", names, controls, notes or [])


class Tags(HTMLParser):
    """Notes every element, and insists that they are nested properly."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(html)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.seen if name == tag]


@pytest.mark.parametrize("status", ["pass", "fail", "error", "not_applicable"])
def test_what_a_server_says_is_shown_and_never_run(status: str) -> None:
    html = page.render(certificate(record(status, HOSTILE), inventory=HOSTILE, notes=[HOSTILE]))
    tags = Tags(html)
    assert not tags.named("script") and not tags.named("img")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "{{ 7 * 7 }}" in html


def test_a_waivers_words_are_escaped_too() -> None:
    one = certificate(record("fail"))
    one.controls[0].update(
        status="waived", waiver={"reason": HOSTILE, "owner": HOSTILE, "expires": "2027-01-31", "expired": False}
    )
    assert not Tags(page.render(one)).named("script")


def test_the_page_needs_nothing_but_itself() -> None:
    tags = Tags(page.render(certificate(record())))
    loading = [value for _, attributes in tags.seen for name, value in attributes.items() if name in ("src", "href")]
    assert all(value and value.startswith("#") for value in loading)
    assert "url(" not in page.TEMPLATE.read_text(encoding="utf-8")


def test_every_line_and_section_is_on_it_once() -> None:
    tags = Tags(page.render(certificate(record("fail"), record())))
    ids = [attributes["id"] for _, attributes in tags.seen if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {line.id for line in LINES} <= set(ids)
    assert len(tags.named("section")) == len(SECTIONS)


def test_every_link_leads_somewhere() -> None:
    tags = Tags(page.render(certificate(record("fail"), record("error"))))
    ids = {f"#{attributes['id']}" for _, attributes in tags.seen if "id" in attributes}
    assert {attributes["href"] for _, attributes in tags.seen if "href" in attributes} <= ids


@pytest.mark.parametrize("status", STATUSES)
def test_a_status_is_told_in_words_and_by_a_sign_not_by_colour_alone(status: str) -> None:
    html = page.render(certificate(record()))
    assert f'id="icon-{status}"' in html
    assert re.search(rf'href="#icon-{status}"/></svg>{page.LABELS[status]}</span>', html)


def test_what_failed_stands_at_the_top_with_its_evidence_open() -> None:
    html = page.render(certificate(record("fail", "40 connections")))
    assert html.index("What stands in the way") < html.index("<section>")
    assert "<details open>" in html
    assert "<details open>" not in page.render(certificate(record()))


def test_hosts_with_the_same_line_stand_together() -> None:
    html = page.render(certificate(record(), record("fail")))
    article = html[html.index('id="db.pool"') :].partition("</article>")[0]
    assert article.count('class="control"') == 2
    assert article.index("db1, quick") < article.index("db2, quick")


def test_it_has_a_language_a_title_and_headings_in_order() -> None:
    html = page.render(certificate(record("fail")))
    tags = Tags(html)
    assert tags.named("html")[0]["lang"] == "en"
    assert "<title>test: fail, certificate of 23 November 2026, 22:41 UTC</title>" in html
    levels = [int(name[1]) for name, _ in tags.seen if re.fullmatch(r"h\d", name)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_what_it_stands_on(scheme: str) -> None:
    """At least 4.5 to 1, as WCAG asks of text."""
    blocks = re.findall(r":root \{(.*?)\n *\}", page.TEMPLATE.read_text(encoding="utf-8"), re.DOTALL)
    light, dark = (dict(re.findall(r"--([\w-]+): (#\w{6});", block)) for block in blocks[:2])
    colours = dark if scheme == "dark" else light
    for text in ("ink", "soft", "pass", "fail", "error", "waived", "unknown"):
        assert contrast(colours[text], colours["paper"]) >= 4.5
    for text, ground in [("ink", "tint"), ("soft", "tint"), ("ink", "fail-tint"), ("ink", "waived-tint")]:
        assert contrast(colours[text], colours[ground]) >= 4.5
    for status in ("pass", "fail"):
        assert contrast(colours[status], colours[f"{status}-tint"]) >= 4.5


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [channel / 12.92 if channel <= 0.03928 else ((channel + 0.055) / 1.055) ** 2.4 for channel in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
