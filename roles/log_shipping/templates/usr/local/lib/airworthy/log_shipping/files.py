# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Log files as a source: those of a path and what they were rotated to, read in the order in which they were written.

A file is known by its first line, which it keeps when it is renamed, copied or compressed. Of each it is kept how far
it was read: one that is left may get more lines, and logrotate gives one that it compresses a new time for a while.
"""

from __future__ import annotations

import glob
import gzip
import hashlib
import os
import re
import sys
import time
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from typing import IO, Any, NamedTuple, cast

import records

LONGEST_LINE = 1 << 20  # bytes; of a longer one, each part is a line
FIRST_LINE = 4096  # bytes of it that count
SETTLED = 5.0  # seconds without a line, after which a file that was rotated has all of them
TOGETHER = 1.0  # seconds for which lines that belong together are waited for
REMEMBERED = 200  # files
TIMES = ("time", "timestamp")
UNREADABLE = (OSError, EOFError, zlib.error)


class Found(NamedTuple):
    path: str
    size: int  # without compression
    modified: float
    is_rotated: bool

    @property
    def is_complete(self) -> bool:
        return self.is_rotated and time.time() - self.modified >= SETTLED


class Files:
    """Lines after a position. What `begins` does not match goes on with the line before; its groups are fields."""

    def __init__(self, settings: Mapping[str, str], position: dict[str, Any] | None, dropped: Counter[str]) -> None:
        self.name = self.name_of(settings)
        self._program, self._path = settings["program"], settings["path"]
        self._begins = re.compile(settings["begins"]) if settings.get("begins") else None
        self._is_new = position is None
        self._identity = str(position["identity"]) if position else ""
        self._offset = int(position["offset"]) if position else 0
        self._others: dict[str, int] = position["others"] if position else {}  # how far each was read
        self._dropped = dropped
        self.problem = ""
        self._problems: list[str] = []
        self._file: IO[bytes] | None = None
        self._examined: dict[Any, tuple[str, int]] = {}
        self._is_missing = False

    @staticmethod
    def name_of(settings: Mapping[str, str]) -> str:
        return f"{settings['program']} {settings['path']}"

    def read(self, limit: int) -> list[records.Line]:
        """None of what cannot be read; the other files and sources go on."""
        self._problems = []
        lines = self._read(limit)
        problem = "; ".join(self._problems)
        if problem and problem != self.problem:
            print(f"<3>{self.name} cannot be read: {problem}", file=sys.stderr, flush=True)
        self.problem = problem
        return lines

    def close(self) -> None:
        if self._file:
            self._file.close()
            self._file = None

    def _read(self, limit: int) -> list[records.Line]:
        if self._file and not self._is_still_own(self._file):
            self.close()  # emptied; its lines may be in a copy, and are looked for there
        found = self._found()
        self._is_missing &= self._identity not in found
        is_gone = self._identity and self._identity not in found and not self._problems
        if is_gone and (left := self._left(limit)) is not None:
            return left
        lines: list[records.Line] = []
        for identity, file in found.items():
            if not self._is_read(identity, file) and not self._goes_on(lines, identity, file, limit):
                break
        return lines

    def _left(self, limit: int) -> list[records.Line] | None:
        """Of a file that has no name any more; None if that is all. Looked for twice, since it may just get another."""
        if self._file:
            is_complete = time.time() - os.fstat(self._file.fileno()).st_mtime >= SETTLED
            try:
                lines = self._lines(self._file, limit, is_complete)[0]
            except UNREADABLE as error:
                self._problems.append(str(error))
                self.close()
                return []
            if lines or not is_complete:
                return lines
            self.close()
        elif not self._is_missing:
            self._is_missing = True
            return []
        else:
            self._dropped["file gone"] += 1
        self._identity, self._is_missing = "", False
        return None

    def _is_read(self, identity: str, file: Found) -> bool:
        offset = self._offset if identity == self._identity else self._others.get(identity, 0)
        return file.size == offset % (1 << 32) if file.path.endswith(".gz") else file.size <= offset

    def _goes_on(self, lines: list[records.Line], identity: str, file: Found, limit: int) -> bool:
        """Whether the next file is to be read, after this one."""
        try:
            added, is_cut = self._lines(self._turned_to(identity, file), limit - len(lines), file.is_complete)
        except UNREADABLE as error:
            self._problems.append(str(error))
            return True
        lines += added
        is_over = file.is_complete or not file.is_rotated or self._is_read(identity, file)
        return is_over and not is_cut and len(lines) < limit

    def _turned_to(self, identity: str, file: Found) -> IO[bytes]:
        if identity != self._identity:
            self.close()
            others = self._others | ({self._identity: self._offset} if self._identity else {})
            self._identity, self._offset = identity, others.pop(identity, 0)
            self._others = others
        self._file = self._file or opened(file.path)
        return self._file

    def _is_still_own(self, file: IO[bytes]) -> bool:
        return isinstance(file, gzip.GzipFile) or digest(os.pread(file.fileno(), FIRST_LINE, 0)) == self._identity

    def _found(self) -> dict[str, Found]:
        """Rotated ones first, from the oldest to the youngest. At first, what was rotated before counts as read."""
        written = set(glob.glob(self._path))
        found: list[tuple[str, Found]] = []
        examined = {}
        for path in {*written, *glob.glob(f"{self._path}.*")}:
            try:
                status, is_gzip = os.stat(path), path.endswith(".gz")
                key = is_gzip, status.st_ino, status.st_size, status.st_mtime_ns
                identity, size = examined[key] = self._examined.get(key) or examine(path, status.st_size)
            except FileNotFoundError:
                continue  # it has got another name meanwhile
            except OSError as error:
                self._problems.append(str(error))
                continue
            if identity:
                found.append((identity, Found(path, size, status.st_mtime, is_gzip or path not in written)))
        self._examined = {key: each for key, each in examined.items() if each[0]}
        self._problems += twins([(identity, file.path) for identity, file in found if not file.is_rotated])
        found.sort(key=lambda each: (not each[1].path.endswith(".gz"), not each[1].is_rotated, each[1].size))
        each_once = dict(sorted(dict(found).items(), key=lambda each: (not each[1].is_rotated, each[1].modified)))
        if self._is_new:
            self._is_new = False
            self._others = {identity: file.size for identity, file in each_once.items() if file.is_rotated}
        if len(self._others) > REMEMBERED:
            self._others = {identity: offset for identity, offset in self._others.items() if identity in each_once}
        return each_once

    def _lines(self, file: IO[bytes], limit: int, is_complete: bool) -> tuple[list[records.Line], bool]:
        messages, is_cut = self._messages(file, limit, is_complete)
        lines = []
        for message in messages:
            identity = f"{self._identity}-{self._offset:x}"
            self._offset += len(message)
            described = record(message, self._begins, program=self._program, id=identity)
            position = {"identity": self._identity, "offset": self._offset, "others": self._others}
            lines.append(records.Line(described, position))
        return lines, is_cut

    def _messages(self, file: IO[bytes], limit: int, is_complete: bool) -> tuple[list[bytes], bool]:
        """Complete ones, and whether there are more. One of several lines is complete when the next has begun, or none
        came for a while."""
        file.seek(self._offset)
        lines = list(complete_lines(file, limit, is_complete))
        is_cut = len(lines) == limit
        if self._begins is None:
            return lines, is_cut
        messages = together(lines, self._begins)
        if is_cut:
            return messages[:-1] or messages, True
        is_quiet = is_complete or time.time() - os.fstat(file.fileno()).st_mtime > TOGETHER
        return messages if is_quiet else messages[:-1], False


def twins(written: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Of files that are written to, those that cannot be told from another one."""
    first: dict[str, str] = {}
    for identity, path in sorted(written):
        if first.setdefault(identity, path) != path:
            yield f"{path} begins with the same line as {first[identity]}, and is taken for it"


def opened(path: str) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(path)) if path.endswith(".gz") else open(path, "rb")


def first_line(path: str) -> str:
    """Its digest, or "" before it is complete, and of a file that is being compressed."""
    try:
        with opened(path) as file:
            return digest(file.readline(FIRST_LINE))
    except (EOFError, gzip.BadGzipFile, zlib.error):
        return ""


def digest(beginning: bytes) -> str:
    line = beginning[: beginning.find(b"\n") + 1] or beginning
    return hashlib.sha256(line).hexdigest()[:16] if line.endswith(b"\n") or len(line) == FIRST_LINE else ""


def examine(path: str, size: int) -> tuple[str, int]:
    """Its identity, and its size; of a compressed file that before, modulo 2 ** 32 (RFC 1952, 2.3.1)."""
    identity = first_line(path)
    if identity and path.endswith(".gz"):
        with open(path, "rb") as file:
            file.seek(-4, os.SEEK_END)
            size = int.from_bytes(file.read(4), "little")
    return identity, size


def complete_lines(file: IO[bytes], limit: int, is_complete: bool) -> Iterator[bytes]:
    """Of a file that gets no more, also a last line without an end."""
    for _number in range(limit):
        line = file.readline(LONGEST_LINE)
        if not line or not (is_complete or line.endswith(b"\n") or len(line) == LONGEST_LINE):
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
    seconds = next((moment(told[name]) for name in TIMES if isinstance(told.get(name), str)), None)
    return described | {"time": records.utc(seconds or time.time())}


def moment(text: str) -> float | None:
    """Seconds since the epoch. A time without a zone is that of this host."""
    with suppress(ValueError, OverflowError):
        seconds = datetime.fromisoformat(text.replace(" UTC", "+00:00").replace("/", "-")).timestamp()
        return seconds if 0 < seconds < 1e11 else None  # Go writes "0001-01-01T00:00:00Z" where it has none
    return None
