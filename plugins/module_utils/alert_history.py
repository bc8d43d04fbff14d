# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a receiver was told of alerts: a unit writes each into the journal, as a line of JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

UNIT = "airworthy-alert-history.service"
PAUSE = 2  # seconds between two looks

RunCommand = Callable[..., tuple[int, str, str]]


@dataclass(frozen=True)
class Told:
    """One alert of a notification, and when it arrived, in seconds since the epoch."""

    at: float
    status: str
    alert: str
    instance: str


def read(lines: Iterable[str]) -> Iterator[Told]:
    """The entries of the journal, in journalctl's JSON; what systemd says of the unit is none of an alert."""
    for line in lines:
        entry = json.loads(line)
        try:
            said = json.loads(entry["MESSAGE"])
            told = Told(int(entry["__REALTIME_TIMESTAMP"]) / 1e6, said["status"], said["alertname"], said["instance"])
        except (ValueError, TypeError, KeyError):
            continue
        yield told


def history(since: float, run: RunCommand) -> list[Told]:
    arguments = ["--quiet", "--all", "--output=json", f"--unit={UNIT}", f"--since=@{since:.0f}"]
    return list(read(run(["journalctl", *arguments], check_rc=True)[1].splitlines()))


def first(told: Sequence[Told], alert: str, instance: str, status: str, after: float = 0) -> Told | None:
    """The first time that the receiver was told so."""
    wanted = (alert, instance, status)
    found = (one for one in told if (one.alert, one.instance, one.status) == wanted and one.at >= after)
    return next(found, None)
