# Copyright (c) the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The certificate as figures, in Prometheus' text format (https://prometheus.io/docs/instrumenting/exposition_formats/)."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping

from ansible_collections.airworthy.stack.plugins.plugin_utils.certificate import HARMLESS, STATUSES, Certificate

Sample = tuple[Mapping[str, str], float]


def render(certificate: Certificate) -> str:
    """One figure a line. What passes is only counted, so that there are never more series than lines that fail."""
    generated = datetime.datetime.fromisoformat(certificate.generated).timestamp()
    bad = [control for control in certificate.controls if control["status"] not in HARMLESS]
    lines = certificate.lines
    metrics: dict[str, tuple[str, list[Sample]]] = {
        "timestamp_seconds": ("When the certificate was written.", [({}, generated)]),
        "passed": ("Whether its verdict is pass.", [({}, certificate.verdict == "pass")]),
        "lines": ("Lines of the checklist by status.", [({"status": status}, lines[status]) for status in STATUSES]),
        "failing": (
            "Controls that fail or could not be examined.",
            [({"control": id_, "host": host}, 1) for id_, host in sorted({(one["id"], one["host"]) for one in bad})],
        ),
    }
    text = [
        line
        for name, (meaning, samples) in metrics.items()
        for line in _metric(f"airworthy_certificate_{name}", meaning, certificate.level, samples)
    ]
    return "\n".join(text) + "\n"


def _metric(name: str, meaning: str, level: str, samples: Iterable[Sample]) -> Iterator[str]:
    yield f"# HELP {name} {meaning}"
    yield f"# TYPE {name} gauge"
    for labels, value in samples:
        pairs = ",".join(f'{key}="{_escaped(text)}"' for key, text in {"level": level, **labels}.items())
        yield f"{name}{{{pairs}}} {value:.0f}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
