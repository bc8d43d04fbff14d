# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What Prometheus is told of the shipping, by way of the node exporter's directory of text files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

PREFIX = "airworthy_log_shipper"


@dataclass
class Figures:
    """Since the shipper started, but for the delay."""

    lines: Counter[tuple[str, str]] = field(default_factory=Counter)  # by program and level
    masked: Mapping[str, int] = field(default_factory=Counter)  # replacements by rule
    dropped: Counter[str] = field(default_factory=Counter)  # lines by reason
    unreadable: int = 0  # sources
    failures: int = 0  # of the connection
    delay: float = 0  # seconds since the oldest line was logged that is not acknowledged
    delivered: float = 0  # seconds since the epoch, of the last acknowledgement


def written(figures: Figures) -> str:
    lines: list[str] = []

    def tell(name: str, kind: str, meaning: str, values: Mapping[str, float]) -> None:
        lines.extend([f"# HELP {PREFIX}_{name} {meaning}", f"# TYPE {PREFIX}_{name} {kind}"])
        lines.extend(f"{PREFIX}_{name}{labels} {value}" for labels, value in sorted(values.items()))

    lines_by = {labels(program=program, level=level): value for (program, level), value in figures.lines.items()}
    tell("lines_total", "counter", "Lines that the collector acknowledged.", lines_by)
    masked = {labels(rule=rule): value for rule, value in figures.masked.items()}
    tell("masked_total", "counter", "Personal data that were masked.", masked)
    dropped = {labels(reason=reason): value for reason, value in figures.dropped.items()}
    tell("dropped_total", "counter", "Lines that were gone before they could be read.", dropped)
    tell("unreadable_sources", "gauge", "Sources that cannot be read.", {"": figures.unreadable})
    tell("failures_total", "counter", "Connections to the collector that failed.", {"": figures.failures})
    tell("delay_seconds", "gauge", "Age of the oldest line that is not acknowledged.", {"": round(figures.delay, 3)})
    delivered = {"": figures.delivered}
    tell("delivered_timestamp_seconds", "gauge", "When the collector last acknowledged a line.", delivered)
    return "\n".join(lines) + "\n"


def labels(**values: str) -> str:
    escaped = (value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n") for value in values.values())
    return "{" + ",".join(f'{name}="{value}"' for name, value in zip(values, escaped, strict=True)) + "}"


def write(figures: Figures, path: Path) -> None:
    staged = path.with_suffix(".new")
    staged.write_text(written(figures), encoding="utf-8")
    staged.chmod(0o644)  # the exporter reads it
    staged.rename(path)
