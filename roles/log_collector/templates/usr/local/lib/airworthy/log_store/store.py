# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where logs lie: ROOT/HOST/PROGRAM/YYYY-MM-DD.jsonl, compressed .jsonl.zst, encrypted .jsonl.zst.age, or in several.

Names come from listing directories, never from a record or an option, and no link is followed. So nothing that a client
logs leads out of the store.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from datetime import date
from itertools import count, takewhile
from pathlib import Path
from typing import NamedTuple

ROOT = Path("/var/log/airworthy")
Test = Callable[[str], bool]  # of a name
PLAIN, PACKED, ENCRYPTED = ".jsonl", ".jsonl.zst", ".jsonl.zst.age"
DAY = r"(?P<day>[12]\d{3}-\d{2}-\d{2})"
NAME = re.compile(rf"{DAY}\.jsonl(\.zst)?", re.ASCII)
ENCRYPTED_NAME = re.compile(rf"{DAY}(\.[1-9]\d*)?\.jsonl\.zst\.age", re.ASCII)
STAGED_NAME = re.compile(r"\.\d{4}-\d{2}-\d{2}\.jsonl\.zst(\.age)?\.new", re.ASCII)


class Log(NamedTuple):
    """What a program of a host said in a day, in one file or more."""

    day: date
    host: str
    program: str
    directory: Path

    @property
    def plain(self) -> Path:
        return self.directory / f"{self.day}{PLAIN}"

    @property
    def packed(self) -> Path:
        return self.directory / f"{self.day}{PACKED}"

    @property
    def staged(self) -> Path:
        """What is being compressed."""
        return self.directory / f".{self.day}{PACKED}.new"

    @property
    def encrypted(self) -> list[Path]:
        """More than one where lines came late: nothing can be added to what cannot be read."""
        return list(takewhile(os.path.lexists, map(self._encrypted, count(1))))

    @property
    def next_encrypted(self) -> Path:
        return self._encrypted(len(self.encrypted) + 1)

    @property
    def staged_encrypted(self) -> Path:
        """What is being encrypted."""
        return self.directory / f".{self.day}{ENCRYPTED}.new"

    def _encrypted(self, part: int) -> Path:
        return self.directory / f"{self.day}{f'.{part}' if part > 1 else ''}{ENCRYPTED}"


class Stored(NamedTuple):
    """A file, of `size` bytes."""

    log: Log
    path: Path
    size: int


def _any(_name: str) -> bool:
    return True


def directories(root: Path, host: Test = _any, program: Test = _any) -> Iterator[Path]:
    """Those of programs, sorted. OSError if the store itself cannot be read; what has gone meanwhile is left out."""
    for of_host in _below(root):
        if host(of_host):
            try:
                programs = _below(root / of_host)
            except FileNotFoundError:
                continue
            yield from (root / of_host / name for name in programs if program(name))


def files(root: Path, host: Test = _any, program: Test = _any) -> Iterator[Stored]:
    """All files that are named like a day. Others are none of ours."""
    for directory in directories(root, host, program):
        for entry in _entries(directory):
            day = day_of(entry.name) or day_of(entry.name, ENCRYPTED_NAME)
            if day and entry.is_file(follow_symlinks=False):
                log = Log(day, directory.parent.name, directory.name, directory)
                try:
                    size = entry.stat(follow_symlinks=False).st_size
                except FileNotFoundError:
                    continue
                yield Stored(log, Path(entry.path), size)


def leftovers(root: Path) -> Iterator[Path]:
    """What a run that was killed has begun to compress or to encrypt."""
    for directory in directories(root):
        yield from (Path(entry.path) for entry in _entries(directory) if STAGED_NAME.fullmatch(entry.name))


def day_of(name: str, form: re.Pattern[str] = NAME) -> date | None:
    """That of a file which can be read as it is, unless another form is asked for."""
    found = form.fullmatch(name)
    try:
        return date.fromisoformat(found["day"]) if found else None
    except ValueError:
        return None


def _below(directory: Path) -> list[str]:
    with os.scandir(directory) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))


def _entries(directory: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError:
        return []
