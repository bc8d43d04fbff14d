"""From the hosts' controls to a verdict: nothing that is missing passes unnoticed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from ansible_collections.airworthy.stack.plugins.module_utils.catalogue import EVERY_TIER, LINES, tiers_of
from ansible_collections.airworthy.stack.plugins.plugin_utils.certificate import (
    HARMLESS,
    STATUSES,
    Certificate,
    Host,
    assemble,
    collected,
)

# The catalogue grows with each release.
ALL = len(LINES)
PROVEN = sum(bool(line.proved_by) for line in LINES)
DEEP = sum(bool(line.proved_by) and line.levels == {"deep"} for line in LINES)


def record(control_id: str, status: str = "pass", level: str = "quick", **more: Any) -> dict[str, Any]:
    return {"id": control_id, "level": level, "status": status, "expected": "wanted", "observed": "seen", **more}


def host(name: str = "web1", group: str = "server", *, reachable: bool = True, **registered: Any) -> Host:
    variables = {"group_names": [group], **registered}
    return Host.of(name, variables, reachable=reachable)


def complete(level: str = "quick", **instead: dict[str, Any]) -> Host:
    """A server that proves all that it should, but for what is given instead: db_pool={"status": "fail"}."""
    records = [
        record(line.id, level=level if level in line.levels else "quick")
        for line in LINES
        if line.proved_by and (level in line.levels or "quick" in line.levels)
    ]
    for each in records:
        each.update(instead.get(each["id"].replace(".", "_"), {}))
    return host(__all_controls={"controls": records})


def certify(*hosts: Host, level: str = "quick", inventory_tiers: frozenset[str] = EVERY_TIER) -> Certificate:
    return Certificate(
        collection="airworthy.stack",
        version="0.1.0",
        inventory="test",
        generated="2026-11-23T22:41:07Z",
        level=level,
        hosts=[each.name for each in hosts],
        controls=assemble(hosts, level, inventory_tiers),
    )


def of(certificate: Certificate, control_id: str, host_name: str = "web1") -> Mapping[str, Any]:
    found = [each for each in certificate.controls if each["id"] == control_id and each["host"] in (host_name, "")]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize("level", ["quick", "deep"])
def test_a_server_that_proves_all_passes(level: str) -> None:
    certificate = certify(complete(level), level=level)
    assert certificate.verdict == "pass"
    assert certificate.counts["error"] == certificate.counts["fail"] == 0


@pytest.mark.parametrize(
    ("status", "verdict"),
    [("pass", "pass"), ("not_applicable", "pass"), ("not_run", "pass"), ("fail", "fail"), ("error", "fail")],
)
def test_one_control_decides(status: str, verdict: str) -> None:
    assert certify(complete(db_pool={"status": status})).verdict == verdict


@pytest.mark.parametrize(
    "hosts",
    [
        pytest.param([], id="no host"),
        pytest.param([host(group="berlin")], id="a host in no tier"),
        pytest.param([host(group="cache", __exporters_controls={"controls": []})], id="an empty list of controls"),
        pytest.param([host(group="monitoring", __base_controls={"controls": [record("scale.host", "not_applicable")]})],
                     id="nothing applies"),
    ],
)  # fmt: skip
def test_nothing_proven_is_never_a_pass(hosts: list[Host]) -> None:
    assert certify(*hosts).verdict == "fail"


def test_what_applies_nowhere_alone_proves_nothing() -> None:
    nowhere = {line.id.replace(".", "_"): {"status": "not_applicable"} for line in LINES}
    certificate = certify(complete(**nowhere))
    assert {control["status"] for control in certificate.controls} <= set(HARMLESS)
    assert certificate.verdict == "fail"


def test_every_line_of_the_checklist_is_shown_in_its_order() -> None:
    assert list(certify(complete()).by_id()) == [line.id for line in LINES]


def test_lines_without_a_control_are_listed_and_do_not_change_the_verdict() -> None:
    certificate = certify(complete())
    assert of(certificate, "db.batching")["status"] == "not_yet"
    assert certificate.lines["not_yet"] == len([line for line in LINES if line.proved_by is None])


def test_a_silent_probe_is_an_error() -> None:
    silent = certify(host(group="database"))
    assert of(silent, "db.pool")["status"] == "error"
    assert of(silent, "db.pool")["observed"] == "The probe reported nothing."


def test_an_unreachable_host_is_an_error_that_says_so() -> None:
    control = of(certify(host(reachable=False)), "edge.https")
    assert control["status"] == "error"
    assert "web1 reachable" in control["remediation"] and "unreachable" in control["observed"]


def test_a_probe_that_failed_as_a_task_is_quoted() -> None:
    broken = host(group="database", __pgbouncer_controls={"failed": True, "msg": "No module named psycopg2"})
    assert of(certify(broken), "db.pool")["observed"] == "The probe failed: No module named psycopg2"


def test_a_host_owes_only_the_controls_of_its_tiers() -> None:
    certificate = certify(host("db1", "database"), inventory_tiers=tiers_of(["database"]))
    assert of(certificate, "edge.https", "db1")["status"] == "not_applicable"
    assert of(certificate, "edge.https")["observed"] == "The inventory has no host of tier edge."


def test_a_tier_outside_the_limit_of_the_run_is_not_called_inapplicable() -> None:
    certificate = certify(host("db1", "database"), inventory_tiers=tiers_of(["database", "edge"]))
    assert of(certificate, "edge.https")["status"] == "not_run"


def test_a_quick_run_says_which_lines_only_a_deep_one_proves() -> None:
    assert of(certify(complete()), "perf.response")["status"] == "not_run"
    assert of(certify(complete(), level="deep"), "perf.response")["status"] == "error"


@pytest.mark.parametrize(
    ("records", "status"),
    [
        pytest.param([record("db.pool", level="quick")], "error", id="the deep probe said nothing"),
        pytest.param([record("db.pool", level="deep")], "pass", id="the deep probe covers the quick one"),
        pytest.param([record("db.pool", "not_applicable")], "not_applicable", id="there is nothing to probe deeply"),
    ],
)
def test_a_deep_run_wants_the_deep_control(records: list[dict[str, Any]], status: str) -> None:
    pooler = host(group="database", __pgbouncer_controls={"controls": records})
    controls = certify(pooler, level="deep").by_id()["db.pool"]
    assert min((control["status"] for control in controls), key=STATUSES.index) == status


@pytest.mark.parametrize(
    ("registered", "wrong"),
    [
        ("pass", "it is str, not a mapping"),
        ({"id": "db.pool", "status": "pass"}, "it lacks level, expected, observed"),
        (record("db.pool", "ok"), "its status is 'ok', not one of pass, fail, not_applicable, not_run, error"),
        (record("db.pool", "waived"), "its status is 'waived'"),
    ],
)
def test_a_record_that_is_no_control_is_an_error(registered: Any, wrong: str) -> None:
    (control,) = collected(host(__pgbouncer_controls={"controls": [registered]}))
    assert control["status"] == "error"
    assert wrong in control["observed"]


def test_controls_are_found_by_the_name_of_the_variable_and_in_loops() -> None:
    found = collected(
        host(
            __nginx_controls={"controls": [record("edge.https")]},
            __nginx_tls_controls={"results": [{"controls": [record("edge.cors")]}, {"skipped": True}]},
            __nginx_controls_old={"controls": [record("edge.errors")]},
            nginx_controls={"controls": [record("edge.headers")]},
            __app_controls={"skipped": True},
        )
    )
    assert [control["id"] for control in found] == ["edge.https", "edge.cors"]


def test_a_control_beyond_the_checklist_counts_too() -> None:
    certificate = certify(complete(), host("web2", __own_controls={"controls": [record("own.line", "fail")]}))
    assert of(certificate, "own.line", "web2")["section"] == "Further controls"
    assert certificate.controls[-1]["id"] == "own.line"
    assert certificate.verdict == "fail"


def test_a_line_is_as_good_as_its_worst_host() -> None:
    certificate = certify(
        host("app1", "app", __app_controls={"controls": [record("env.contract")]}),
        host("app2", "app", __app_controls={"controls": [record("env.contract", "fail")]}),
    )
    assert [control["status"] for control in certificate.by_id()["env.contract"]] == ["pass", "fail"]
    assert certificate.lines["fail"] == 1


@pytest.mark.parametrize(
    ("certificate", "headline"),
    [
        (
            certify(complete("deep"), level="deep"),
            f"{PROVEN} of {ALL} lines of the checklist proven; {ALL - PROVEN} have no control yet",
        ),
        (
            certify(complete(db_pool={"status": "fail"}, scale_host={"status": "not_applicable"})),
            f"{PROVEN - DEEP - 2} of {ALL} lines of the checklist proven; 1 fails, 1 does not apply, "
            f"{DEEP} were not run, {ALL - PROVEN} have no control yet",
        ),
    ],
)
def test_the_headline_counts_lines(certificate: Certificate, headline: str) -> None:
    assert certificate.headline == headline


def test_what_a_host_says_of_itself_cannot_steer_a_terminal_or_break_a_file() -> None:
    hostile = record("db.pool", observed="\x1b[2Jred\x00\r\nnext \ud800")
    (control,) = collected(host(__pgbouncer_controls={"controls": [hostile]}))
    assert control["observed"] == "?[2Jred?\nnext ?".replace("?", "\N{REPLACEMENT CHARACTER}")


def test_controls_of_a_host_that_say_the_same_stand_together() -> None:
    certificate = certify(host(reachable=False))
    (together,) = certificate.obstacles()
    assert len(together) == certificate.counts["error"] == PROVEN - DEEP
