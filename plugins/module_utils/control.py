# Copyright (c) the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The record in which a verifying module says what it expected of a live system and what it saw.

A module observes, makes checks of what it saw, and one control of the checks that belong to a line of the checklist::

    checks = [Check.equal("shared_buffers", wanted, seen), …]
    controls = run_probes("quick", {"db.settings": lambda: judged("db.settings", "quick", checks, command="…")})
    module.exit_json(changed=False, controls=controls)
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Any, Literal

Level = Literal["quick", "deep"]
Status = Literal["pass", "fail", "not_applicable", "not_run", "error"]

# A summary names this many checks; the evidence lists all of them.
NAMED_IN_SUMMARY = 3


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: what it is, what was wanted, what was seen."""

    subject: str
    expected: str
    observed: str
    ok: bool

    @classmethod
    def equal(cls, subject: str, expected: object, observed: object) -> Check:
        return cls(subject, str(expected), str(observed), expected == observed)

    def to_dict(self) -> dict[str, Any]:
        return {"subject": self.subject, "expected": self.expected, "observed": self.observed, "ok": self.ok}


@dataclass(frozen=True)
class Control:
    """The verdict on one line of the checklist, with its evidence. Make it with the functions below."""

    id: str
    level: Level
    status: Status
    expected: str
    observed: str
    checks: tuple[Check, ...] = ()
    command: str = ""
    remediation: str = ""
    duration: float = field(default=0.0, compare=False)

    def to_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "level": self.level,
            "status": self.status,
            "expected": self.expected,
            "observed": self.observed,
            "evidence": {"checks": [check.to_dict() for check in self.checks], "command": self.command},
            "remediation": self.remediation,
            "duration": round(self.duration, 3),
        }


def judged(
    control_id: str,
    level: Level,
    checks: Sequence[Check],
    *,
    command: str = "",
    remediation: str = "",
    expected: str = "",
    observed: str = "",
) -> Control:
    """A control of its checks: all must be ok, and there must be one. Summaries are made of the checks unless given."""
    if not checks:
        nothing = "The probe made no check, so it proves nothing."
        return error(control_id, level, nothing, command=command, remediation=remediation)
    ordered = tuple(sorted(checks, key=lambda check: check.ok))
    return Control(
        id=control_id,
        level=level,
        status="pass" if all(check.ok for check in ordered) else "fail",
        expected=expected or _expected(ordered),
        observed=observed or _observed(ordered),
        checks=ordered,
        command=command,
        remediation=remediation,
    )


def not_applicable(control_id: str, level: Level, reason: str, *, expected: str = "", command: str = "") -> Control:
    """What the control is about does not exist here; the reason says why."""
    return Control(control_id, level, "not_applicable", expected, reason, command=command)


def not_run(control_id: str, level: Level, reason: str, *, command: str = "") -> Control:
    """The probe would change something, and this run must not (check mode)."""
    return Control(control_id, level, "not_run", "", reason, command=command)


def error(
    control_id: str, level: Level, message: str, *, expected: str = "", command: str = "", remediation: str = ""
) -> Control:
    """The probe itself could not run; the message says what it could not do."""
    return Control(control_id, level, "error", expected, message, command=command, remediation=remediation)


class Stopwatch:
    """Seconds since it was made, until it is stopped."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._stopped: float | None = None

    def stop(self) -> None:
        self._stopped = time.monotonic()

    @property
    def seconds(self) -> float:
        return (time.monotonic() if self._stopped is None else self._stopped) - self._started


@contextmanager
def stopwatch() -> Iterator[Stopwatch]:
    """Time a block: ``with stopwatch() as watch: …``, then ``watch.seconds``."""
    watch = Stopwatch()
    try:
        yield watch
    finally:
        watch.stop()


def run_probe(
    control_id: str, level: Level, probe: Callable[[], Control], *, command: str = "", remediation: str = ""
) -> Control:
    """Run a probe and time it; one that raises becomes an `error` control that names the exception and its place."""
    with stopwatch() as watch:
        try:
            control = probe()
        except Exception as exception:
            control = error(control_id, level, _describe(exception), command=command, remediation=remediation)
    return replace(control, duration=watch.seconds)


def run_probes(level: Level, probes: Mapping[str, Callable[[], Control]]) -> list[dict[str, Any]]:
    """Run the probe of each control id and return the records for ``exit_json(controls=…)``."""
    return [run_probe(control_id, level, probe).to_dict() for control_id, probe in probes.items()]


def _expected(checks: Sequence[Check]) -> str:
    return _listed([f"{check.subject}: {check.expected}" for check in checks])


def _observed(checks: Sequence[Check]) -> str:
    failing = [f"{check.subject}: {check.observed}" for check in checks if not check.ok]
    if failing:
        return f"{len(failing)} of {len(checks)} not as expected: {_listed(failing)}"
    if len(checks) == 1:
        return checks[0].observed
    return f"{len(checks)} of {len(checks)} as expected"


def _listed(parts: Sequence[str]) -> str:
    """The first few parts in words, the rest counted."""
    rest = len(parts) - NAMED_IN_SUMMARY
    named = "; ".join(parts[:NAMED_IN_SUMMARY])
    return f"{named}; and {rest} more" if rest > 0 else named


def _describe(exception: Exception) -> str:
    frames = traceback.extract_tb(exception.__traceback__)
    # A line of a library tells less than the line of the module that called it.
    ours = [frame for frame in frames[1:] if "ansible_collections" in frame.filename]
    place = (ours or frames)[-1]
    name = PurePath(place.filename).name
    return f"The probe could not run: {type(exception).__name__}: {exception} (at {name}:{place.lineno})"
