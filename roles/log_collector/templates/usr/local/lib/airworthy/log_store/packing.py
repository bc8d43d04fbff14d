# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Makes of the files of a log one compressed file, without duplicates and broken lines.

Whenever this is killed, a reader finds each record once, and the next run puts right what is left:

1. All is written to a file beside, which gets to the disk. Killed until here: the next run removes it.
2. That file gets the time of the plain one, and replaces the compressed one. Killed until here: the same time tells
   that what is plain is compressed already.
3. The plain one is removed.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import IO

import reading
import staging
import zstd_command
from reading import Counts, Opened
from store import Log


def packed(log: Log) -> Counts:
    """What was read. OSError if it cannot be done, which has changed nothing."""
    with ExitStack() as stack:
        files = Opened(log, stack)
        if files.is_repeated:
            log.plain.unlink()
            staging.to_disk(log.directory)
            return Counts()
        if not files.plain:
            return Counts()
        before = os.fstat(files.plain.fileno())
        counts = Counts()
        with staging.staged(log.staged) as descriptor:
            with zstd_command.compressing(descriptor) as target:
                for found in reading.read(files, counts):
                    target.write(found.text + b"\n")
            staging.give(descriptor, before)
            os.fsync(descriptor)
            if _has_changed(files.plain, before):
                raise OSError(f"{log.plain} was written to meanwhile, and has to wait for the next time")
        os.rename(log.staged, log.packed)
        staging.to_disk(log.directory)
        if not _has_changed(files.plain, before):
            os.unlink(log.plain)
            staging.to_disk(log.directory)
        return counts


def _has_changed(file: IO[bytes], before: os.stat_result) -> bool:
    now = os.fstat(file.fileno())
    return (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns)
