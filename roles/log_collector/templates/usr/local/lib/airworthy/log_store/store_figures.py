# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What Prometheus is told of the store, by way of the node exporter's directory of text files."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from reading import Counts
from store import Stored

PREFIX = "airworthy_log_store"
KEPT = re.compile(rf"^{PREFIX}_kept_timestamp_seconds (\S+)$", re.MULTILINE)


@dataclass
class Figures:
    """Of the last run, and of what it has left."""

    size: Counter[str] = field(default_factory=Counter)  # bytes by host
    files: Counter[str] = field(default_factory=Counter)
    oldest: float = 0  # seconds since the epoch
    kept: float = 0
    lines: Counter[str] = field(default_factory=Counter)  # by host
    duplicates: int = 0
    broken: int = 0
    removed_days: int = 0

    def add(self, host: str, counts: Counts) -> None:
        self.lines[host] += counts.lines
        self.duplicates += counts.duplicates
        self.broken += counts.broken

    def take(self, files: Iterable[Stored]) -> None:
        days = set()
        for file in files:
            self.size[file.log.host] += file.size
            self.files[file.log.host] += 1
            days.add(file.log.day)
        if days:
            self.oldest = datetime(*min(days).timetuple()[:3], tzinfo=UTC).timestamp()


def written(figures: Figures) -> str:
    lines: list[str] = []

    def tell(name: str, meaning: str, values: Mapping[str, float]) -> None:
        lines.extend([f"# HELP {PREFIX}_{name} {meaning}", f"# TYPE {PREFIX}_{name} gauge"])
        lines.extend(f"{PREFIX}_{name}{labels} {value}" for labels, value in sorted(values.items()))

    tell("bytes", "What the logs of a host take.", by_host(figures.size))
    tell("files", "Files that hold the logs of a host.", by_host(figures.files))
    oldest = {"": figures.oldest} if figures.files else {}
    tell("oldest_day_timestamp_seconds", "Beginning of the oldest day of which there are logs.", oldest)
    kept = {"": figures.kept} if figures.kept else {}
    tell("kept_timestamp_seconds", "When all was last done that has to be done hourly.", kept)
    tell("lines", "Lines that the last run compressed.", by_host(figures.lines))
    tell("duplicates", "Lines that had arrived twice, of those that the last run compressed.", {"": figures.duplicates})
    tell("broken_lines", "Lines that were cut off, of those that the last run compressed.", {"": figures.broken})
    tell("removed_days", "Days that the last run removed.", {"": figures.removed_days})
    return "\n".join(lines) + "\n"


def by_host(values: Mapping[str, float]) -> dict[str, float]:
    return {f'{{log_host="{escaped(host)}"}}': value for host, value in values.items()}


def escaped(text: str) -> str:
    printable = text.encode(errors="replace").decode()  # a name on the disk need not be UTF-8
    return printable.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def kept_before(path: Path) -> float:
    """What the file says of the last run that was successful; 0 if it says nothing."""
    try:
        found = KEPT.search(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return 0
    return float(found[1]) if found else 0


def write(figures: Figures, path: Path) -> None:
    staged = path.with_suffix(".new")
    with staged.open("w", encoding="utf-8") as file:
        file.write(written(figures))
        file.flush()
        os.fsync(file.fileno())
    staged.chmod(0o644)  # the node exporter reads it
    staged.rename(path)
