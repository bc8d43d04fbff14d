"""The certificate as continuous integration reads it."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest
from ansible_collections.airworthy.stack.plugins.plugin_utils import junit
from ansible_collections.airworthy.stack.plugins.plugin_utils.certificate import STATUSES, Certificate, Host, assemble

DATABASE = frozenset({"database"})


def certificate(**registered: Any) -> Certificate:
    host = Host("db1", DATABASE, registered)
    controls = assemble([host], "quick", DATABASE)
    return Certificate("airworthy.stack", "0.1.0", "test", "2026-11-23T22:41:07Z", "quick", ["db1"], controls)


def with_status(status: str) -> ElementTree.Element:
    one = certificate(__pgbouncer_controls={"controls": [RECORD]})
    for control in one.controls:
        if control["id"] == "db.pool":
            control.update(status=status, waiver={"reason": "why", "owner": "who", "expires": "2027-01-31"})
    return case(ElementTree.fromstring(junit.render(one)), "db.pool")


def case(root: ElementTree.Element, control_id: str) -> ElementTree.Element:
    (found,) = root.findall(f".//testcase[@classname='{control_id}']")
    return found


RECORD = {
    "id": "db.pool",
    "level": "quick",
    "status": "fail",
    "expected": "20 & <less>",
    "observed": '40 ]]> "quoted"',
    "evidence": {"checks": [], "command": "psql -c 'SHOW POOLS'"},
    "remediation": "ansible-playbook site.yml",
    "duration": 0.25,
}


def test_the_suites_are_the_sections_and_their_sums_add_up() -> None:
    one = certificate(__pgbouncer_controls={"controls": [RECORD]})
    root = ElementTree.fromstring(junit.render(one))
    suites = root.findall("testsuite")
    assert [suite.get("name") for suite in suites] == list(one.by_section())
    for count in ("tests", "failures", "errors", "skipped"):
        assert int(root.attrib[count]) == sum(int(suite.attrib[count]) for suite in suites)
    assert int(root.attrib["tests"]) == len(root.findall(".//testcase")) == len(one.controls)
    assert int(root.attrib["failures"]) == len(root.findall(".//failure")) == 1
    assert int(root.attrib["errors"]) == len(root.findall(".//error")) == one.counts["error"]
    assert int(root.attrib["skipped"]) == len(root.findall(".//skipped"))


@pytest.mark.parametrize("status", STATUSES)
def test_each_status_has_its_outcome(status: str) -> None:
    outcomes = {"pass": [], "fail": ["failure"], "error": ["error"]}
    assert [outcome.tag for outcome in with_status(status)] == outcomes.get(status, ["skipped"])


def test_a_failure_says_all_that_one_needs() -> None:
    failing = case(ElementTree.fromstring(junit.render(certificate(__p_controls={"controls": [RECORD]}))), "db.pool")
    assert failing.get("name") == "Connections are pooled on db1 (quick)"
    assert failing.get("time") == "0.250"
    assert failing[0].get("message") == 'fail: 40 ]]> "quoted"'
    assert failing[0].text == (
        "expected: 20 & <less>\n"
        'observed: 40 ]]> "quoted"\n'
        "command: psql -c 'SHOW POOLS'\n"
        "remediation: ansible-playbook site.yml"
    )


def test_a_waived_failure_names_its_owner() -> None:
    assert "waiver: why (who, until 2027-01-31)" in str(with_status("waived")[0].text)
