# Copyright (c) the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The certificate as one self-contained page. Evidence is what servers said: everything is escaped."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import jinja2
from ansible_collections.airworthy.stack.plugins.plugin_utils.certificate import STATUSES, Certificate, worst

# The template lies beside this file, because both change together and plugins/ is part of every build.
TEMPLATE = Path(__file__).with_name("certificate.html.j2")

LABELS = {
    "pass": "pass",
    "fail": "fail",
    "error": "error",
    "waived": "waived",
    "not_applicable": "does not apply",
    "not_run": "not run",
    "not_yet": "no control yet",
}

# From good to bad to unknown, as the bar at the head of the page shows them.
BAR = ("pass", "waived", "fail", "error", "not_applicable", "not_run", "not_yet")


def render(certificate: Certificate) -> str:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        certificate=certificate,
        labels=LABELS,
        bar=[(status, certificate.lines[status]) for status in BAR if certificate.lines[status]],
        date=_date(certificate.generated),
        waived=[control for control in certificate.controls if control.get("waiver")],
        sections=[_section(section, lines) for section, lines in certificate.by_section().items()],
    )


def _section(section: str, lines: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    statuses = [worst(controls) for controls in lines.values()]
    return {
        "name": section,
        "tally": {status: statuses.count(status) for status in STATUSES if status in statuses},
        "total": len(statuses),
        "lines": [
            {"id": control_id, "title": controls[0]["title"], "status": worst(controls), "controls": controls}
            for control_id, controls in lines.items()
        ],
    }


def _date(generated: str) -> str:
    moment = datetime.datetime.fromisoformat(generated)
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"
