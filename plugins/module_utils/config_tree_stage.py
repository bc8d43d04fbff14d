# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Builds what is to be swapped in, out of sight and on stable storage."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable

from ansible_collections.airworthy.stack.plugins.module_utils.config_tree import TreeError
from ansible_collections.airworthy.stack.plugins.module_utils.config_tree_plan import Node, Plan, Tree

Bring = Callable[[str, str], None]
UNLINKABLE = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP}


class CannotLink(Exception):
    """A file of the live directory can only be copied, so the directory cannot be exchanged."""


class Stage:
    """Everything that one transaction writes before it swaps."""

    def __init__(self) -> None:
        self._written: list[str] = []
        self._directories: dict[str, Node] = {}

    def complete(self, plan: Plan, target: str, copying: bool = False) -> None:
        """The whole tree as it will be: what changes anew, all else linked, or copied, from the live one."""
        changed = {change.relative for change in plan.changes if change.after is None or change.after.kind == "file"}
        self._carry(plan.tree, "", target, changed, copy if copying else _link)
        self.part(plan.tree, "", target, only=changed)

    def part(self, tree: Tree, relative: str, target: str, only: set[str] | None = None) -> None:
        """The nodes of a tree at and below a path, or of their files only some."""
        prefix = f"{relative}/" if relative else ""
        for path, node in tree.nodes.items():
            if path == relative or path.startswith(prefix):
                place = f"{target}/{path[len(prefix) :]}" if path != relative else target
                if node.kind == "directory":
                    self._directory(place, node)
                elif only is None or path in only:
                    self._file(place, node)

    def seal(self) -> None:
        """Give directories their attributes, when nothing is written to them any more, and reach the disk."""
        deepest_first = sorted(self._directories, reverse=True)
        for path in deepest_first:
            set_attributes(path, self._directories[path])
        # All is written before the first fsync, so that one flush serves most of them.
        for path in [*self._written, *deepest_first]:
            fsync(path)

    def _directory(self, path: str, node: Node) -> None:
        if not os.path.isdir(path):
            os.mkdir(path, 0o700)
        self._directories[path] = node

    def _file(self, path: str, node: Node) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "wb") as file:
            file.write(node.content)
            os.fchown(descriptor, node.uid, node.gid)
            os.fchmod(descriptor, node.mode)
        self._written.append(path)

    def _carry(self, tree: Tree, relative: str, target: str, without: set[str], bring: Bring) -> None:
        live = tree.path(relative)
        if not os.path.isdir(live):
            return
        os.mkdir(target, 0o700)
        for entry in os.scandir(live):
            path = f"{relative}/{entry.name}" if relative else entry.name
            if path in without:
                continue
            place = f"{target}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                self._carry(tree, path, place, without, bring)
            else:
                bring(entry.path, place)
        status = os.lstat(live)
        shutil.copystat(live, target)
        # Closed again by seal(); until then files must fit in.
        os.chmod(target, 0o700)
        self._directories[target] = Node("directory", stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno in UNLINKABLE:
            raise CannotLink(source) from error
        raise


def copy(source: str, target: str) -> None:
    """Copy a file, link or directory with its owner."""
    status = os.lstat(source)
    if stat.S_ISDIR(status.st_mode):
        os.mkdir(target, 0o700)
        for name in os.listdir(source):
            copy(f"{source}/{name}", f"{target}/{name}")
    elif stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(source), target)
    elif stat.S_ISREG(status.st_mode):
        shutil.copyfile(source, target)
        fsync(target)
    else:
        raise TreeError(f"{source} is a special file and cannot be copied; nothing was changed, move it away")
    os.chown(target, status.st_uid, status.st_gid, follow_symlinks=False)
    shutil.copystat(source, target, follow_symlinks=False)


def keep(source: str, target: str) -> None:
    """Another name for a file, or a copy of it where there are no hard links."""
    try:
        _link(source, target)
    except CannotLink:
        copy(source, target)


def set_attributes(path: str, node: Node) -> None:
    """Owner first: changing it would clear the set-id bits of the mode."""
    os.chown(path, node.uid, node.gid)
    os.chmod(path, node.mode)


def fsync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: str) -> None:
    """Remove whatever is at a path, if anything is."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    except (IsADirectoryError, PermissionError):
        shutil.rmtree(path)
