# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Compressing and reading back, by way of the zstd command: Python's standard library has it only from 3.14 on."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, cast

ZSTD = "zstd"
LEVEL = "-3"
BUFFER = 1 << 20  # bytes


class Failed(OSError):
    """zstd could not do it; the text says why."""


@contextmanager
def opened(file: IO[bytes], path: Path) -> Iterator[IO[bytes]]:
    """What is in an open compressed file. Failed at its end if it is damaged; what came before that is good."""
    command, pipe = [ZSTD, "-dcq"], subprocess.PIPE
    with subprocess.Popen(command, stdin=file, stdout=pipe, stderr=pipe, bufsize=BUFFER) as process:
        is_read = False
        try:
            yield cast(IO[bytes], process.stdout)
            is_read = True
        finally:
            if not is_read:
                process.kill()  # whoever reads has enough
        if process.wait():
            raise Failed(f"{path} is damaged: {told(process)}")


@contextmanager
def compressing(descriptor: int) -> Iterator[IO[bytes]]:
    """What is written here is compressed into an open file, wholly when the context ends. Failed on a full disk."""
    command, pipe = [ZSTD, "-qc", LEVEL], subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=descriptor, stderr=pipe, bufsize=BUFFER) as process:
        target = cast(IO[bytes], process.stdin)
        try:
            yield target
            target.close()
        except BaseException as error:
            if not isinstance(error, BrokenPipeError):
                process.kill()  # what was written is of no use
            with suppress(BrokenPipeError):
                target.close()
            process.wait()
            if isinstance(error, BrokenPipeError):
                raise Failed(told(process)) from None
            raise
        if process.wait():
            raise Failed(told(process))


def told(process: subprocess.Popen[bytes]) -> str:
    """What it has said to its end, which fits into a pipe."""
    said = cast(IO[bytes], process.stderr).read().decode(errors="replace")
    return " ".join(said.split()) or "it does not say why"
