# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A line of the store, of a syslog message: the JSON object that it carries, and who has sent it."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

# RFC 5424, 6: version, time, host, program, process, kind, structured data, text.
MESSAGE = re.compile(rb"<\d{1,3}>1 (\S+) \S+ (\S+) \S+ \S+ (?:-|(?:\[.*?(?<!\\)\])+) ?(.*)", re.DOTALL)
DAY = re.compile(rb"\d{4}-\d\d-\d\d(?=T)")
ID = re.compile(rb'"id":"([^"\\]{1,128})"')
UNUSUAL = re.compile(r"[^A-Za-z0-9_.@-]")
LONGEST_NAME = 48
# A clock that is wrong by more than that is not believed.
OLDEST, YOUNGEST = timedelta(days=400), timedelta(days=1)


class Line(NamedTuple):
    program: str
    day: str
    text: bytes  # with the line's end
    identity: bytes  # empty, where its sender has given none


def line(message: bytes, host: str, now: datetime) -> Line:
    found = MESSAGE.fullmatch(message)
    time, program, body = found.groups() if found else (b"", b"unknown", message)
    if not is_object(body):
        body = json.dumps({"message": body.decode(errors="replace")}).encode()
    # Of two with the same name the last one counts: what the message says of its host does not.
    added = f'"host":{json.dumps(host)},"received":"{now:%Y-%m-%dT%H:%M:%S.%fZ}"}}\n'.encode()
    text = body[:-1].rstrip() + (b"," if len(body) > 2 else b"") + added
    identity = ID.search(body)
    return Line(name(program), day(time, now.date()), text, identity[1] if identity else b"")


def is_object(body: bytes) -> bool:
    """On one line, as it will stand in the file."""
    if not (body.startswith(b"{") and body.endswith(b"}")) or b"\n" in body:
        return False
    try:
        return isinstance(json.loads(body), dict)
    except (ValueError, RecursionError):
        return False


def name(program: bytes) -> str:
    """One that a directory can have."""
    usual = UNUSUAL.sub("_", program.decode(errors="replace"))[:LONGEST_NAME]
    return "_" + usual[1:] if usual.startswith(".") else usual or "unknown"


def day(time: bytes, today: date) -> str:
    found = DAY.match(time)
    try:
        told = date.fromisoformat(found[0].decode()) if found else today
    except ValueError:
        told = today
    return str(told if today - OLDEST <= told <= today + YOUNGEST else today)


def utc_now() -> datetime:
    return datetime.now(UTC)
