# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Lines of a file of the store with the records in them, from a place on."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import IO, NamedTuple

import salvage
import zstd_command
from listing import Files, State
from places import Place
from store import Log

LONGEST_LINE = 1 << 20  # bytes; the collector takes a sixth of that
CHECKED = 256  # bytes before a place that tell whether it still is one


class Piece(NamedTuple):
    """What a line holds, and how long it is."""

    records: Sequence[salvage.Found]
    size: int


class Enough(Exception):
    """A compressed file is not read to its end."""


class Packed:
    """A compressed file that is being read, behind a record or, if it has no such one, from its beginning."""

    def __init__(self, log: Log, state: State, last: str) -> None:
        self.log, self.state, self._stack = log, state, ExitStack()
        behind = self._behind(last)
        lines = self._stack.enter_context(unpacked(log))
        self.pieces = itertools.islice(pieces(lines), behind, None)

    def end(self) -> None:
        """After the last piece. zstd_command.Failed if the file is damaged."""
        self._stack.close()

    def leave(self) -> None:
        with suppress(Enough), self._stack:
            raise Enough

    def _behind(self, last: str) -> int:
        """How many lines stand before what is wanted."""
        needle, behind = json.dumps(last).encode(), 0
        if last:
            with suppress(zstd_command.Failed), unpacked(self.log) as lines:
                for number, line in enumerate(whole_lines(lines), 1):
                    if not behind and needle in line and last in map(identity, salvage.records_of(line)[0]):
                        behind = number
        return behind


@contextmanager
def unpacked(log: Log) -> Iterator[IO[bytes]]:
    with open(log.packed, "rb") as file, zstd_command.opened(file, log.packed) as lines:
        yield lines


def pieces(file: IO[bytes]) -> Iterator[Piece]:
    for line in whole_lines(file):
        yield Piece(salvage.records_of(line)[0], len(line))


def whole_lines(file: IO[bytes]) -> Iterator[bytes]:
    """But for a last one that is being written. Of one that is too long, each part counts."""
    while (line := file.readline(LONGEST_LINE)) and (line.endswith(b"\n") or len(line) == LONGEST_LINE):
        yield line


def identity(found: salvage.Found) -> str:
    own = found.record.get("id")
    return own if isinstance(own, str) else ""


def check(file: IO[bytes], offset: int) -> str:
    """Empty at the file's beginning, and behind its end."""
    length = min(CHECKED, offset)
    found = os.pread(file.fileno(), length, offset - length)
    return hashlib.sha256(found).hexdigest()[:16] if found and len(found) == length else ""


def end_of(log: Log, files: Files) -> Place:
    """Behind all that is there now."""
    packed = files.packed.modified if files.packed else 0
    if not files.plain:
        return Place(packed=packed)
    with open(log.plain, "rb") as file:
        begin = max(files.plain.size - LONGEST_LINE, 0)
        tail = os.pread(file.fileno(), files.plain.size - begin, begin)
        tail = tail[: tail.rfind(b"\n") + 1]
        found = salvage.records_of(tail.splitlines()[-1])[0] if tail else []
        offset, last = begin + len(tail), identity(found[-1]) if found else ""
        return Place(offset, check(file, offset), last, packed=packed)
