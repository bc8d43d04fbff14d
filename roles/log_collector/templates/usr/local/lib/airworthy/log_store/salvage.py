# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Records of a line of a file. A crash or a full disk leaves one that is cut off, with the next record glued to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

MOST_TRIES = 1000  # objects of a line that are no record: what is nested deeply takes a while

_decoder = json.JSONDecoder()


class Found(NamedTuple):
    record: dict[str, Any]
    text: bytes  # of it in the file, without the end of the line


def records_of(line: bytes) -> tuple[list[Found], bool]:
    """Each record that is whole, and whether something else stands there, too."""
    text = line.strip()
    if not text:
        return [], False
    try:
        record = json.loads(text)
        if isinstance(record, dict):
            return [Found(record, text)], False
    except (ValueError, RecursionError):
        pass
    return _salvaged(text.decode(errors="replace"))


def _salvaged(text: str) -> tuple[list[Found], bool]:
    """As `records_of`. Bytes that are no UTF-8 have become U+FFFD."""
    found, is_broken, position = [], False, 0
    for start, end, record in _objects(text):
        is_broken |= bool(text[position:start].strip())
        found.append(Found(record, text[start:end].encode(errors="surrogatepass")))
        position = end
    return found, is_broken or bool(text[position:].strip())


def _objects(text: str) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """An object counts at the beginning, or if it is like a record and nothing but another begins after it.

    Else a field of a line that was cut off, which may be an object, would be taken for a record.
    """
    position, tries = text.find("{"), 0
    while position >= 0 and tries < MOST_TRIES:
        try:
            record, end = _decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            record, end = None, position + 1
        is_last = text[end : end + 64].lstrip(" \t\r\0")[:1] in {"", "{"}
        if record is not None and (position == 0 or (is_last and is_a_record(record, text[position - 1]))):
            yield position, end, record
            position = text.find("{", end)
        else:
            tries += 1
            position = text.find("{", position + 1)


def is_a_record(record: dict[str, Any], before: str) -> bool:
    """The collector puts `host` and `received` at the end of each, and `message` into what it did not understand.

    That `received` is the last counts only after a character behind which a field of another record may stand.
    """
    if "host" not in record or ("message" not in record and not {"id", "time"} <= record.keys()):
        return False
    return before not in ":,[ " or next(reversed(record)) == "received"
