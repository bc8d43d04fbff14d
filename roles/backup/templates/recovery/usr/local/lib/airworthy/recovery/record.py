# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What became of a drill or a restore: for the certificate, for Prometheus, and for whoever looks later."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

from process import COMMANDS
from settings import STATE

HELP = {
    "airworthy_drill_last_timestamp_seconds": "End of the last drill.",
    "airworthy_drill_last_success": "Whether the last drill proved that the backups restore.",
    "airworthy_drill_last_duration_seconds": "How long the last drill took.",
    "airworthy_drill_recovery_point_seconds": "Seconds of work that would have been lost in the last drill.",
    "airworthy_drill_recovery_time_seconds": "How long restoring and replaying took in the last drill.",
    "airworthy_drill_backup_size_bytes": "Size of the cluster that the last drill restored.",
}


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def replace(path: Path, content: str) -> None:
    """All or nothing, also when the power fails."""
    beside = path.with_suffix(".new")
    with beside.open("w") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


class Record:
    """Written after each step, under a name that says it is not finished: who is killed leaves how far it came."""

    def __init__(self, kind: str, directory: Path = STATE) -> None:
        self.running = directory / f"{kind}.running.json"
        self.final = directory / f"{kind}.json"
        self.data: dict[str, Any] = {
            "started": now(), "finished": None, "ok": False, "failed_step": None, "reason": None,
            "recovery_point_seconds": None, "recovery_time_seconds": None, "backup": None, "steps": [], "checks": [],
            "commands": [],
        }
        self.save()

    def save(self) -> None:
        self.data["commands"] = list(dict.fromkeys(COMMANDS))
        replace(self.running, json.dumps(self.data, indent=2) + "\n")

    @contextmanager
    def step(self, name: str) -> Iterator[dict[str, Any]]:
        entry: dict[str, Any] = {"step": name, "seconds": None}
        self.data["steps"].append(entry)
        self.data["failed_step"] = name
        self.save()
        begun = monotonic()
        yield entry
        entry["seconds"] = round(monotonic() - begun, 3)
        self.data["failed_step"] = None

    def check(self, subject: str, expected: object, observed: object) -> None:
        ok = expected == observed
        self.data["checks"].append({"subject": subject, "expected": str(expected), "observed": str(observed), "ok": ok})

    def finish(self, reason: str | None = None) -> None:
        failing = [check["subject"] for check in self.data["checks"] if not check["ok"]]
        if reason is None and failing:
            reason = f"not as expected: {', '.join(failing)}"
        self.data.update(finished=now(), ok=reason is None, reason=reason)
        self.save()
        self.running.replace(self.final)


def conclude(kind: str, directory: Path = STATE) -> bool:
    """Make the record of a run that was killed a final one. Nobody else may be running."""
    running = directory / f"{kind}.running.json"
    if not running.exists():
        return False
    data = json.loads(running.read_text())
    data.update(finished=now(), ok=False, reason="it was killed, or the server went down, before it was done")
    replace(running, json.dumps(data, indent=2) + "\n")
    running.replace(directory / f"{kind}.json")
    return True


def last(kind: str, directory: Path = STATE) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((directory / f"{kind}.json").read_text())
    except FileNotFoundError:
        return {}
    return found


def metrics(record: Mapping[str, Any]) -> str:
    """The last drill in Prometheus' text format; what it did not come to measure is left out."""
    if not record:
        return ""
    finished, started = (datetime.fromisoformat(record[key]).timestamp() for key in ("finished", "started"))
    samples = {
        "airworthy_drill_last_timestamp_seconds": finished,
        "airworthy_drill_last_success": int(record["ok"]),
        "airworthy_drill_last_duration_seconds": finished - started,
        "airworthy_drill_recovery_point_seconds": record["recovery_point_seconds"],
        "airworthy_drill_recovery_time_seconds": record["recovery_time_seconds"],
        "airworthy_drill_backup_size_bytes": (record["backup"] or {}).get("size"),
    }
    return "".join(
        f"# HELP {name} {HELP[name]}\n# TYPE {name} gauge\n{name} {value:.3f}\n"
        for name, value in samples.items()
        if value is not None
    )
