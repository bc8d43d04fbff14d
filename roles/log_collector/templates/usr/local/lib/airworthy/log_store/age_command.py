# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Encrypting and reading back, by way of the age command (https://age-encryption.org/v1).

What is encrypted for a recipient, a public key, is decrypted by its identity, the private key. The server has none.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import zstd_command

AGE = "age"


class Failed(zstd_command.Failed):
    """age could not do it; the text says why."""


class NoIdentity(Failed):
    """Nobody has said with what to decrypt."""


@contextmanager
def opened(file: IO[bytes], path: Path, identity: bytes | None) -> Iterator[IO[bytes]]:
    """What is in an open file that is encrypted and compressed. Failed at its end if it is damaged or another's."""
    if identity is None:
        raise NoIdentity(f"{path} is encrypted")
    pipe = subprocess.PIPE
    with _in_memory(identity) as key:
        command = [AGE, "--decrypt", "--identity", f"/dev/fd/{key}"]
        with subprocess.Popen(command, stdin=file, stdout=pipe, stderr=pipe, pass_fds=[key]) as process:
            source, failure = cast(IO[bytes], process.stdout), None
            try:
                with zstd_command.opened(source, path) as content:
                    yield content
            except zstd_command.Failed as error:
                failure = error
            source.close()
            if process.wait():
                raise Failed(f"{path} cannot be decrypted: {zstd_command.told(process)}") from None
            if failure:
                raise failure


def encrypt(source: IO[bytes], descriptor: int, recipients: Path) -> None:
    """An open file into another. Failed on a full disk, or if there is no recipient."""
    command = [AGE, "--encrypt", "--recipients-file", str(recipients)]
    process = subprocess.run(command, stdin=source, stdout=descriptor, stderr=subprocess.PIPE, check=False)
    if process.returncode:
        raise Failed(" ".join(process.stderr.decode(errors="replace").split()))


@contextmanager
def _in_memory(text: bytes) -> Iterator[int]:
    """A file that is on no disk, and that age can open by its descriptor."""
    descriptor = os.memfd_create("identity")
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(text)
        yield descriptor
    finally:
        os.close(descriptor)
