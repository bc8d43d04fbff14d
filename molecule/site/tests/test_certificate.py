"""A server that site.yml made is certified, and nothing of it escapes the certificate."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.airworthy.stack.plugins.module_utils.catalogue import CATALOGUE

DRILL = ("mon.alerts", "deep")
GOOD = {"pass", "not_applicable", "not_yet"}


@pytest.mark.parametrize(("level", "good"), [("quick", GOOD | {"not_run"}), ("deep", GOOD)])
def test_every_control_passes(certify: Callable[..., dict[str, Any]], level: str, good: set[str]) -> None:
    certificate = certify(level)
    bad = [control for control in certificate["controls"] if control["status"] not in good]
    assert {control["id"] for control in bad} == {"dr.plan", "mon.alerts"}, "own backups, nobody to wake"
    assert {control["status"] for control in bad} == {"waived"}
    drills = [control for control in certificate["controls"] if (control["id"], control["level"]) == DRILL]
    assert [control["status"] for control in drills] == (["pass", "pass"] if level == "deep" else []), drills
    assert certificate["verdict"] == "pass"
    assert certificate["rc"] == 0

    shown = {control["id"] for control in certificate["controls"]}
    assert shown == set(CATALOGUE), "every line of the checklist appears"

    junit = ElementTree.parse(certificate["reports"] / "certificate.xml").getroot()
    assert not junit.findall(".//failure")
    page = (certificate["reports"] / "certificate.html").read_text()
    assert all(control_id in page for control_id in shown)
