# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A record as a syslog message: RFC 5424, with JSON as its text."""

from __future__ import annotations

import json
import re
from typing import Any

from records import LEVELS

LOCAL7 = 23  # RFC 5424, 6.2.1
LONGEST_PROGRAM = 48  # RFC 5424, 6: APP-NAME
UNUSUAL = re.compile(r"[^A-Za-z0-9_.@-]")
# Bytes; the collector takes a little more. What makes a record larger than that is its structured part.
LARGEST = 128 * 1024
LONGEST_MESSAGE = 16 * 1024  # characters of it in one that is too large; JSON has up to six bytes for each


def encoded(record: dict[str, Any], host: str) -> bytes:
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
    if len(text) > LARGEST:
        kept = {name: value for name, value in record.items() if name not in {"fields", "journal"}}
        left_out = {"left_out": f"{len(text)} bytes"}
        return encoded(kept | {"message": record["message"][:LONGEST_MESSAGE], "fields": left_out}, host)
    priority = 8 * LOCAL7 + LEVELS.index(record["level"])
    program = UNUSUAL.sub("_", record["program"])[:LONGEST_PROGRAM] or "unknown"
    return f"<{priority}>1 {record['time']} {host} {program} - - - ".encode() + text
