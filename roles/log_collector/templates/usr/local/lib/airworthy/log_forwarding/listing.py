# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What files the store has, looked at often: a directory is listed anew only when it has changed."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import store
from store import Log, Test

SETTLED_NS = 2_000_000_000  # after which two changes of a file are told apart by its time, on any file system


class State(NamedTuple):
    """Of a file, as far as it tells that it has changed."""

    inode: int
    size: int
    modified: int  # nanoseconds since the epoch

    @property
    def is_settled(self) -> bool:
        return time.time_ns() - self.modified > SETTLED_NS


class Files(NamedTuple):
    """Those of a log. The plain one is left out where the compressed one has all of it (packing.py)."""

    packed: State | None
    plain: State | None


@dataclass
class Directory:
    changed: int  # as its time says; 0 where it may change once more without another time
    packed: dict[Log, State | None]  # of each log
    plain: list[Log]  # those that have a plain file


@dataclass
class Look:
    logs: dict[Log, Files] = field(default_factory=dict)  # that may have changed
    gone: list[Log] = field(default_factory=list)


class Listing:
    def __init__(self, root: Path, host: Test, program: Test) -> None:
        self._root, self._host, self._program = root, host, program
        self._known: dict[Path, Directory] = {}

    def look(self) -> Look:
        """At first, all logs may have changed. OSError if the store cannot be read."""
        look, before, found = Look(), self._known, {}
        for path in store.directories(self._root, self._host, self._program):
            with suppress(FileNotFoundError):
                found[path] = directory = self._directory(path)
                is_known = before.get(path) is directory
                for log in directory.plain if is_known else directory.packed:
                    files = files_of(log, directory.packed[log])
                    if any(files):
                        look.logs[log] = files
        self._known = found
        for path, directory in before.items():
            if found.get(path) is not directory:
                left = found[path].packed if path in found else {}
                look.gone += [log for log in directory.packed if log not in left and is_gone(log)]
        return look

    def forget(self) -> None:
        """Whatever was looked at: all logs may have changed again."""
        self._known = {}

    def _directory(self, path: Path) -> Directory:
        changed = path.stat().st_mtime_ns
        known = self._known.get(path)
        if known and known.changed == changed:
            return known
        # What changes while it is listed has to be seen the next time.
        is_settled = time.time_ns() - changed > SETTLED_NS
        with os.scandir(path) as entries:
            names = {entry.name for entry in entries if entry.is_file(follow_symlinks=False)}
        logs = [Log(day, path.parent.name, path.name, path) for day in sorted(set(map(store.day_of, names)) - {None})]
        packed = {log: state(log.packed) for log in logs}
        return Directory(changed if is_settled else 0, packed, [log for log in logs if log.plain.name in names])


def files_of(log: Log, packed: State | None) -> Files:
    plain = state(log.plain)
    is_repeated = packed and plain and packed.modified == plain.modified
    return Files(packed, None if is_repeated else plain)


def is_gone(log: Log) -> bool:
    """A plain file is removed only when there is a compressed one; which of them a list has, is a matter of luck."""
    return state(log.plain) is None and state(log.packed) is None


def state(path: Path) -> State | None:
    try:
        found = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    return State(found.st_ino, found.st_size, found.st_mtime_ns)
