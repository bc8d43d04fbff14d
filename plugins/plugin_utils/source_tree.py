# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The sources of an application on the controller: their identity, and the archive in which they travel."""

from __future__ import annotations

import hashlib
import os
import stat
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

from ansible.errors import AnsibleActionFail

# What is made on the server, or must not leave the controller.
NOT_SHIPPED = ("node_modules", ".git", "dist", ".next", ".env", ".env.*", "release.json")
SHIPPED_ANYWAY = (".env.example",)
ID_LENGTH = 12


@dataclass(frozen=True)
class Entry:
    path: str
    mode: int  # only whether it is executable: the rest is the umask of whoever cloned it
    link: str | None = None


def entries(src: str) -> list[Entry]:
    if not os.path.isdir(src):
        raise AnsibleActionFail(f"src is {src}, which is no directory on the controller; name the application's own")
    found = sorted(_walk(src), key=lambda entry: entry.path)
    if not any(entry.path == "package.json" for entry in found):
        raise AnsibleActionFail(f"{src} has no package.json; src must be the directory of the application itself")
    return found


def _walk(src: str) -> Iterator[Entry]:
    for directory, subdirectories, files in os.walk(src):
        top = directory == src
        subdirectories[:] = [name for name in subdirectories if not (top and excluded(name))]
        links = [name for name in subdirectories if os.path.islink(os.path.join(directory, name))]
        for name in files + links:
            if top and excluded(name):
                continue
            path = os.path.join(directory, name)
            yield _entry(path, os.path.relpath(path, src))


def _entry(path: str, name: str) -> Entry:
    status = os.lstat(path)
    if stat.S_ISLNK(status.st_mode):
        target = os.readlink(path)
        if os.path.isabs(target) or os.path.normpath(os.path.join(os.path.dirname(name), target)).startswith(".."):
            raise AnsibleActionFail(f"{path} links to {target}, which is not shipped; link within the sources")
        return Entry(name, 0o777, target)
    if not stat.S_ISREG(status.st_mode):
        raise AnsibleActionFail(f"{path} is neither a file, a directory nor a link, and cannot be shipped")
    return Entry(name, 0o755 if status.st_mode & stat.S_IXUSR else 0o644)


def excluded(name: str) -> bool:
    return name not in SHIPPED_ANYWAY and any(fnmatch(name, pattern) for pattern in NOT_SHIPPED)


def release_id(src: str, steps: Sequence[Mapping[str, Any]], build_inputs: Mapping[str, Any]) -> str:
    """The name of what these sources, built this way, become."""
    digest = hashlib.sha256()
    recipe = [f"{step['name']}\0{step['command']}" for step in steps]
    recipe += [f"{name}={build_inputs[name]}" for name in sorted(build_inputs)]
    for part in recipe:
        digest.update(part.encode() + b"\0")
    for entry in entries(src):
        digest.update(f"\n{entry.path}\0{entry.mode:o}\0{entry.link or ''}\0".encode(errors="surrogateescape"))
        if entry.link is None:
            with open(os.path.join(src, entry.path), "rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:ID_LENGTH]


def pack(src: str, archive: str) -> None:
    with tarfile.open(archive, "w:gz", compresslevel=6, format=tarfile.PAX_FORMAT) as tar:
        for entry in entries(src):
            tar.add(os.path.join(src, entry.path), entry.path, recursive=False, filter=_anonymous(entry))


def _anonymous(entry: Entry) -> Any:
    def changed(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.uid = info.gid = 0
        info.uname = info.gname = ""
        info.mode = entry.mode
        return info

    return changed
