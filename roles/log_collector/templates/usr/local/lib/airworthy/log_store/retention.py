# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which days go, and their removal."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import date, timedelta
from itertools import groupby
from pathlib import Path

import store
from store import Stored

MIB = 1 << 20


def too_old(files: Iterable[Stored], today: date, days: int) -> list[date]:
    """Days more than `days` before today."""
    return sorted({file.log.day for file in files if file.log.day < today - timedelta(days=days)})


def too_much(files: Iterable[Stored], today: date, most: int) -> list[date]:
    """The oldest days without which all take no more than `most` bytes. Never today."""
    by_day = {
        day: sum(file.size for file in several)
        for day, several in groupby(sorted(files, key=lambda file: file.log.day), key=lambda file: file.log.day)
    }
    total, going = sum(by_day.values()), []
    for day, size in by_day.items():
        if total <= most:
            break
        if day != today:
            going.append(day)
            total -= size
    return going


def remove(root: Path, days: Iterable[date], why: str) -> int:
    """All files of these days; says which, and how many days had any."""
    going = set(days)
    gone: dict[date, int] = dict.fromkeys(sorted(going), 0)
    for file in list(store.files(root)) if going else []:
        if file.log.day in going:
            file.path.unlink()
            gone[file.log.day] += file.size
    for day, size in gone.items():
        print(f"{day} is removed, {size / MIB:.1f} MiB of all hosts: {why}", flush=True)
    return len(gone)


def remove_empty(root: Path) -> None:
    """Directories of programs, then of hosts. Those in which a file has appeared meanwhile stay."""
    for directory in list(store.directories(root)):
        with suppress(OSError):
            directory.rmdir()
    for host in _hosts(root):
        with suppress(OSError):
            host.rmdir()


def _hosts(root: Path) -> Iterator[Path]:
    with os.scandir(root) as entries:
        yield from [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
