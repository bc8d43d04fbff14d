# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Writes lines where they belong: all of them reach the disk, or an error is raised and no line is cut off."""

from __future__ import annotations

import os
from collections import OrderedDict, defaultdict
from collections.abc import Iterable
from pathlib import Path

from syslog_lines import Line

REMEMBERED = 20_000  # ids of a host; a shipper that was killed sends at most some hundred again


class Store:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._written: defaultdict[str, OrderedDict[bytes, None]] = defaultdict(OrderedDict)

    def write(self, host: str, lines: Iterable[Line]) -> None:
        """Those that were written before are left out. OSError says what kept the others from being written."""
        known, texts = self._written[host], defaultdict[Path, list[Line]](list)
        for line in lines:
            if not line.identity or line.identity not in known:
                texts[self._directory / host / line.program / f"{line.day}.jsonl"].append(line)
        for path, several in texts.items():
            append(path, b"".join(line.text for line in several))
            known.update((line.identity, None) for line in several if line.identity)
        while len(known) > REMEMBERED:
            known.popitem(last=False)


def append(path: Path, text: bytes) -> None:
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o640)
    try:
        before = os.fstat(file).st_size
        if before and os.pread(file, 1, before - 1) != b"\n":
            text = b"\n" + text  # what stands there was cut off when the power failed
        try:
            rest = memoryview(text)
            while rest:
                rest = rest[os.write(file, rest) :]
            os.fdatasync(file)
        except OSError:
            os.ftruncate(file, before)
            raise
    finally:
        os.close(file)
