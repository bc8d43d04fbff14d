# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Log files as a source: those of a path and what they were rotated to, read in the order in which they were written.

A file is known by its first line, which it keeps when it is renamed, copied or compressed.
"""

from __future__ import annotations

import glob
import gzip
import hashlib
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from typing import IO, Any, cast

import records

LONGEST_LINE = 1 << 20  # bytes; of a longer one, each part is a line
FIRST_LINE = 4096  # bytes of it that count
SETTLED = 5.0  # seconds without a line, after which a file that was rotated has all of them
TOGETHER = 1.0  # seconds for which lines that belong together are waited for
TIMES = ("time", "timestamp")


class Files:
    """Lines after a position. What `begins` does not match goes on with the line before; its groups are fields."""

    def __init__(self, settings: Mapping[str, str], position: dict[str, Any] | None, dropped: Counter[str]) -> None:
        self.name = self.name_of(settings)
        self._program, self._path = settings["program"], settings["path"]
        self._begins = re.compile(settings["begins"]) if settings.get("begins") else None
        self._identity = str(position["identity"]) if position else ""
        self._offset = int(position["offset"]) if position else 0
        self._dropped = dropped
        self.problem = ""
        self._file: IO[bytes] | None = None

    @staticmethod
    def name_of(settings: Mapping[str, str]) -> str:
        return f"{settings['program']} {settings['path']}"

    def read(self, limit: int) -> list[records.Line]:
        """None of what cannot be read; the other sources go on."""
        try:
            lines = self._read(limit)
        except OSError as error:
            if str(error) != self.problem:
                print(f"<3>{self.name} cannot be read: {error}", file=sys.stderr, flush=True)
            self.problem = str(error)
            return []
        self.problem = ""
        return lines

    def _read(self, limit: int) -> list[records.Line]:
        file = self._file = self._file or self._find()
        if file is None:
            return []
        lines = list(self._lines(file, limit))
        if not lines:
            self._look_for_another(file)
        return lines

    def close(self) -> None:
        if self._file:
            self._file.close()
            self._file = None

    def _find(self) -> IO[bytes] | None:
        """At first the youngest file, later the one that was being read; without that, the oldest of what is left."""
        named = {first_line(path): path for path in self._paths()}
        named.pop("", None)
        if not named:
            return None
        if self._identity not in named:
            self._dropped["file gone"] += bool(self._identity)
            self._identity, self._offset = next(iter(named)) if self._identity else list(named)[-1], 0
        return opened(named[self._identity])

    def _paths(self) -> dict[str, int]:
        """When each was written to, from the oldest to the youngest."""
        found = {}
        for path in {*glob.glob(self._path), *glob.glob(f"{self._path}.*")}:
            with suppress(FileNotFoundError):  # it has got another name meanwhile
                found[path] = os.stat(path).st_mtime_ns
        return dict(sorted(found.items(), key=lambda each: each[1]))

    def _look_for_another(self, file: IO[bytes]) -> None:
        """At the end of a file, which may go on, have been emptied, or have a successor."""
        own = os.fstat(file.fileno())
        if not isinstance(file, gzip.GzipFile) and own.st_size < self._offset:
            return self.close()  # emptied; its lines may be in a copy, and are looked for there
        if time.time() - own.st_mtime < SETTLED:
            return None
        for path, modified in self._paths().items():
            if modified > own.st_mtime_ns and (identity := first_line(path)) not in {"", self._identity}:
                self.close()
                self._identity, self._offset = identity, 0
                return None
        return None

    def _lines(self, file: IO[bytes], limit: int) -> Iterator[records.Line]:
        for message in self._messages(file, limit):
            identity = f"{self._identity}-{self._offset:x}"
            self._offset += len(message)
            described = record(message, self._begins, program=self._program, id=identity)
            yield records.Line(described, {"identity": self._identity, "offset": self._offset})

    def _messages(self, file: IO[bytes], limit: int) -> list[bytes]:
        """Complete ones. One of several lines is complete when the next has begun, or none came for a while."""
        file.seek(self._offset)
        lines = list(complete_lines(file, limit))
        if self._begins is None:
            return lines
        messages = together(lines, self._begins)
        is_quiet = time.time() - os.fstat(file.fileno()).st_mtime > TOGETHER
        if len(lines) == limit:
            return messages[:-1] or messages
        return messages if is_quiet else messages[:-1]


def opened(path: str) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(path)) if path.endswith(".gz") else open(path, "rb")


def first_line(path: str) -> str:
    """Its digest, or "" before it is complete, and of a file that got another name meanwhile or is being compressed."""
    try:
        with opened(path) as file:
            line = file.readline(FIRST_LINE)
    except (FileNotFoundError, EOFError, gzip.BadGzipFile):
        return ""
    return hashlib.sha256(line).hexdigest()[:16] if line.endswith(b"\n") or len(line) == FIRST_LINE else ""


def complete_lines(file: IO[bytes], limit: int) -> Iterator[bytes]:
    for _number in range(limit):
        line = file.readline(LONGEST_LINE)
        if not line.endswith(b"\n") and len(line) < LONGEST_LINE:
            break
        yield line


def together(lines: Iterable[bytes], begins: re.Pattern[str]) -> list[bytes]:
    messages: list[bytes] = []
    for line in lines:
        if messages and not begins.match(line.decode(errors="replace")):
            messages[-1] += line
        else:
            messages.append(line)
    return messages


def record(message: bytes, begins: re.Pattern[str] | None, **known: Any) -> dict[str, Any]:
    """The time is the program's own if it tells it, else that of the reading."""
    described = records.described(message.decode(errors="replace").rstrip("\n"), begins, **known)
    told = described.get("fields", {})
    seconds = next((moment(str(told[name])) for name in TIMES if name in told), None)
    return described | {"time": records.utc(seconds or time.time())}


def moment(text: str) -> float | None:
    """Seconds since the epoch. A time without a zone is that of this host."""
    with suppress(ValueError):
        return datetime.fromisoformat(text.replace(" UTC", "+00:00").replace("/", "-")).timestamp()
    return None
