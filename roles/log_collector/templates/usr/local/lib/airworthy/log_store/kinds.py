# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What messages have in common: a kind is a message with what varies taken out."""

from __future__ import annotations

import re
from typing import Any

LONGEST = 300  # characters of a message that count

# In this order. Each stands for itself in linear time.
VARYING = (
    (re.compile(r"\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b"), "<id>"),
    (re.compile(r"""(?<!\w)(?:"[^"]*"|'[^']*'|`[^`]*`|\u201c[^\u201d]*\u201d|«[^»]*»)"""), "<text>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?"), "<time>"),
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?\b"), "<address>"),
    (re.compile(r"(?<![\w:])\[?(?=(?:[\da-fA-F]*:){2})[\da-fA-F:]{3,39}(?:\](?::\d{1,5})?|(?![\w:]))"), "<address>"),
    (re.compile(r"\b0x[0-9a-fA-F]+\b"), "<id>"),
    (re.compile(r"\b(?=[0-9a-fA-F]{0,64}\d)(?=[0-9a-fA-F]{0,64}[a-fA-F])[0-9a-fA-F]{7,}\b"), "<id>"),
    (re.compile(r"(?<=/)(?=[\w-]*\d)[\w-]{16,}(?=/|\b)"), "<id>"),
    (re.compile(r"\d+(?:[.,]\d+)*"), "<n>"),
)


def of(record: dict[str, Any], is_request: bool) -> str:
    """Of a request that failed: its method, path and status. Of a message: its first line."""
    fields = record.get("fields")
    if is_request and isinstance(fields, dict):
        what = generalised(f"{fields.get('method', '-')} {fields.get('path', '-')}"[:LONGEST])
        return f"{what} → {fields.get('status')}"
    message = str(record.get("message") or "")
    return generalised(next((line for line in message.splitlines() if line.strip()), "")[:LONGEST].strip())


def generalised(text: str) -> str:
    for pattern, name in VARYING:
        text = pattern.sub(name, text)
    return text or "(no message)"
