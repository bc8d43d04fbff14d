# Copyright (c) the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The certificate as JUnit XML, for continuous integration: a suite for each section, a case for each control."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

from ansible_collections.airworthy.stack.plugins.plugin_utils.certificate import Certificate

_OUTCOMES = {
    "fail": "failure",
    "error": "error",
    "waived": "skipped",
    "not_applicable": "skipped",
    "not_run": "skipped",
    "not_yet": "skipped",
}


def render(certificate: Certificate) -> str:
    root = ElementTree.Element(
        "testsuites",
        {"name": f"{certificate.collection} {certificate.inventory}", **_totals(certificate.controls)},
    )
    for section, lines in certificate.by_section().items():
        controls = [control for line in lines.values() for control in line]
        attributes = {"name": section, "timestamp": certificate.generated, **_totals(controls)}
        suite = ElementTree.SubElement(root, "testsuite", attributes)
        for control in controls:
            _add_case(suite, control)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _totals(controls: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    outcomes = Counter(_OUTCOMES.get(control["status"]) for control in controls)
    return {
        "tests": str(len(controls)),
        "failures": str(outcomes["failure"]),
        "errors": str(outcomes["error"]),
        "skipped": str(outcomes["skipped"]),
        "time": f"{sum(control['duration'] for control in controls):.3f}",
    }


def _add_case(suite: ElementTree.Element, control: Mapping[str, Any]) -> None:
    where = f" on {control['host']}" if control["host"] else ""
    level = f" ({control['level']})" if control["level"] else ""
    case = ElementTree.SubElement(
        suite,
        "testcase",
        {
            "classname": control["id"],
            "name": f"{control['title']}{where}{level}",
            "time": f"{control['duration']:.3f}",
        },
    )
    outcome = _OUTCOMES.get(control["status"])
    if outcome:
        message = f"{control['status']}: {control['observed']}"
        ElementTree.SubElement(case, outcome, {"message": message}).text = _details(control)


def _details(control: Mapping[str, Any]) -> str:
    waiver = control.get("waiver")
    details = {
        "expected": control["expected"],
        "observed": control["observed"],
        "command": control["evidence"]["command"],
        "remediation": control["remediation"],
        "waiver": f"{waiver['reason']} ({waiver['owner']}, until {waiver['expires']})" if waiver else "",
    }
    return "\n".join(f"{name}: {text}" for name, text in details.items() if text)
