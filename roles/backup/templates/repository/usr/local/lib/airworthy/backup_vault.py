# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps what is in the database's repository out of the reach of whoever may write there.

    backup_vault.py seal                  take in what is new, give up what was removed long enough ago
    backup_vault.py restore 2026-11-24T12:00:00+00:00
                                          put back what was removed or replaced after that time

A database host sends its log to the repository, so that whoever has taken over that host could delete there, too. Each
finished file therefore gets a second name in the vault (a hard link, which needs no space), in a directory that is
root's alone, and its content becomes root's as well: pgBackRest can read and remove it, but not write it. The vault
keeps a file for some days after it was removed from the repository, be it by expiry or by an intruder.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

WISHES = Path("/etc/airworthy/backup/database.json")
DAY = 86_400
SETTLED = 60  # seconds since the last write, after which a segment of the log is complete
READ_ONLY = 0o440
ROOT = 0


def finished(root: Path, now: float) -> Iterator[Path]:
    """The files of the repository that nobody writes any more."""
    for directory, names, files in os.walk(root):
        here = Path(directory)
        # a backup that is under way has no manifest yet, and is resumed when it broke off
        if here.parent.parent == root / "backup" and "backup.manifest" not in files:
            names[:] = [name for name in names if here.name == "backup.history"]
            continue
        for name in files:
            path = here / name
            if name.endswith(".tmp") or path.is_symlink() or not path.is_file():
                continue
            if now - path.stat().st_mtime >= SETTLED:
                yield path


def seal(root: Path, vault: Path, now: float, owner: int = ROOT) -> int:
    """Take in what is new. An earlier file of the same name stays, under its time."""
    taken = 0
    for path in finished(root, now):
        try:
            state = path.stat()
            kept = vault / path.relative_to(root) / f"{state.st_ino}-{state.st_mtime_ns}"
            if kept.exists():
                continue
            kept.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, kept)
        except FileNotFoundError:  # expired meanwhile
            continue
        os.chown(kept, owner, -1)
        kept.chmod(READ_ONLY)
        taken += 1
    return taken


def versions(vault: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for directory, _names, files in os.walk(vault):
        for name in files:
            path = Path(directory) / name
            yield path, path.stat()


def give_up(vault: Path, before: float) -> int:
    """Drop what has no name but ours, and lost the other one long ago: removing a name sets ctime."""
    old = [path for path, state in versions(vault) if state.st_nlink == 1 and state.st_ctime < before]
    for path in old:
        path.unlink()
        for parent in path.parents:
            if parent == vault or any(parent.iterdir()):
                break
            parent.rmdir()
    return len(old)


def restore(root: Path, vault: Path, moment: float) -> list[Path]:
    """Give every file the content that it had at that moment; what was removed afterwards is there again."""
    newest: dict[Path, tuple[float, Path]] = {}
    for kept, state in versions(vault):
        gone = state.st_nlink == 1 and state.st_ctime <= moment
        if state.st_mtime <= moment and not gone:
            path = root / kept.parent.relative_to(vault)
            newest[path] = max(newest.get(path, (0.0, kept)), (state.st_mtime, kept))
    owner = root.stat()
    restored = []
    for path, (_written, kept) in sorted(newest.items()):
        if path.exists() and path.samefile(kept):
            continue
        for parent in reversed(path.relative_to(root).parents[:-1]):
            if not (root / parent).exists():
                (root / parent).mkdir(mode=0o750)
                shutil.chown(root / parent, owner.st_uid, owner.st_gid)
        beside = path.with_name(f".{path.name}.airworthy.tmp")
        beside.unlink(missing_ok=True)
        os.link(kept, beside)
        beside.replace(path)
        restored.append(path)
    return restored


def main(arguments: list[str]) -> int:
    wishes: dict[str, Any] = json.loads(WISHES.read_text())
    root, vault = Path(wishes["directory"], "pgbackrest"), Path(wishes["directory"], "vault", "pgbackrest")
    now = time.time()
    match arguments:
        case ["seal"]:
            vault.parent.mkdir(mode=0o700, exist_ok=True)
            vault.mkdir(mode=0o700, exist_ok=True)
            taken, given_up = seal(root, vault, now), give_up(vault, now - wishes["vault_days"] * DAY)
            print(f"{taken} files taken in, {given_up} given up")
        case ["restore", moment]:
            restored = restore(root, vault, datetime.fromisoformat(moment).timestamp())
            print("\n".join(map(str, restored)) or "nothing was removed or replaced since then")
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
