# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The system's journal as a source. It numbers its entries, so that a hole is seen.

https://systemd.io/JOURNAL_EXPORT_FORMATS/ has the fields, systemd.journal-fields(7) their meaning.
"""

from __future__ import annotations

import json
import queue
import re
import subprocess
import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import records

JOURNALCTL = ["journalctl", "--quiet", "--follow", "--no-tail", "--all", "--output=json"]
CURSOR = re.compile(r"s=(?P<sequence>[0-9a-f]+);i=(?P<number>[0-9a-f]+);")
# An entry in which journald says how many lines of a service it did not take.
SUPPRESSED = "a596d6fe7bfa4994828e72309e95d61e"
INTERPRETERS = ("python3", "sh", "bash", "node", "perl")
READ_AHEAD = 4096  # entries
LONGEST_NAME = 64
# The journal's own account of an entry; a record has what its reader needs of it.
KEPT = {"_SYSTEMD_UNIT": "unit", "_PID": "pid", "_UID": "uid", "_TRANSPORT": "transport"}
NOT_KEPT = {"MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "SYSLOG_FACILITY", "SYSLOG_PID", "SYSLOG_RAW",
            "SYSLOG_TIMESTAMP", "MESSAGE_ID", "TID", "INVOCATION_ID", "USER_INVOCATION_ID"}  # fmt: skip


class Format(NamedTuple):
    """How a program begins its messages. Of several for the same one, the first that fits counts."""

    identifier: str
    program: str
    begins: re.Pattern[str]


class Ended(OSError):
    """journalctl is no longer there."""


class Journal:
    """Entries after a position, in their order. journalctl reads ahead, as far as the pipe and the queue hold."""

    name = "journal"

    def __init__(
        self, formats: Sequence[Mapping[str, str]], position: dict[str, Any] | None, dropped: Counter[str]
    ) -> None:
        self._formats = [Format(each["journal"], each["program"], re.compile(each["begins"])) for each in formats]
        self.problem = ""
        self._cursor = str(position["cursor"]) if position else ""
        self._dropped = dropped
        self._entries: queue.Queue[bytes | None] = queue.Queue(READ_AHEAD)
        # Not --after-cursor, which skips an entry when that of the cursor is gone.
        after = [f"--cursor={self._cursor}"] if self._cursor else []
        self._process = subprocess.Popen([*JOURNALCTL, *after], stdout=subprocess.PIPE)
        threading.Thread(target=self._read_ahead, args=[self._process.stdout], daemon=True).start()

    def read(self, limit: int) -> list[records.Line]:
        lines: list[records.Line] = []
        while len(lines) < limit and not self._entries.empty():
            entry = self._entries.get()
            if entry is None:
                raise Ended(f"journalctl has ended with {self._process.wait()}")
            if line := self._line(json.loads(entry)):
                lines.append(line)
        return lines

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def _read_ahead(self, output: Iterable[bytes]) -> None:
        for entry in output:
            self._entries.put(entry)
        self._entries.put(None)

    def _line(self, entry: dict[str, Any]) -> records.Line | None:
        cursor, before = entry["__CURSOR"], self._cursor
        if cursor == before:
            return None
        self._cursor = cursor
        self._dropped["vacuumed"] += hole(before, cursor)
        if entry.get("MESSAGE_ID") == SUPPRESSED:
            told = text(entry.get("N_DROPPED", ""))  # by journald, or by whoever poses as it
            self._dropped["rate limit"] += int(told) if re.fullmatch("[0-9]{1,9}", told) else 0
        return records.Line(record(entry, self._formats), {"cursor": cursor})


def hole(before: str, cursor: str) -> int:
    """Entries between two cursors that are not there any more, as far as that can be known."""
    old, new = CURSOR.match(before), CURSOR.match(cursor)
    if not old or not new or old["sequence"] != new["sequence"]:
        return 0
    return max(0, int(new["number"], 16) - int(old["number"], 16) - 1)


def record(entry: Mapping[str, Any], formats: Sequence[Format]) -> dict[str, Any]:
    said = text(entry.get("MESSAGE", ""))
    name = text(entry.get("SYSLOG_IDENTIFIER") or entry.get("_COMM") or "unknown")
    form = next((each for each in formats if each.identifier == name and each.begins.match(said)), None)
    known = {
        "time": records.utc(int(entry["__REALTIME_TIMESTAMP"]) / 1e6),
        "program": form.program if form else program(name, text(entry.get("_SYSTEMD_UNIT", ""))),
        "id": identity(entry["__CURSOR"]),
        **{name: text(entry[field]) for field, name in KEPT.items() if field in entry},
    }
    level = records.level_of(text(entry.get("PRIORITY", "6")), "info")
    described = records.described(said, form.begins if form else None, level, **known)
    extra = {name: text(value) for name, value in entry.items() if not name.startswith("_") and name not in NOT_KEPT}
    if extra:
        described["journal"] = {name.lower(): records.shortened(value) for name, value in extra.items()}
    return described


def program(name: str, unit: str) -> str:
    """Ansible's modules have a name each. Where systemd knows only the interpreter, the service is meant.

    Who logs chooses the name, of any length.
    """
    if name in INTERPRETERS and unit.endswith(".service"):
        return unit.removesuffix(".service").partition("@")[0]
    return "ansible" if name.startswith("ansible-") else name[:LONGEST_NAME]


def identity(cursor: str) -> str:
    found = CURSOR.match(cursor)
    return f"{found['sequence']}-{found['number']}" if found else cursor


def text(value: object) -> str:
    """journalctl gives a list of numbers for what is no UTF-8, and a list of values for a field that occurs twice."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(byte, int) for byte in value):
        return bytes(value).decode(errors="replace")
    if isinstance(value, list):
        return "\n".join(text(each) for each in value)
    return ""
