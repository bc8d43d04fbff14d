# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""kill -9 before every call by which config_tree changes the disk: the server has the old trees or the new ones."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from ansible_collections.airworthy.stack.plugins.module_utils import config_tree_swap
from ansible_collections.airworthy.stack.plugins.module_utils.config_tree_plan import Node, Plan, Tree, judge, observe
from ansible_collections.airworthy.stack.plugins.module_utils.config_tree_swap import State, apply

MUTATING = [
    "chmod", "chown", "fchmod", "fchown", "fsync", "link", "mkdir", "open", "rename", "rmdir", "symlink", "unlink",
]  # fmt: skip

OLD = {
    "nginx": {"nginx.conf": b"old", "conf.d/site.conf": b"old", "conf.d/gone.conf": b"old"},
    "app": {"app.env": b"old", "other.env": b"old", "gone/file": b"old"},
}
NEW = {
    "nginx": {"nginx.conf": b"new", "conf.d/site.conf": b"new", "new/file": b"new"},
    "app": {"app.env": b"new", "other.env": b"new", "new/file": b"new"},
    "not/yet": {"file": b"new"},
}


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """In memory: thousands of runs flush the disk otherwise, which takes minutes."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as directory:
        yield Path(directory)


def tree(etc: Path, name: str, files: dict[str, bytes], swap: str) -> Tree:
    ids = (os.geteuid(), os.getegid())
    nodes = {str(parent): Node("directory", 0o755, *ids) for path in files for parent in Path(path).parents}
    nodes[""] = nodes.pop(".")
    nodes |= {path: Node("file", 0o644, *ids, content) for path, content in files.items()}
    return Tree(
        f"{etc}/{name}", dict(sorted(nodes.items())), swap, prune=("conf.d/gone.conf", "gone"), validate=("true", "%s")
    )


def plans(etc: Path, swap: str) -> list[Plan]:
    trees = [tree(etc, name, files, "files" if name == "app" else swap) for name, files in NEW.items()]
    return [plan for plan in (judge(tree, observe(tree)) for tree in trees) if plan.changes]


def snapshot(etc: Path) -> dict[str, dict[str, bytes]]:
    """The files of each tree, temporary ones left out; they are hidden from any service."""
    found: dict[str, dict[str, bytes]] = {}
    for name in NEW:
        for path in sorted((etc / name).rglob("*")):
            relative = str(path.relative_to(etc / name))
            if path.is_file() and ".airworthy-" not in relative:
                found.setdefault(name, {})[relative] = path.read_bytes()
    return found


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


def killed_at(number: int, act: Callable[[], object]) -> bool:
    """Act in a child that dies just before its number-th change of the disk; false when it needs fewer."""
    child = os.fork()
    if child == 0:
        try:
            calls = itertools.count(1)

            def deadly(real: Callable[..., Any]) -> Callable[..., Any]:
                return lambda *args, **kwargs: die() if next(calls) == number else real(*args, **kwargs)

            for name in MUTATING:
                setattr(os, name, deadly(getattr(os, name)))
            config_tree_swap.exchange = deadly(config_tree_swap.exchange)
            act()
            os._exit(0)
        finally:
            os._exit(1)
    _pid, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def unexchangeable(one: str, _other: str) -> None:
    raise OSError(18, "Invalid cross-device link", one)


@pytest.fixture(params=["directory", "files", "directories that cannot be exchanged"])
def swap(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param.startswith("directories"):
        monkeypatch.setattr(config_tree_swap, "exchange", unexchangeable)
        return "directory"
    return str(request.param)


def converge(etc: Path, state: State, swap: str) -> bool:
    """One run, as the module does it; true when something was to do."""
    with state.locked():
        state.recover()
        todo = plans(etc, swap)
        if todo:
            apply(todo, state, lambda tree, staged: None, pytest.fail)
        return bool(todo)


@pytest.fixture
def old_server(tmp_path: Path) -> Path:
    for name, files in OLD.items():
        for path, content in files.items():
            target = tmp_path / "old/etc" / name / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    return tmp_path / "old"


def test_a_kill_at_any_moment_leaves_the_old_trees_or_the_new_ones(old_server: Path, tmp_path: Path, swap: str) -> None:
    after_recovery = []
    for number in itertools.count(1):
        root = tmp_path / str(number)
        shutil.copytree(old_server, root)
        etc, state = root / "etc", State(str(root / "state"))
        atomic = swap == "directory" and config_tree_swap.exchange is not unexchangeable

        died = killed_at(number, lambda etc=etc, state=state: converge(etc, state, swap))  # type: ignore[misc]

        # What a service that starts right now reads.
        now = snapshot(etc)
        if atomic:
            assert now["nginx"] in (OLD["nginx"], NEW["nginx"])
        for name, path in [("nginx", "nginx.conf"), ("nginx", "conf.d/site.conf"), ("app", "app.env")]:
            assert now[name][path] in (b"old", b"new")

        with state.locked():
            state.recover()
        recovered = snapshot(etc)
        assert recovered in (OLD, NEW), f"neither old nor new after a kill before change {number}"
        assert not list(etc.rglob("*.airworthy-*")) and not os.path.exists(state.journal)
        assert (etc / "not").exists() == (recovered == NEW)
        after_recovery.append(recovered == NEW)

        assert converge(etc, state, swap) == (recovered == OLD), "what was taken back is done, and reported, again"
        assert snapshot(etc) == NEW
        shutil.rmtree(root)
        if not died:
            break
    assert after_recovery == sorted(after_recovery), "once committed, never taken back"
    assert after_recovery.count(False) > 30
    assert after_recovery.count(True) > 5


def test_a_kill_during_recovery_is_recovered_from(old_server: Path, tmp_path: Path, swap: str) -> None:
    """The run dies just before it commits, when all is swapped; then the recovery dies at each of its steps."""
    etc, state = old_server / "etc", State(str(old_server / "state"))
    crash = pytest.MonkeyPatch()
    crash.setattr(config_tree_swap.Journal, "commit", lambda journal: die())
    assert killed_at(0, lambda: converge(etc, state, swap))
    crash.undo()
    assert snapshot(etc)["nginx"] == NEW["nginx"]

    for number in itertools.count(1):
        died = killed_at(number, lambda: _recover(state))
        if not died:
            break
    assert snapshot(etc) == OLD
    assert not list(etc.rglob("*.airworthy-*")) and not os.path.exists(state.journal)


def _recover(state: State) -> None:
    with state.locked():
        state.recover()


def test_somebody_elses_file_is_not_taken_back(old_server: Path) -> None:
    """Between the crash and the next run an administrator has replaced a file: hers stays."""
    etc, state = old_server / "etc", State(str(old_server / "state"))
    crash = pytest.MonkeyPatch()
    crash.setattr(config_tree_swap.Journal, "commit", lambda journal: die())
    assert killed_at(0, lambda: converge(etc, state, "files"))
    crash.undo()
    (etc / "hers").write_bytes(b"hers")
    os.rename(etc / "hers", etc / "app/app.env")
    _recover(state)
    assert snapshot(etc)["app"] == OLD["app"] | {"app.env": b"hers"}
