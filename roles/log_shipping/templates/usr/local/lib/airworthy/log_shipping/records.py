# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a line of a log is on its way: a record with an id, and the position to go on from once it has arrived."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any, NamedTuple

LEVELS = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")  # RFC 5424, 6.2.1, by severity
SEVERITIES = {
    **{name: number for number, name in enumerate(LEVELS)},
    **{str(number): number for number in range(len(LEVELS))},
    "panic": 0, "fatal": 2, "critical": 2, "error": 3, "warn": 4, "log": 6, "trace": 7,
    **{f"debug{number}": 7 for number in range(1, 6)},  # PostgreSQL
    "60": 2, "50": 3, "40": 4, "30": 6, "20": 7, "10": 7,  # pino, bunyan
}  # fmt: skip
LONGEST_TEXT = 32768  # characters of a message; what is longer is cut off, and says so

# What programs call these. The first that a record has is taken.
MESSAGES = ("message", "msg")
LEVEL_NAMES = ("level", "error_severity", "severity")
REQUEST_IDS = ("request_id", "requestId", "reqId")
# https://google.github.io/sqlcommenter/spec/: a comment of an SQL statement.
REQUEST_COMMENT = re.compile(r"/\*[^*]*\brequest_id='([\w.-]+)'")
# What a client may send instead is no id, and would not be masked.
REQUEST_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)
# Of a record without a message, such as that of a request.
INSTEAD = ("method", "path", "status")


class Line(NamedTuple):
    """A record, and where its source goes on after it."""

    record: dict[str, Any]
    position: dict[str, Any]


def utc(seconds: float) -> str:
    """The time as RFC 3339 has it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def structured(text: str) -> dict[str, Any]:
    """The fields of a text that is a JSON object; of another one, none."""
    if not (text.startswith("{") and text.endswith("}") and len(text) <= LONGEST_TEXT):
        return {}
    try:
        fields = json.loads(text, parse_constant=str)  # JSON has no NaN
    except (ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


def described(text: str, begins: re.Pattern[str] | None, level: str = "info", **known: Any) -> dict[str, Any]:
    """A record of what a program said, whose own fields are kept beside the message, whatever they are called.

    What `begins` matches is no part of the message, and its groups are fields.
    """
    found = begins.match(text) if begins else None
    groups = {name: value for name, value in found.groupdict().items() if value} if found else {}
    text = text[found.end() :] if found else text
    inner = structured(text)
    fields = groups | inner
    record = known | {"level": level_of(_first(fields, LEVEL_NAMES), level)}
    request_id = str(_first(fields, REQUEST_IDS) or _commented(text) or "")
    if REQUEST_ID.fullmatch(request_id):
        record["request_id"] = request_id
    instead = " ".join(str(fields[name]) for name in INSTEAD if name in fields) if inner else text
    said = next((name for name in MESSAGES if isinstance(inner.get(name), str) and inner[name]), "")
    record["message"] = shortened(inner[said] if said else instead)
    groups.pop("level", None)
    kept = {name: value for name, value in (groups | inner).items() if name != said}
    return record | {"fields": kept} if kept else record


def level_of(said: object, otherwise: str) -> str:
    """One of LEVELS, for whatever a program calls it."""
    return LEVELS[SEVERITIES[name]] if (name := str(said).lower()) in SEVERITIES else otherwise


def shortened(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]} [{len(text)} characters]"


def _first(fields: dict[str, Any], names: tuple[str, ...]) -> Any:
    return next((fields[name] for name in names if fields.get(name)), None)


def _commented(text: str) -> str | None:
    found = REQUEST_COMMENT.search(text) if "request_id='" in text else None
    return found[1] if found else None
