# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Times that a user gives, and times of records, both as UTC in one form that sorts as text."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

CANONICAL = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z", re.ASCII)
AGO = re.compile(r"-?(?P<count>\d{1,6})(?P<unit>[smhdw])", re.ASCII)
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
TOLERANCE = timedelta(days=1)  # between the day that a file is named by and what its records say
ENDLESS = "9999-12-31T23:59:59.999999Z"


class Period(NamedTuple):
    """From `since` on, up to but without `until`."""

    since: str
    until: str

    def may_be_in(self, day: date) -> bool:
        return str(day + TOLERANCE) >= self.since[:10] and str(day - TOLERANCE) <= self.until[:10]


def text_of(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def asked(text: str, now: datetime) -> str:
    """A time as a user gives it: RFC 3339, a day (its beginning in UTC) or `-2h`. ValueError says what is possible."""
    if found := AGO.fullmatch(text):
        return text_of(now - timedelta(seconds=int(found["count"]) * UNITS[found["unit"]]))
    try:
        moment = datetime.fromisoformat(text)
        return text_of(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text!r} is no time: 2026-11-27, 2026-11-27T18:58:00Z and 2h, 30m or 7d (before now) are possible"
        ) from None


def told(value: Any, otherwise: str) -> str:
    """The time of a record; `otherwise` if it has none that can be read."""
    if not isinstance(value, str):
        return otherwise
    if CANONICAL.fullmatch(value):
        return value
    try:
        moment = datetime.fromisoformat(value)
        return text_of(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        return otherwise
