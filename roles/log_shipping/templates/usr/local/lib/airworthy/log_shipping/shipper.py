# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reads the sources, brings what they have to the collector, and keeps how far it has come."""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import figures
import messages
from masking import Masker
from records import Line

BATCH = 500  # lines of a source that are on their way at a time
PAUSE = 0.25  # seconds between two looks at the files
TELL = 15.0  # seconds between two times that Prometheus is told
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0  # seconds until the next attempt to connect


def jittered(seconds: float) -> float:
    """Not all servers at the same moment."""
    return seconds * random.uniform(0.5, 1.5)  # noqa: S311 - no secret


class Source(Protocol):
    name: str
    problem: str

    def read(self, limit: int) -> list[Line]: ...


class Connection(Protocol):
    def deliver(self, messages: Sequence[bytes]) -> None: ...

    def close(self) -> None: ...


class Positions:
    """Of each source, on disk: all of them or none, also when the power fails."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def get(self, source: str) -> dict[str, Any] | None:
        return self._kept.get(source)

    def keep(self, positions: Mapping[str, Any]) -> None:
        self._kept |= positions
        staged = self._path.with_suffix(".new")
        with staged.open("w", encoding="utf-8") as file:
            json.dump(self._kept, file)
            file.flush()
            os.fsync(file.fileno())
        staged.rename(self._path)


class Shipper:
    def __init__(
        self, host: str, connect: Callable[[], Connection], masker: Masker, positions: Positions, tell: Path
    ) -> None:
        self._host, self._connect, self._masker, self._positions, self._path = host, connect, masker, positions, tell
        self.figures = figures.Figures(masked=masker.counts)
        self._connection: Connection | None = None
        self._stopped = threading.Event()
        self._told = 0.0

    def stop(self) -> None:
        """After the lines that are on their way; without a collector, at once."""
        self._stopped.set()

    def run(self, sources: Sequence[Source]) -> None:
        while not self._stopped.is_set():
            found = {source.name: source.read(BATCH) for source in sources}
            lines = [line for several in found.values() for line in several]
            if lines and self._has_brought(lines):
                self._positions.keep({name: several[-1].position for name, several in found.items() if several})
            self.figures.unreadable = sum(bool(source.problem) for source in sources)
            self._tell()
            if not lines:
                self._stopped.wait(PAUSE)

    def _has_brought(self, lines: Sequence[Line]) -> bool:
        records = [self._masker.mask(line.record) for line in lines]
        oldest = min(datetime.fromisoformat(record["time"]).timestamp() for record in records)
        texts = [messages.encoded(record, self._host) for record in records]
        wait = FIRST_WAIT
        while not self._is_delivered(texts):
            self.figures.delay = time.time() - oldest
            self._tell()
            if self._stopped.wait(jittered(wait)):
                return False
            wait = min(2 * wait, LONGEST_WAIT)
        self.figures.lines.update((record["program"], record["level"]) for record in records)
        self.figures.delivered = time.time()
        # What has come meanwhile is younger than what was brought.
        self.figures.delay = self.figures.delivered - oldest if len(lines) >= BATCH else 0
        return True

    def _is_delivered(self, texts: Sequence[bytes]) -> bool:
        try:
            self._connection = self._connection or self._connect()
            self._connection.deliver(texts)
        except OSError as error:
            self.figures.failures += 1
            print(f"<4>the collector cannot be reached: {error}", file=sys.stderr, flush=True)
            if self._connection:
                self._connection.close()
                self._connection = None
            return False
        return True

    def _tell(self) -> None:
        if time.monotonic() - self._told >= TELL:
            self._told = time.monotonic()
            figures.write(self.figures, self._path)
