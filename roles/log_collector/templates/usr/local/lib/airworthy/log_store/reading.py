# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reads a log: each record once, whatever has happened to its files.

Its lines are nearly sorted by time: a late one stands where it arrived, after those that are younger.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import age_command
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
    """The files of a log, as they are at one moment; `plain` is None if what it has is in `packed` already.

    A file is compressed, put in place, and only then is the plain one removed. Both have the same time then, so what a
    kill in between leaves is known. Opening the plain one first misses nothing while that happens. It is the same once
    more when the compressed one is encrypted.
    """

    def __init__(self, log: Log, stack: ExitStack, identity: bytes | None = None) -> None:
        self._log, self._identity = log, identity
        self.plain = _opened(log.plain, stack)
        self.packed = _opened(log.packed, stack)
        self.is_repeated = bool(self.plain and self.packed and _changed(self.plain) == _changed(self.packed))
        if self.is_repeated:
            self.plain = None
        self.encrypted = [(path, file) for path in log.encrypted if (file := _opened(path, stack))]
        if self.packed and _changed(self.packed) in {_changed(file) for _path, file in self.encrypted}:
            self.packed = None

    def unpacked(self, with_encrypted: bool) -> Iterator[AbstractContextManager[IO[bytes]]]:
        """What is in those that are compressed."""
        for path, file in self.encrypted if with_encrypted else ():
            yield age_command.opened(file, path, self._identity)
        if self.packed:
            yield zstd_command.opened(self.packed, self._log.packed)


def records(
    log: Log,
    counts: Counts,
    wanted: Callable[[bytes], bool] | None = None,
    window: int = WINDOW,
    *,
    identity: bytes | None = None,
) -> Iterator[Found]:
    """Of all files; `wanted` looks at a line before it is parsed. OSError if one cannot be read or is damaged."""
    with ExitStack() as stack:
        yield from read(Opened(log, stack, identity), counts, wanted, window, with_encrypted=True)


def read(
    files: Opened,
    counts: Counts,
    wanted: Callable[[bytes], bool] | None = None,
    window: int = WINDOW,
    *,
    with_encrypted: bool = False,
) -> Iterator[Found]:
    seen = Window(window)
    damage = None
    for unpacked in files.unpacked(with_encrypted):
        try:
            with unpacked as file:
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
