# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Records of all hosts, in the order of their times as far as each file has them in order."""

from __future__ import annotations

import heapq
import resource
import sys
from collections.abc import Callable, Iterator
from datetime import date
from itertools import chain, groupby
from pathlib import Path
from typing import Any, NamedTuple

import period
import reading
import store
from age_command import NoIdentity
from reading import Counts
from store import Log
from wanted import Wanted

WINDOW = 50_000  # ids that are remembered of each of many files that are open
DESCRIPTORS = 65536


class Entry(NamedTuple):
    time: str
    host: str  # by which it was sent, whatever it says itself
    record: dict[str, Any]


class Search:
    """After it, `problems` says how many logs could not be read wholly."""

    def __init__(self, root: Path, wanted: Wanted, identity: bytes | None = None) -> None:
        self._root, self._wanted, self._identity = root, wanted, identity
        self._has_told_of_encryption = False
        self.problems = 0

    def entries(self) -> Iterator[Entry]:
        """Day after day, of each the logs merged: a file is open and a record in memory for each log of a day."""
        allow_many_files()
        for _day, several in groupby(self._logs(), key=lambda log: log.day):
            streams = [self._entries(log, self._wanted.line_filter()) for log in several]
            if self._wanted.are_few:  # one log after the other; decompressing all at a time would take more memory
                yield from sorted(chain.from_iterable(streams), key=time_of)
            else:
                yield from heapq.merge(*streams, key=time_of)

    def unordered(self, line_filter: Callable[[bytes], bool]) -> Iterator[Entry]:
        """One log after the other."""
        for log in self._logs():
            yield from self._entries(log, line_filter)

    def _logs(self) -> list[Log]:
        found = store.files(self._root, self._wanted.host, self._wanted.program)
        return sorted({file.log for file in found if self._wanted.period.may_be_in(file.log.day)})

    def _entries(self, log: Log, line_filter: Callable[[bytes], bool]) -> Iterator[Entry]:
        time = beginning(log.day)
        try:
            for found in reading.records(log, Counts(), line_filter, WINDOW, identity=self._identity):
                # A record without a time is as old as the one before it.
                time = period.told(found.record.get("time"), time)
                if self._wanted.has(found.record, time):
                    yield Entry(time, log.host, found.record)
        except NoIdentity:
            self.problems += 1
            if not self._has_told_of_encryption:  # else it would be told of each log
                self._has_told_of_encryption = True
                told = f"{log.day} and perhaps other days are encrypted: --identity FILE reads them"
                print(told, file=sys.stderr, flush=True)
        except OSError as error:
            self.problems += 1
            print(f"{log.directory / str(log.day)}: not all can be read: {error}", file=sys.stderr, flush=True)


def time_of(entry: Entry) -> str:
    return entry.time


def beginning(day: date) -> str:
    return f"{day}T00:00:00.000000Z"


def allow_many_files() -> None:
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
