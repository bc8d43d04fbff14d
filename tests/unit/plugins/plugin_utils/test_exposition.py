"""The certificate as Prometheus reads it."""

from __future__ import annotations

from typing import Any

from ansible_collections.airworthy.stack.plugins.plugin_utils import exposition
from ansible_collections.airworthy.stack.plugins.plugin_utils.certificate import Certificate, Host, assemble

DATABASE = frozenset({"database"})


def figures(status: str, host: str = "db1") -> list[str]:
    record: dict[str, Any] = {
        "id": "db.pool",
        "level": "quick",
        "status": status,
        "expected": "20",
        "observed": "40",
        "evidence": {"checks": [], "command": ""},
        "remediation": "",
        "duration": 0.25,
    }
    everything = assemble([Host(host, DATABASE, {"__a_controls": {"controls": [record]}})], "quick", DATABASE)
    controls = [control for control in everything if control["id"] == "db.pool"]
    one = Certificate("airworthy.stack", "0.1.0", "test", "2026-11-23T22:41:07Z", "quick", [host], controls)
    return [line for line in exposition.render(one).splitlines() if not line.startswith("#")]


def test_what_passes_is_counted_and_not_named() -> None:
    assert figures("pass") == [
        'airworthy_certificate_timestamp_seconds{level="quick"} 1795473667',
        'airworthy_certificate_passed{level="quick"} 1',
        'airworthy_certificate_lines{level="quick",status="error"} 0',
        'airworthy_certificate_lines{level="quick",status="fail"} 0',
        'airworthy_certificate_lines{level="quick",status="waived"} 0',
        'airworthy_certificate_lines{level="quick",status="pass"} 1',
        'airworthy_certificate_lines{level="quick",status="not_applicable"} 0',
        'airworthy_certificate_lines{level="quick",status="not_run"} 0',
        'airworthy_certificate_lines{level="quick",status="not_yet"} 0',
    ]


def test_what_fails_is_named_with_its_host() -> None:
    assert 'airworthy_certificate_passed{level="quick"} 0' in figures("fail")
    assert figures("fail")[-1] == 'airworthy_certificate_failing{level="quick",control="db.pool",host="db1"} 1'


def test_every_metric_says_what_it_is() -> None:
    text = exposition.render(Certificate("", "", "", "2026-11-23T22:41:07Z", "deep", [], []))
    names = {line.split()[2] for line in text.splitlines() if line.startswith("# HELP")}
    assert names == {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert 'airworthy_certificate_passed{level="deep"} 0' in text.splitlines()


def test_a_name_cannot_break_the_format() -> None:
    assert figures("fail", 'db"1\n\\')[-1].endswith(r'host="db\"1\n\\"} 1')
