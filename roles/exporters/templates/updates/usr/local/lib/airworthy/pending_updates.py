# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tells Prometheus which updates are pending, and whether the server waits for a reboot.

The argument is the file to write. A count means little without the day on which the lists of packages were fetched, so
that is told as well.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import apt_pkg

KINDS = ("security", "other")
# apt touches one of them whenever it has fetched lists, whoever asked it to.
FETCHED = ("/var/lib/apt/lists", "/var/lib/apt/lists/partial", "/var/lib/apt/periodic/update-stamp")
REBOOT_REQUIRED = Path("/run/reboot-required")
BOOT = Path("/boot")

Newer = Callable[[str, str], bool]


def kind(archives: Iterable[str]) -> str:
    """Of an update, by the archives that have it, as in bookworm-security."""
    return "security" if any(archive.endswith("-security") for archive in archives) else "other"


def pending() -> Counter[str]:
    """Packages of which there is a newer version, also where the security archive has it below the newest one."""
    cache = apt_pkg.Cache(None)
    policy = apt_pkg.DepCache(cache)
    counts = Counter(dict.fromkeys(KINDS, 0))
    for package in cache.packages:
        installed, candidate = package.current_ver, policy.get_candidate_ver(package)
        if not installed or not candidate or not newer(candidate.ver_str, installed.ver_str):
            continue
        versions = [version for version in package.version_list if newer(version.ver_str, installed.ver_str)]
        counts[kind(file.codename for version in versions for file, _index in version.file_list)] += 1
    return counts


def newer(version: str, than: str) -> bool:
    return bool(apt_pkg.version_compare(version, than) > 0)


def flavour(kernel: str) -> str:
    """What kernels of one kind have in common: cloud-amd64 of 6.1.0-40-cloud-amd64."""
    return "-".join(kernel.split("-")[2:])


def waits_for_reboot(running: str, installed: Sequence[str], marked: bool, newer: Newer = newer) -> bool:
    """Whether a package said so, or a newer kernel is installed than the one that runs. A container has its host's."""
    if marked or running not in installed:
        return marked
    return any(flavour(kernel) == flavour(running) and newer(kernel, running) for kernel in installed)


def written(counts: Counter[str], reboot: bool, fetched: float, now: float) -> str:
    told = {
        "updates_pending": ("Packages of which there is a newer version.", pending_by_kind(counts)),
        "reboot_required": ("Whether updates take effect only after a reboot.", {"": int(reboot)}),
        "updates_lists_timestamp_seconds": ("When the lists of packages were fetched.", {"": fetched}),
        "updates_timestamp_seconds": ("When this was written.", {"": now}),
    }
    lines = []
    for name, (meaning, values) in told.items():
        lines += [f"# HELP airworthy_{name} {meaning}", f"# TYPE airworthy_{name} gauge"]
        lines += [f"airworthy_{name}{labels} {value:.0f}" for labels, value in values.items()]
    return "\n".join(lines) + "\n"


def pending_by_kind(counts: Counter[str]) -> dict[str, float]:
    return {f'{{kind="{each}"}}': counts[each] for each in KINDS}


def main() -> None:
    target = Path(sys.argv[1])
    apt_pkg.init()
    kernels = [path.name.removeprefix("vmlinuz-") for path in BOOT.glob("vmlinuz-*")]
    reboot = waits_for_reboot(os.uname().release, kernels, REBOOT_REQUIRED.exists())
    fetched = max((os.stat(path).st_mtime for path in FETCHED if os.path.exists(path)), default=0)
    staged = target.with_name(f".{target.name}.new")
    staged.write_text(written(pending(), reboot, fetched, time.time()), encoding="utf-8")
    staged.rename(target)


if __name__ == "__main__":
    main()
