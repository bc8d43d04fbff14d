# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the files of a directory are encrypted, seen from their bytes alone.

A mark of encryption such as OpenSSL's ``Salted__`` proves nothing, since anybody can write it. What is looked for is a
text that is known to be in the plain data, in the bytes and in what a decompressor makes of them; the first bytes of
compressed files, which encrypted ones do not have; and bytes that are not as evenly distributed as noise.
"""

from __future__ import annotations

import math
import os
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from .control import Check

# What compressed files begin with, and who reads them.
MAGIC = {
    b"\x28\xb5\x2f\xfd": ["zstd", "-dcq"],
    b"\x1f\x8b": ["gzip", "-dc"],
    b"\x04\x22\x4d\x18": ["lz4", "-dc"],
    b"BZh": ["bzip2", "-dc"],
}
SAMPLE = 65_536
# Shannon, 1948. Noise of this many bytes has more than 7.9 bits a byte; the text of a log has about 5.
ENTROPY_MINIMUM = 7.5
ENTROPY_SAMPLE = 4096
NAMED = 3


@dataclass
class Findings:
    """What was read, and what looks as if it were not encrypted."""

    files: int = 0
    size: int = 0
    skipped: int = 0  # bytes beyond the limit
    marked: list[str] = field(default_factory=list)
    compressed: list[str] = field(default_factory=list)
    readable: list[str] = field(default_factory=list)
    lowest: float = 8.0

    def checks(self) -> list[Check]:
        read = f"{self.files} files, {self.size / 1e6:.0f} MB"
        read += f" ({self.skipped / 1e6:.0f} MB of older files not)" if self.skipped else ""
        return [
            Check("bytes that were read", "some", read, self.size > 0),
            Check("files with the marker", "none", named(self.marked), not self.marked),
            Check("files that begin like compressed ones", "none", named(self.compressed), not self.compressed),
            Check(
                f"files with less than {ENTROPY_MINIMUM} bits of entropy in a byte",
                "none",
                named(self.readable) + f" (the lowest: {self.lowest:.2f})",
                not self.readable,
            ),
        ]


def named(paths: list[str]) -> str:
    if not paths:
        return "none"
    rest = len(paths) - NAMED
    return ", ".join(paths[:NAMED]) + (f" and {rest} more" if rest > 0 else "")


def entropy(data: bytes) -> float:
    """Bits in a byte, from how often each value occurs."""
    total = len(data)
    return -sum(count / total * math.log2(count / total) for count in Counter(data).values()) if total else 0.0


def search(directories: Iterable[str], marker: bytes, limit: int) -> Findings:
    """Read the files, the newest first, until the limit in bytes is reached."""
    findings = Findings()
    for path, size in newest_first(directories):
        if findings.size and findings.size + size > limit:
            findings.skipped += size
            continue
        try:
            look_at(path, marker, findings)
        except FileNotFoundError:  # expired meanwhile
            continue
        findings.files += 1
        findings.size += size
    return findings


def newest_first(directories: Iterable[str]) -> list[tuple[Path, int]]:
    files = []
    for path in walk(directories):
        try:
            state = path.stat()
        except FileNotFoundError:
            continue
        files.append((state.st_mtime, path, state.st_size))
    return [(path, size) for _time, path, size in sorted(files, key=lambda entry: entry[0], reverse=True)]


def walk(directories: Iterable[str]) -> Iterator[Path]:
    for directory in directories:
        for here, _names, files in os.walk(directory):
            yield from (Path(here, name) for name in files if not Path(here, name).is_symlink())


def look_at(path: Path, marker: bytes, findings: Findings) -> None:
    with path.open("rb") as file:
        head = file.read(SAMPLE)
        if holds(head, file, marker):
            findings.marked.append(str(path))
    if len(head) >= ENTROPY_SAMPLE:
        bits = entropy(head)
        findings.lowest = min(findings.lowest, bits)
        if bits < ENTROPY_MINIMUM:
            findings.readable.append(str(path))
    elif head.isascii() and head:
        findings.readable.append(str(path))
    for magic, reader in MAGIC.items():
        if head.startswith(magic):
            findings.compressed.append(str(path))
            if decompressed_holds(path, reader, marker):
                findings.marked.append(f"{path}, decompressed")


def holds(head: bytes, file: BinaryIO, marker: bytes) -> bool:
    """Whether the marker is in the file, also across the borders of what is read at once."""
    window = head
    while window:
        if marker in window:
            return True
        more = file.read(1_048_576)
        window = window[-len(marker) + 1 :] + more if more else b""
    return False


def decompressed_holds(path: Path, reader: list[str], marker: bytes) -> bool:
    try:
        result = subprocess.run([*reader, str(path)], capture_output=True, check=False, timeout=60)
    except FileNotFoundError:  # nobody here reads that format; that it is compressed has been said
        return False
    return marker in result.stdout
