# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Swaps staged trees for the live ones: all or none, also when the machine stops in between."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import itertools
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar

from ansible_collections.airworthy.stack.plugins.module_utils.config_tree import TreeError
from ansible_collections.airworthy.stack.plugins.module_utils.config_tree_plan import Node, Plan, Tree
from ansible_collections.airworthy.stack.plugins.module_utils.config_tree_stage import (
    CannotLink,
    Stage,
    copy,
    fsync,
    keep,
    remove,
    set_attributes,
)

STATE = "/var/lib/airworthy/config_tree"
KEPT = 5  # pruned generations
LOCK_TIMEOUT = 120
AT_FDCWD = -100
RENAME_EXCHANGE = 2
UNEXCHANGEABLE = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EBUSY, errno.EOPNOTSUPP}

Stages = dict[str, str]  # dest: where its complete tree is staged
Validate = Callable[[Tree, Stages], None]


class CannotExchange(Exception):
    """This directory must be swapped file by file."""


def exchange(one: str, other: str) -> None:
    """Let two paths trade places in one step, for which Python has no function."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), one)


def inode(path: str) -> int:
    """The number of what is at a path, 0 for nothing."""
    try:
        return os.lstat(path).st_ino
    except (FileNotFoundError, NotADirectoryError):
        return 0


@dataclass
class Step:
    """One move of the swap. undo() may run after any part of do(), and more than once.

    `spare` is where the new thing was staged, `inode` its number: what has another number by now is not ours to undo.
    """

    live: str
    spare: str = ""
    inode: int = 0

    def do(self) -> None:
        raise NotImplementedError

    def undo(self) -> None:
        raise NotImplementedError


@dataclass
class Exchange(Step):
    """A directory takes the place of a directory, atomically."""

    def do(self) -> None:
        try:
            exchange(self.spare, self.live)
        except OSError as error:
            if error.errno in UNEXCHANGEABLE:
                raise CannotExchange(self.live) from error
            raise

    def undo(self) -> None:
        if inode(self.live) == self.inode:
            exchange(self.spare, self.live)


@dataclass
class Place(Step):
    """A file or directory appears where nothing was."""

    def do(self) -> None:
        os.rename(self.spare, self.live)

    def undo(self) -> None:
        if inode(self.live) == self.inode:
            os.rename(self.live, self.spare)


@dataclass
class Replace(Step):
    """A file takes the place of a file, atomically."""

    backup: str = ""

    def do(self) -> None:
        keep(self.live, self.backup)
        os.rename(self.spare, self.live)

    def undo(self) -> None:
        if inode(self.backup) and inode(self.live) in (self.inode, 0):
            os.rename(self.backup, self.live)


@dataclass
class Withdraw(Step):
    """A pruned file or directory goes."""

    backup: str = ""

    def do(self) -> None:
        os.rename(self.live, self.backup)

    def undo(self) -> None:
        if inode(self.backup) and not inode(self.live):
            os.rename(self.backup, self.live)


@dataclass
class Adjust(Step):
    """A directory gets another owner or mode."""

    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)

    def do(self) -> None:
        set_attributes(self.live, Node(**self.after))

    def undo(self) -> None:
        set_attributes(self.live, Node(**self.before))


@dataclass
class Journal:
    """What a transaction has in hand, on disk before it is done."""

    KINDS: ClassVar[dict[str, type[Step]]] = {
        kind.__name__: kind for kind in (Exchange, Place, Replace, Withdraw, Adjust)
    }

    path: str
    temporary: list[str] = field(default_factory=list)  # removed in any case
    parents: list[str] = field(default_factory=list)  # directories made for a new dest, removed on roll back
    archive: str = ""  # the pruned files of this transaction, removed on roll back
    steps: list[Step] = field(default_factory=list)
    committed: bool = False

    @classmethod
    def load(cls, path: str) -> Journal | None:
        try:
            with open(path, encoding="utf-8") as file:
                record = json.load(file)
        except FileNotFoundError:
            return None
        steps = [cls.KINDS[step.pop("kind")](**step) for step in record.pop("steps")]
        return cls(path=path, steps=steps, **record)

    def save(self) -> None:
        record = {name: value for name, value in vars(self).items() if name not in ("path", "steps")}
        record["steps"] = [{"kind": type(step).__name__, **asdict(step)} for step in self.steps]
        with open(f"{self.path}.new", "w", encoding="utf-8") as file:
            json.dump(record, file)
            file.flush()
            os.fsync(file.fileno())
        os.rename(f"{self.path}.new", self.path)
        fsync(os.path.dirname(self.path))

    def commit(self) -> None:
        for directory in {os.path.dirname(step.live) for step in self.steps}:
            fsync(directory)
        self.committed = True
        try:
            self.save()
        except OSError:
            self.committed = False
            raise

    def settle(self) -> None:
        """Finish what was committed, take back what was not. Safe to repeat."""
        if not self.committed:
            self.save()  # also undoes a commit of which only the last fsync failed
            for step in reversed(self.steps):
                step.undo()
            # Nothing is left to undo: a path that somebody uses from now on is theirs.
            self.steps = []
            self.save()
        for path in self.temporary:
            remove(path)
        if not self.committed:
            remove(self.archive)
            for path in reversed(self.parents):
                with contextlib.suppress(OSError):  # somebody else's by now
                    os.rmdir(path)
        os.unlink(self.path)


class State:
    """The directory in which config_tree keeps its lock, its journal and what it pruned."""

    def __init__(self, path: str = STATE) -> None:
        self.path = path
        self.journal = f"{path}/journal.json"
        self.pruned = f"{path}/pruned"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        for path in (self.path, self.pruned):
            os.makedirs(path, mode=0o700, exist_ok=True)
        with open(f"{self.path}/lock", "w", encoding="utf-8") as file:
            deadline = time.monotonic() + LOCK_TIMEOUT
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise TreeError(
                            f"another run has held {file.name} for {LOCK_TIMEOUT} s; see 'fuser {file.name}'"
                        ) from None
                    time.sleep(0.1)
            yield

    def recover(self) -> bool:
        """Settle what a crashed run left; true when there was something."""
        journal = Journal.load(self.journal)
        if journal is None:
            return False
        try:
            journal.settle()
        except OSError as obstacle:
            raise TreeError(
                f"an interrupted run cannot be settled: {obstacle}; {self.journal} says what is left"
            ) from obstacle
        return True

    def trim(self) -> None:
        for name in sorted(os.listdir(self.pruned))[:-KEPT]:
            remove(f"{self.pruned}/{name}")


def apply(plans: list[Plan], state: State, validate: Validate, warn: Callable[[str], None]) -> str:
    """Make all plans true, or change nothing. Returns the directory in which pruned files are kept, if any."""
    piecemeal = {plan.tree.dest for plan in plans if plan.tree.swap == "files"}
    while True:
        try:
            return _Transaction(plans, state, piecemeal).run(validate, warn)
        except CannotExchange as error:
            piecemeal.add(str(error))


class _Transaction:
    def __init__(self, plans: list[Plan], state: State, piecemeal: set[str]) -> None:
        self.plans = plans
        self.state = state
        self.piecemeal = piecemeal
        self.token = secrets.token_hex(4)
        self.number = itertools.count(1)
        self.journal = Journal(state.journal)
        self.moves: list[tuple[Step, Plan, str]] = []  # with the relative path that is staged for the step
        self.stages: Stages = {}
        self.seen: dict[str, dict[str, tuple[int, ...]]] = {}

    def run(self, validate: Validate, warn: Callable[[str], None]) -> str:
        self._lay_out()
        self.journal.save()
        try:
            self._stage()
            for plan in self.plans:
                if plan.tree.validate:
                    validate(plan.tree, self.stages)
            self._archive()
            self._swap()
        except BaseException as error:
            self._take_back(error)
            raise
        try:
            self.journal.settle()
            self.state.trim()
        except OSError as obstacle:  # the new trees are live: failing now would keep handlers from being notified
            warn(f"Cleaning up after the swap is left to the next run: {obstacle}")
        return self.journal.archive

    def _take_back(self, error: BaseException) -> None:
        try:
            self.journal.settle()
        except OSError as obstacle:
            raise TreeError(
                f"{error}; taking the swap back failed too ({obstacle}); the next run does it by {self.journal.path}"
            ) from error
        if isinstance(error, OSError):
            raise TreeError(f"{error}; nothing was changed") from error

    def _lay_out(self) -> None:
        """Decide on every move and every path before anything is written, so that the journal knows them all."""
        mounted = mount_points()
        validated = any(plan.tree.validate for plan in self.plans)
        for plan in self.plans:
            dest = plan.tree.dest
            self._add_parents(dest)
            whole = dest not in self.piecemeal and not at_or_below(dest, mounted)
            if os.path.isdir(dest) and whole:
                self.moves.append((Exchange(dest, self._beside(dest)), plan, ""))
            else:
                self.moves += [(step, plan, relative) for step, relative in self._piecemeal(plan, mounted)]
            if validated:
                staged = [step.spare for step, _plan, relative in self.moves if step.live == dest and step.spare]
                self.stages[dest] = staged[0] if staged else self._beside(dest)
        for step, _plan, _relative in self.moves:
            self.journal.temporary += [path for path in (step.spare, getattr(step, "backup", "")) if path]
        self.journal.temporary += [path for path in self.stages.values() if path not in self.journal.temporary]
        if any(change.after is None for plan in self.plans for change in plan.changes):
            now = datetime.now(UTC)
            self.journal.archive = f"{self.state.pruned}/{now:%Y%m%dT%H%M%S.%fZ}-{self.token}"

    def _piecemeal(self, plan: Plan, mounted: list[str]) -> Iterator[tuple[Step, str]]:
        new: set[str] = set()  # directories that come with all that is in them
        for change in plan.changes:
            before, after, live = change.before, change.after, change.path
            if change.relative and os.path.dirname(change.relative) in new:
                if after and after.kind == "directory":
                    new.add(change.relative)
                continue
            spare = self._beside(live)
            if after is None:
                if at_or_below(live, mounted):
                    raise TreeError(f"{live} is to be pruned, but something is mounted there; unmount it")
                yield Withdraw(live, backup=spare), change.relative
            elif before is None:
                if after.kind == "directory":
                    new.add(change.relative)
                yield Place(live, spare), change.relative
            elif after.kind == "file":
                yield Replace(live, spare, backup=f"{spare}.old"), change.relative
            else:
                yield Adjust(live, before=_attributes(before), after=_attributes(after)), change.relative

    def _stage(self) -> None:
        for path in self.journal.parents:
            os.mkdir(path, 0o755)
        stage = Stage()
        for step, plan, relative in self.moves:
            if isinstance(step, Exchange):
                self.seen[step.live] = fingerprint(step.live)
                try:
                    stage.complete(plan, step.spare)
                except CannotLink as error:
                    raise CannotExchange(step.live) from error
            elif step.spare:
                stage.part(plan.tree, relative, step.spare)
        for plan in self.plans:
            staged = self.stages.get(plan.tree.dest)
            if staged and not inode(staged):
                stage.complete(plan, staged, copying=True)
        stage.seal()
        for directory in {os.path.dirname(step.spare) for step, _plan, _relative in self.moves if step.spare}:
            fsync(directory)

    def _archive(self) -> None:
        for plan in self.plans:
            for change in plan.changes:
                if change.after is None:
                    target = f"{self.journal.archive}{change.path}"
                    os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
                    copy(change.path, target)

    def _swap(self) -> None:
        self.journal.steps = [step for step, _plan, _relative in self.moves]
        for step in self.journal.steps:
            step.inode = inode(step.spare)
        self.journal.save()
        for step in self.journal.steps:
            if step.live in self.seen and self.seen[step.live] != fingerprint(step.live):
                raise TreeError(f"{step.live} was changed by somebody else meanwhile; nothing was changed, run again")
            step.do()
        self.journal.commit()

    def _beside(self, path: str) -> str:
        """A name in the same directory, hidden from every '*' and '*.conf', that no one else has."""
        directory, name = os.path.split(path)
        return f"{directory}/.{name[:40]}.airworthy-{self.token}-{next(self.number)}"

    def _add_parents(self, dest: str) -> None:
        missing = []
        while not os.path.lexists(dest := os.path.dirname(dest)):
            missing.append(dest)
        self.journal.parents += [path for path in reversed(missing) if path not in self.journal.parents]


def _attributes(node: Node) -> dict[str, Any]:
    return {"kind": node.kind, "mode": node.mode, "uid": node.uid, "gid": node.gid}


def fingerprint(directory: str) -> dict[str, tuple[int, ...]]:
    """What would differ if somebody touched anything below a directory; linking to it must make no difference."""
    prints: dict[str, tuple[int, ...]] = {}
    for entry in os.scandir(directory):
        status = entry.stat(follow_symlinks=False)
        prints[entry.path] = (status.st_ino, status.st_mode, status.st_mtime_ns)
        if entry.is_dir(follow_symlinks=False):
            prints |= fingerprint(entry.path)
    return prints


def mount_points() -> list[str]:
    """Also those of the same file system, which no device number shows."""
    with open("/proc/self/mountinfo", "rb") as file:
        points = [line.split()[4] for line in file]
    return [os.fsdecode(point.decode("unicode_escape").encode("latin-1")) for point in points]


def at_or_below(path: str, mounted: list[str]) -> bool:
    real = os.path.realpath(path)
    return any(f"{point}/".startswith(f"{real}/") for point in mounted)
