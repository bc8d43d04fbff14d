"""The sources of an application: what is shipped, and under which name."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.airworthy.stack.plugins.plugin_utils import source_tree

STEPS = [{"name": "install", "command": "npm ci"}]


@pytest.fixture
def src(tmp_path: Path) -> Path:
    directory = tmp_path / "app"
    for name in ("src", "node_modules/express", ".git", "dist", "src/dist"):
        (directory / name).mkdir(parents=True)
    for name in ("package.json", "src/server.js", ".env", ".env.production", ".env.example", "src/dist/kept.js"):
        (directory / name).write_text(name)
    for name in ("node_modules/express/index.js", ".git/HEAD", "dist/index.html"):
        (directory / name).write_text(name)
    (directory / "bin").symlink_to("src")
    return directory


def name_of(src: Path) -> str:
    return source_tree.release_id(str(src), STEPS, {})


def test_what_is_built_on_the_server_or_secret_is_not_shipped(src: Path) -> None:
    shipped = [entry.path for entry in source_tree.entries(str(src))]
    assert shipped == [".env.example", "bin", "package.json", "src/dist/kept.js", "src/server.js"]


CHANGES: list[tuple[str, Callable[[Path], object], bool]] = [
    ("a file's content", lambda src: (src / "src/server.js").write_text("other"), True),
    ("a new file", lambda src: (src / "src/new.js").touch(), True),
    ("a file's name", lambda src: (src / "src/server.js").rename(src / "src/main.js"), True),
    ("made executable", lambda src: (src / "src/server.js").chmod(0o755), True),
    ("a link's target", lambda src: ((src / "bin").unlink(), (src / "bin").symlink_to("src/dist")), True),
    ("times", lambda src: os.utime(src / "src/server.js", (1, 1)), False),
    ("the umask of whoever cloned it", lambda src: (src / "src/server.js").chmod(0o600), False),
    ("what is installed", lambda src: (src / "node_modules/express/index.js").write_text("other"), False),
    ("a local environment", lambda src: (src / ".env").write_text("SECRET=2"), False),
]


@pytest.mark.parametrize(("change", "another"), [c[1:] for c in CHANGES], ids=[c[0] for c in CHANGES])
def test_the_name_follows_what_counts(src: Path, change: Callable[[Path], object], another: bool) -> None:
    before = name_of(src)
    change(src)
    assert (name_of(src) != before) is another


def test_the_name_follows_how_it_is_built(src: Path) -> None:
    names = {
        source_tree.release_id(str(src), STEPS, {}),
        source_tree.release_id(str(src), [*STEPS, {"name": "test", "command": "npm test"}], {}),
        source_tree.release_id(str(src), STEPS, {"NEXT_PUBLIC_APP_URL": "https://a.example"}),
        source_tree.release_id(str(src), STEPS, {"NEXT_PUBLIC_APP_URL": "https://b.example"}),
    }
    assert len(names) == 4
    assert all(len(name) == 12 for name in names)


def test_the_archive_holds_the_tree_and_nothing_of_its_owner(src: Path, tmp_path: Path) -> None:
    archive = tmp_path / "source.tar.gz"
    source_tree.pack(str(src), str(archive))
    with tarfile.open(archive) as tar:
        members = {member.name: member for member in tar.getmembers()}
        assert sorted(members) == [entry.path for entry in source_tree.entries(str(src))]
        assert members["bin"].linkname == "src"
        assert {(m.uid, m.gid, m.uname) for m in members.values()} == {(0, 0, "")}
        assert members["package.json"].mode == 0o644


REFUSED: list[tuple[str, Callable[[Path], object], str]] = [
    ("no application", lambda src: (src / "package.json").unlink(), "has no package.json"),
    ("a link to elsewhere", lambda src: (src / "x").symlink_to("/etc/passwd"), "which is not shipped"),
    ("a link out of the tree", lambda src: (src / "src/x").symlink_to("../../x"), "which is not shipped"),
    ("a pipe", lambda src: os.mkfifo(src / "x"), "neither a file, a directory nor a link"),
]


@pytest.mark.parametrize(("make", "message"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_what_cannot_be_shipped_is_refused(src: Path, make: Callable[[Path], object], message: str) -> None:
    make(src)
    with pytest.raises(AnsibleActionFail, match=message):
        name_of(src)


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(AnsibleActionFail, match="no directory on the controller"):
        name_of(tmp_path / "nowhere")
