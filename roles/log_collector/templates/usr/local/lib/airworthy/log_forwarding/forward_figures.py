# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What Prometheus is told of the forwarding, by way of the node exporter's directory of text files."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

PREFIX = "airworthy_log_forwarder"


@dataclass
class Figures:
    """Of a target, since the forwarder started."""

    records: int = 0
    refused: int = 0
    lost: int = 0
    failures: int = 0
    waits_since: float = 0  # seconds since the epoch; 0 when nothing waits
    delivered: float = 0

    @property
    def delay(self) -> float:
        return round(max(time.time() - self.waits_since, 0), 3) if self.waits_since else 0


def written(targets: Mapping[str, Figures]) -> str:
    lines: list[str] = []

    def tell(name: str, kind: str, meaning: str, value: Callable[[Figures], float]) -> None:
        lines.extend([f"# HELP {PREFIX}_{name} {meaning}", f"# TYPE {PREFIX}_{name} {kind}"])
        lines.extend(f'{PREFIX}_{name}{{target="{target}"}} {value(targets[target])}' for target in sorted(targets))

    tell("records_total", "counter", "Records that a target took.", lambda of: of.records)
    tell("refused_total", "counter", "Records that a target refused for good.", lambda of: of.refused)
    tell("lost_total", "counter", "Days of a program that were gone before all was sent.", lambda of: of.lost)
    tell("failures_total", "counter", "Attempts to send that failed.", lambda of: of.failures)
    tell("delay_seconds", "gauge", "For how long the oldest record waits.", lambda of: of.delay)
    tell("delivered_timestamp_seconds", "gauge", "When a target last took a record.", lambda of: of.delivered)
    return "\n".join(lines) + "\n"


def write(targets: Mapping[str, Figures], path: Path) -> None:
    staged = path.with_suffix(".new")
    staged.write_text(written(targets), encoding="utf-8")
    staged.chmod(0o644)  # the exporter reads it
    staged.rename(path)
