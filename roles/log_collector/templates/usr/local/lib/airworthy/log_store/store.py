# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where logs lie: ROOT/HOST/PROGRAM/YYYY-MM-DD.jsonl, compressed .jsonl.zst, in late days both.

Names come from listing directories, never from a record or an option, and no link is followed. So nothing that a client
logs leads out of the store.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import NamedTuple

ROOT = Path("/var/log/airworthy")
Test = Callable[[str], bool]  # of a name
PLAIN, PACKED, STAGED = ".jsonl", ".jsonl.zst", ".jsonl.zst.new"
NAME = re.compile(r"(?P<day>[12]\d{3}-\d{2}-\d{2})\.jsonl(\.zst)?", re.ASCII)
STAGED_NAME = re.compile(r"\.\d{4}-\d{2}-\d{2}\.jsonl\.zst\.new", re.ASCII)


class Log(NamedTuple):
    """What a program of a host said in a day, in one file or two."""

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
        return self.directory / f".{self.day}{STAGED}"


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
            if (day := day_of(entry.name)) and entry.is_file(follow_symlinks=False):
                log = Log(day, directory.parent.name, directory.name, directory)
                try:
                    size = entry.stat(follow_symlinks=False).st_size
                except FileNotFoundError:
                    continue
                yield Stored(log, Path(entry.path), size)


def leftovers(root: Path) -> Iterator[Path]:
    """What a run that was killed has begun to compress."""
    for directory in directories(root):
        yield from (Path(entry.path) for entry in _entries(directory) if STAGED_NAME.fullmatch(entry.name))


def day_of(name: str) -> date | None:
    found = NAME.fullmatch(name)
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
