# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd's timers: whether they are enabled and running, when they elapse next, how their last run ended."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from .control import Check


@dataclass(frozen=True)
class Timer:
    name: str
    enabled: str  # UnitFileState
    active: str  # ActiveState
    next: float | None  # seconds since the epoch
    result: str  # of the service's last run, "success" also before the first one


def show(unit: str, *properties: str) -> dict[str, str]:
    """Properties of a unit, empty where it has none."""
    command = ["systemctl", "show", f"--property={','.join(properties)}", unit]
    environment = {**os.environ, "TZ": "UTC", "LC_ALL": "C"}
    result = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return dict(line.split("=", 1) for line in result.stdout.splitlines() if "=" in line)


def observe_timers(names: Iterable[str]) -> list[Timer]:
    return [observe(name) for name in names]


def observe(name: str) -> Timer:
    timer = show(f"{name}.timer", "UnitFileState", "ActiveState", "NextElapseUSecRealtime", "Unit")
    service = show(timer.get("Unit") or f"{name}.service", "Result")
    return Timer(
        name=name,
        enabled=timer.get("UnitFileState") or "missing",
        active=timer.get("ActiveState", ""),
        next=moment(timer.get("NextElapseUSecRealtime", "")),
        result=service.get("Result", ""),
    )


def moment(text: str) -> float | None:
    """Of `Sun 2026-11-29 01:40:20 UTC`; empty, or `n/a`, when there is none."""
    try:
        return datetime.strptime(text, "%a %Y-%m-%d %H:%M:%S UTC").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def judge_timers(timers: Sequence[Timer], soon: Collection[str], seconds: float, now: float) -> list[Check]:
    """All are on, their last run succeeded, and of those in `soon` one elapses within so many seconds."""
    checks = []
    for timer in timers:
        seen = f"{timer.enabled}, {timer.active}"
        checks.append(Check.equal(f"{timer.name}.timer", "enabled, active", seen))
        checks.append(Check.equal(f"result of {timer.name}", "success", timer.result or "none"))
    nexts = [timer.next for timer in timers if timer.name in soon and timer.next is not None]
    wait = min(nexts) - now if nexts else None
    checks.append(
        Check(
            "next backup",
            f"within {seconds / 3600:.0f} h",
            "never" if wait is None else f"in {max(wait, 0) / 3600:.1f} h",
            wait is not None and wait <= seconds,
        )
    )
    return checks
