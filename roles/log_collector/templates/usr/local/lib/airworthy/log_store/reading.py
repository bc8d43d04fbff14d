# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reads a log: each record once, whatever has happened to its files.

Its lines are nearly sorted by time: a late one stands where it arrived, after those that are younger.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import salvage
import zstd_command
from salvage import Found
from store import Log

WINDOW = 200_000  # ids that are remembered; a duplicate follows within a few thousand lines
LONGEST_LINE = 1 << 20  # bytes; what is longer is read in parts, that overlap by more than a record can have
LONGEST_RECORD = 1 << 18


@dataclass
class Counts:
    """Of what was read."""

    lines: int = 0
    duplicates: int = 0
    broken: int = 0

    def add(self, other: Counts) -> None:
        self.lines += other.lines
        self.duplicates += other.duplicates
        self.broken += other.broken


class Window:
    """The last ids, as 64 bits of each, keyed anew in each process: nobody can make two ids that are taken for one."""

    def __init__(self, size: int = WINDOW) -> None:
        self._size = size
        self._order: deque[int] = deque()
        self._known: set[int] = set()

    def has_seen(self, identity: str) -> bool:
        key = hash(identity)
        if key in self._known:
            return True
        self._known.add(key)
        self._order.append(key)
        if len(self._order) > self._size:
            self._known.discard(self._order.popleft())
        return False


class Opened:
    """Both files of a log, as they are at one moment; `plain` is None if what it has is in `packed` already.

    A file is compressed, put in place, and only then is the plain one removed. Both have the same time then, so what a
    kill in between leaves is known. Opening the plain one first misses nothing while that happens.
    """

    def __init__(self, log: Log, stack: ExitStack) -> None:
        self.plain = _opened(log.plain, stack)
        self.packed = _opened(log.packed, stack)
        self.is_repeated = bool(self.plain and self.packed and _changed(self.plain) == _changed(self.packed))
        if self.is_repeated:
            self.plain = None


def records(
    log: Log, counts: Counts, wanted: Callable[[bytes], bool] | None = None, window: int = WINDOW
) -> Iterator[Found]:
    """Of both files; `wanted` looks at a line before it is parsed. OSError if one cannot be read or is damaged."""
    with ExitStack() as stack:
        yield from read(log, Opened(log, stack), counts, wanted, window)


def read(
    log: Log, files: Opened, counts: Counts, wanted: Callable[[bytes], bool] | None = None, window: int = WINDOW
) -> Iterator[Found]:
    seen = Window(window)
    damage = None
    if files.packed:
        try:
            with zstd_command.opened(files.packed, log.packed) as file:
                yield from _records(file, seen, counts, wanted)
        except zstd_command.Failed as error:
            damage = error
    if files.plain:
        yield from _records(files.plain, seen, counts, wanted)
    if damage:
        raise damage


def _records(
    file: IO[bytes], seen: Window, counts: Counts, wanted: Callable[[bytes], bool] | None
) -> Iterator[Found]:
    for line in _lines(file):
        if wanted and not wanted(line):
            continue
        found, is_broken = salvage.records_of(line)
        counts.broken += is_broken
        for each in found:
            identity = each.record.get("id")
            if isinstance(identity, str) and seen.has_seen(identity):
                counts.duplicates += 1
            else:
                counts.lines += 1
                yield each


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    carried = b""
    while line := file.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
            whole = carried + line
            carried = whole[-LONGEST_RECORD:]
            yield whole.strip(b"\0")
            continue
        yield carried + line
        carried = b""


def _opened(path: Path, stack: ExitStack) -> IO[bytes] | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    return stack.enter_context(os.fdopen(descriptor, "rb", buffering=1 << 16))


def _changed(file: IO[bytes]) -> int:
    return os.fstat(file.fileno()).st_mtime_ns
