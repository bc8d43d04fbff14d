"""The certificate as a terminal shows it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.airworthy.stack.plugins.plugin_utils import summary
from ansible_collections.airworthy.stack.plugins.plugin_utils.certificate import Certificate, Host, assemble

TIERS = frozenset({"database"})
COMMAND = "sudo -u postgres psql -w -U pgbouncer pgbouncer -c 'SHOW CONFIG' | grep -E 'max_db_connections|pool_size'"


def record(status: str, observed: str = "40") -> dict[str, Any]:
    evidence = {"checks": [], "command": COMMAND}
    return {
        "id": "db.pool",
        "level": "quick",
        "status": status,
        "expected": "20",
        "observed": observed,
        "evidence": evidence,
        "remediation": "ansible-playbook site.yml --tags pgbouncer",
    }


def shown(*hosts: Host, width: int = 100, notes: list[str] | None = None) -> list[summary.Text]:
    names = [host.name for host in hosts]
    controls = assemble(hosts, "quick", TIERS)
    one = Certificate("airworthy.stack", "0.1.0", "test", "2026-11-23T22:41:07Z", "quick", names, controls, notes or [])
    return list(summary.render(one, "/reports/test/certificate.html", width))


def pooler(status: str, observed: str = "40", name: str = "db1") -> Host:
    return Host(name, TIERS, {"__pgbouncer_controls": {"controls": [record(status, observed)]}})


@pytest.mark.parametrize(
    ("status", "row"),
    [
        ("pass", "  ✓ db.pool                db1  Connections are pooled"),
        ("fail", "  ✗ db.pool                db1  Connections are pooled: 40"),
        ("error", "  ! db.pool                db1  Connections are pooled: 40"),
        ("not_applicable", "  \N{EN DASH} db.pool                db1  Connections are pooled: 40"),
    ],
)
def test_a_row_has_its_sign_and_colour(status: str, row: str) -> None:
    assert summary.Text(row, status) in shown(pooler(status))


def test_columns_are_aligned_over_all_sections() -> None:
    rows = [text for text, status in shown(pooler("pass"), pooler("pass", name="database-two")) if " ✓ " in text]
    assert len({row.index("Connections are pooled") for row in rows}) == 1


def test_lines_without_a_control_are_named() -> None:
    assert summary.Text("  · no control yet: db.batching", "not_yet") in shown(pooler("pass"))


def test_a_failure_tells_what_to_do() -> None:
    text = "\n".join(text for text, _ in shown(pooler("fail")))
    assert "✗ db.pool on db1: Connections are pooled\n  expected          20\n  observed          40" in text
    assert f"  see for yourself  {COMMAND}\n" in text
    assert "  what to do        ansible-playbook site.yml --tags pgbouncer\n" in text


def test_an_unreachable_host_is_told_once() -> None:
    texts = [text for text, _ in shown(Host("db1", TIERS, {}, reachable=False))]
    assert len([text for text in texts if text.startswith("  what to do")]) == 1


@pytest.mark.parametrize("width", [60, 80, 100])
def test_only_what_is_to_be_copied_may_be_wider_than_the_terminal(width: int) -> None:
    *texts, path = [text for text, _ in shown(pooler("fail", "a long story " * 20), width=width)]
    wide = [text for text in texts if len(text) > width]
    assert wide == [f"  see for yourself  {COMMAND}"]
    assert path == "  certificate       /reports/test/certificate.html"


def test_it_ends_with_the_verdict_and_the_path() -> None:
    *_, note, verdict, more, path = shown(pooler("fail"), width=120, notes=["Remove it."])
    assert note == ("Note: Remove it.", "waived")
    assert verdict.text.startswith("FAIL: 0 of 54 lines of the checklist proven; 1 fails, 11 could not be examined")
    assert {verdict.status, more.status} == {"fail"}
    assert path.text.endswith("/reports/test/certificate.html")
