# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The hourly work: days that are over are compressed and encrypted, old ones removed, Prometheus is told."""

from __future__ import annotations

import fcntl
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import encrypting
import packing
import retention
import store
import store_figures
from encrypting import Encryption
from store import Log
from store_figures import Figures

QUIET = 3600  # seconds; the collector closes a file that it did not write to for ten minutes
MIB = 1 << 20


class Busy(OSError):
    """Another run has not ended."""


def keep(
    root: Path,
    days: int,
    max_mb: int,
    figures_file: Path | None,
    now: float | None = None,
    encryption: Encryption | None = None,
) -> int:
    """The exit code: 1 if something could not be done, all else is done then. Busy, OSError if nothing was begun."""
    with alone(root):
        now = time.time() if now is None else now
        today = datetime.fromtimestamp(now, UTC).date()
        figures, problems = Figures(), 0
        for path in list(store.leftovers(root)):
            path.unlink()
        # Age comes first: it needs no room on a disk that is full, and what goes need not be compressed.
        old = retention.too_old(store.files(root), today, days)
        figures.removed_days += retention.remove(root, old, f"older than {days} days")
        problems += _pack(root, today, now, figures)
        if encryption:
            problems += _encrypt(root, today, encryption)
        much = retention.too_much(store.files(root), today, max_mb * MIB)
        figures.removed_days += retention.remove(root, much, f"all logs may take {max_mb} MiB")
        retention.remove_empty(root)
        if figures_file:
            figures.take(store.files(root))
            figures.kept = time.time() if not problems else store_figures.kept_before(figures_file)
            store_figures.write(figures, figures_file)
        return 1 if problems else 0


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """The kernel lets go of the lock when this process ends, however it does."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(f"another run keeps {root}, and has not ended") from None
        yield
    finally:
        os.close(descriptor)


def _pack(root: Path, today: date, now: float, figures: Figures) -> int:
    problems = 0
    for log in sorted({file.log for file in store.files(root) if file.path.suffix == store.PLAIN}):
        try:
            if not _is_over(log, today, now):
                continue
            counts = packing.packed(log)
        except OSError as error:
            problems += 1
            print(f"<3>{log.plain} stays as it is: {error}", file=sys.stderr, flush=True)
            continue
        figures.add(log.host, counts)
    return problems


def _encrypt(root: Path, today: date, encryption: Encryption) -> int:
    """What is not compressed yet waits for that."""
    problems = 0
    for log in sorted({file.log for file in store.files(root) if file.path.name.endswith(store.PACKED)}):
        try:
            if log.day < today - timedelta(days=encryption.days) and not log.plain.exists():
                encrypting.encrypt(log, encryption.recipients)
        except OSError as error:
            problems += 1
            print(f"<3>{log.packed} is not encrypted: {error}", file=sys.stderr, flush=True)
    return problems


def _is_over(log: Log, today: date, now: float) -> bool:
    return log.day < today and now - log.plain.lstat().st_mtime > QUIET
