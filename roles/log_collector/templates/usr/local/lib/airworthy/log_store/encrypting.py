# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Makes of a compressed file one that this server cannot read any more.

Whenever this is killed, a reader finds each record once, and the next run puts right what is left:

1. What is encrypted gets to the disk beside. Killed until here: the next run removes it.
2. That file has the time of the compressed one, and gets a name of its own. Killed until here: the same time tells that
   what is compressed is encrypted already.
3. The compressed one is removed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import age_command
import staging
from store import Log


class Encryption(NamedTuple):
    recipients: Path  # a file with their public keys, one a line
    days: int  # before today, that stay readable


def encrypt(log: Log, recipients: Path) -> None:
    """OSError if it cannot be done, which has changed nothing."""
    with log.packed.open("rb") as source:
        before = os.fstat(source.fileno())
        if not any(path.lstat().st_mtime_ns == before.st_mtime_ns for path in log.encrypted):
            with staging.staged(log.staged_encrypted) as descriptor:
                age_command.encrypt(source, descriptor, recipients)
                staging.give(descriptor, before)
                os.fsync(descriptor)
            os.rename(log.staged_encrypted, log.next_encrypted)
            staging.to_disk(log.directory)
    os.unlink(log.packed)
    staging.to_disk(log.directory)
