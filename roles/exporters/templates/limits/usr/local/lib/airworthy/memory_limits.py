# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tells Prometheus how much memory services use of what they may have.

The arguments are the file to write and the seconds between two times. Of a service without a limit nothing is told.
What counts is the memory that its processes have for themselves, as it stands in /proc. Pages of
files are left out: the kernel takes them back before anything else.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

GROUPS, PROCESSES = Path("/sys/fs/cgroup"), Path("/proc")
SHOW = ["systemctl", "show", "--property=Id,ControlGroup,MemoryHigh,MemoryMax", "--state=active", "*.service"]
OWN = ("RssAnon", "RssShmem")


class Use(NamedTuple):
    """Of a service, in bytes."""

    unit: str
    used: int
    limit: int


def limited(shown: str) -> Iterator[tuple[str, str, int]]:
    """Name, control group and limit of each service that has one: what it may have, or where it is slowed down."""
    for block in shown.strip().split("\n\n"):
        said = dict(line.split("=", 1) for line in block.splitlines())
        limits = [int(said[name]) for name in ("MemoryHigh", "MemoryMax") if said.get(name, "").isdecimal()]
        if limits and said.get("ControlGroup"):
            yield said["Id"].removesuffix(".service"), said["ControlGroup"], min(limits)


def own_memory(status: str) -> int:
    said = dict(line.split(":", 1) for line in status.splitlines())
    return 1024 * sum(int(said[name].split()[0]) for name in OWN if name in said)


def used(group: Path, processes: Path) -> int:
    total = 0
    for number in (group / "cgroup.procs").read_text().split():
        try:
            total += own_memory((processes / number / "status").read_text())
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended meanwhile
    return total


def uses(shown: str, groups: Path = GROUPS, processes: Path = PROCESSES) -> Iterator[Use]:
    for unit, group, limit in limited(shown):
        try:
            yield Use(unit, used(groups / group.lstrip("/"), processes), limit)
        except OSError:
            continue  # so has the service


def written(found: Iterable[Use]) -> str:
    told = {
        "unit_memory_bytes": ("Memory that the processes of a service have for themselves.", "used"),
        "unit_memory_limit_bytes": ("Memory that a service may have.", "limit"),
    }
    kept, lines = sorted(found), []
    for name, (meaning, field) in told.items():
        lines += [f"# HELP airworthy_{name} {meaning}", f"# TYPE airworthy_{name} gauge"]
        lines += [f'airworthy_{name}{{unit="{escaped(use.unit)}"}} {getattr(use, field)}' for use in kept]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    r"""systemd writes \x2d for a hyphen, and a backslash is an escape in the text format."""
    return text.replace("\\", "\\\\")


def main() -> None:
    target, seconds = Path(sys.argv[1]), float(sys.argv[2])
    staged = target.with_name(f".{target.name}.new")
    while True:
        shown = subprocess.run(SHOW, check=True, capture_output=True, text=True, timeout=30).stdout
        staged.write_text(written(uses(shown)), encoding="utf-8")
        staged.rename(target)
        time.sleep(seconds)


if __name__ == "__main__":
    main()
