# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Records as text that is safe to look at: no log tells the terminal what to do."""

from __future__ import annotations

import json
from typing import Any

from search import Entry


def as_json(entry: Entry) -> str:
    """In ASCII, in which JSON escapes all control characters."""
    return json.dumps(entry.record, separators=(",", ":"))


def as_line(entry: Entry) -> str:
    """time, host, program, level and message on one line, whatever they hold."""
    record = entry.record
    parts = (entry.time, entry.host, record.get("program", "-"), record.get("level", "-"), said(record))
    return " ".join(printable(str(part)) for part in parts)


def said(record: dict[str, Any]) -> str:
    """The message; of a record that has none, its fields."""
    message = record.get("message")
    if message or not record.get("fields"):
        return str(message or "")
    return json.dumps(record["fields"], ensure_ascii=False)


def printable(text: str) -> str:
    r"""Escape sequences, ends of lines, marks that turn the direction of writing become \x1b, \n, \u202e."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
