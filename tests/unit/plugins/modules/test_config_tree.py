# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The server's half of config_tree, promise by promise, on real directories."""

from __future__ import annotations

import errno
import fcntl
import itertools
import json
import os
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.airworthy.stack.plugins.module_utils import config_tree_stage, config_tree_swap
from ansible_collections.airworthy.stack.plugins.module_utils.config_tree import Rendered, pack, tree_options
from ansible_collections.airworthy.stack.plugins.modules import config_tree

SITE = MappingProxyType({"nginx.conf": b"include conf.d/*.conf;\n", "conf.d/site.conf": b"listen 443;\n"})
VALID = "true %s"


class Server:
    """A stand-in for a server: a directory with /etc in it, and config_tree's state beside."""

    def __init__(self, root: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.etc = root / "etc"
        self.etc.mkdir()
        self.nginx = self.etc / "nginx"
        self.state = config_tree_swap.State(str(root / "state"))
        self.capture = capture

    def tree(self, content: Mapping[str, bytes] = SITE, /, **options: Any) -> tuple[dict[str, Any], Rendered]:
        directories = sorted({str(parent) for path in content for parent in Path(path).parents} - {"."})
        defaults = {name: option.get("default") for name, option in tree_options(required=True).items()}
        unset = {"owner": None, "group": None, "mode": None, "no_diff": None}
        exceptions = [unset | own for own in options.pop("files", [])]
        return (
            defaults | {"src": "etc/nginx", "dest": str(self.nginx), "files": exceptions} | options,
            Rendered(directories, dict(content)),
        )

    def run(self, *trees: tuple[dict[str, Any], Rendered], check: bool = False, tidy: bool = True) -> dict[str, Any]:
        """What the module says, whether it succeeds or not; with tidy, it must leave nothing behind."""
        arguments = {
            "trees": [options for options, _rendered in trees],
            "_payload": pack([rendered for _options, rendered in trees]),
            "_ansible_check_mode": check,
            "_ansible_diff": True,
        }
        with patch_module_args(arguments), pytest.raises(SystemExit):
            config_tree.main(self.state)
        result: dict[str, Any] = json.loads(self.capture.readouterr().out)
        assert not (tidy and self.leftovers())
        return result

    def converge(self, content: Mapping[str, bytes] = SITE, /, **options: Any) -> dict[str, Any]:
        check = options.pop("check", False)
        result = self.run(self.tree(content, **options), check=check)
        assert not result.get("failed"), result
        return result

    def refuse(self, content: Mapping[str, bytes] = SITE, /, **options: Any) -> str:
        """The message with which the module fails; it must leave everything as it was."""
        check = options.pop("check", False)
        before = self.snapshot()
        result = self.run(self.tree(content, **options), check=check)
        assert result.get("failed"), result
        assert self.snapshot() == before
        message: str = result["msg"]
        return message

    def snapshot(self) -> dict[str, tuple[int, bytes]]:
        return {
            str(path.relative_to(self.etc)): (path.lstat().st_mode, path.read_bytes() if path.is_file() else b"")
            for path in self.etc.rglob("*")
        }

    def leftovers(self) -> list[str]:
        journal = [self.state.journal] if os.path.exists(self.state.journal) else []
        return journal + [str(path) for path in self.etc.rglob("*.airworthy-*")]

    def paths(self, *relative: str) -> list[str]:
        return sorted(str(self.nginx / path) if path else str(self.nginx) for path in relative)


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """In memory: thousands of runs flush the disk otherwise, which takes minutes."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as directory:
        yield Path(directory)


@pytest.fixture
def server(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Server:
    return Server(tmp_path, capfd)


NEEDS_NAMESPACES = pytest.mark.skipif(
    subprocess.call(["unshare", "--mount", "true"]) != 0, reason="no mount namespaces here"
)
SWAPS = pytest.mark.parametrize("swap", ["directory", "files"])


@SWAPS
def test_a_fresh_server_gets_the_tree_and_a_second_run_finds_nothing_to_do(server: Server, swap: str) -> None:
    assert server.converge(swap=swap)["paths"] == server.paths("", "conf.d", "conf.d/site.conf", "nginx.conf")
    assert (server.nginx / "conf.d/site.conf").read_bytes() == b"listen 443;\n"
    assert stat.S_IMODE((server.nginx / "conf.d").stat().st_mode) == 0o755

    again = server.converge(swap=swap, validate="false %s")
    assert (again["changed"], again["paths"], again["diff"]) == (False, [], [])


@SWAPS
def test_only_what_differs_is_reported_and_what_is_not_ours_stays(server: Server, swap: str) -> None:
    server.converge(swap=swap)
    (server.nginx / "mime.types").write_text("theirs")
    (server.nginx / "link").symlink_to("nowhere")
    (server.nginx / "theirs").mkdir(mode=0o700)
    (server.nginx / "theirs/deep").write_text("deep")
    same = (server.nginx / "nginx.conf").stat().st_ino

    result = server.converge(SITE | {"conf.d/site.conf": b"listen 80;\n", "new/a": b"a"}, swap=swap)

    assert result["paths"] == server.paths("conf.d/site.conf", "new", "new/a")
    assert (server.nginx / "conf.d/site.conf").read_bytes() == b"listen 80;\n"
    assert (server.nginx / "mime.types").read_text() == "theirs"
    assert (server.nginx / "theirs/deep").read_text() == "deep"
    assert stat.S_IMODE((server.nginx / "theirs").stat().st_mode) == 0o700
    assert os.readlink(server.nginx / "link") == "nowhere"
    assert (server.nginx / "nginx.conf").stat().st_ino == same


@SWAPS
def test_missing_directories_above_dest_are_made(server: Server, swap: str) -> None:
    server.run(
        server.tree({"a": b"a"}, dest=f"{server.etc}/new/a", swap=swap),
        server.tree({"b": b"b"}, dest=f"{server.etc}/new/deeper/b", swap=swap),
    )
    assert (server.etc / "new/a/a").read_text() == "a"
    assert (server.etc / "new/deeper/b/b").read_text() == "b"
    assert stat.S_IMODE((server.etc / "new").stat().st_mode) == 0o755


@SWAPS
def test_a_mode_alone_is_a_change(server: Server, swap: str) -> None:
    server.converge(swap=swap)
    result = server.converge(swap=swap, files=[{"path": "nginx.conf", "mode": "0600"}])
    assert result["paths"] == server.paths("nginx.conf")
    assert stat.S_IMODE((server.nginx / "nginx.conf").stat().st_mode) == 0o600
    assert [(diff["before"][:11], diff["after"][:11]) for diff in result["diff"]] == [("(mode 0644,", "(mode 0600,")]


def test_a_directory_of_our_own_gets_its_mode_and_a_shared_one_keeps_it(server: Server) -> None:
    server.converge()
    shared = server.converge(directory_mode="0750", swap="files", no_diff=True)
    assert shared["paths"] == []
    own = server.converge(directory_mode="0750")
    assert own["paths"] == server.paths("", "conf.d")
    assert stat.S_IMODE(server.nginx.stat().st_mode) == 0o750


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@SWAPS
def test_an_owner_alone_is_a_change(server: Server, swap: str) -> None:
    server.converge(swap=swap)
    result = server.converge(swap=swap, files=[{"path": "nginx.conf", "owner": "nobody", "group": "nogroup"}])
    assert result["paths"] == server.paths("nginx.conf")
    assert (server.nginx / "nginx.conf").owner() == "nobody"


@pytest.mark.parametrize("option", ["owner", "group"])
def test_an_unknown_owner_is_named_but_may_come_later_in_check_mode(server: Server, option: str) -> None:
    assert f"{option} 'no-such-one' does not exist" in server.refuse(**{option: "no-such-one"})
    result = server.converge(**{option: "no-such-one"}, validate=VALID, check=True)
    assert result["changed"]
    assert result["notes"] == [f"{option} 'no-such-one' does not exist yet"]


# What is in the way


def _link(path: Path) -> None:
    path.symlink_to("/usr")


IN_THE_WAY: list[tuple[str, Callable[[Path], None], str]] = [
    ("", _link, "is a symbolic link, and a directory is wanted"),
    ("", Path.touch, "is a file, and a directory is wanted"),
    ("conf.d", _link, "is a symbolic link, and a directory is wanted"),
    ("conf.d", Path.touch, "is a file, and a directory is wanted"),
    ("nginx.conf", Path.mkdir, "is a directory, and a file is wanted"),
    ("nginx.conf", _link, "is a symbolic link, and a file is wanted"),
    ("nginx.conf", os.mkfifo, "is a special file, and a file is wanted"),
]


@SWAPS
@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize(("where", "put", "message"), IN_THE_WAY)
def test_what_is_in_the_way_is_named_and_left(
    server: Server, where: str, put: Callable[[Path], None], message: str, check: bool, swap: str
) -> None:
    if where:
        server.nginx.mkdir()
    put(server.nginx / where)
    assert f"{server.paths(where)[0]} {message}" in server.refuse(swap=swap, check=check)


# Validation


@SWAPS
def test_the_validator_sees_the_complete_new_tree_and_its_veto_changes_nothing(server: Server, swap: str) -> None:
    server.converge(swap=swap)
    (server.nginx / "mime.types").write_text("theirs\n")
    command = "sh -c 'cat $0/mime.types $0/conf.d/site.conf; echo $0/nginx.conf:3: unknown directive >&2; exit 7' %s"

    message = server.refuse(SITE | {"conf.d/site.conf": b"lisen 80;\n"}, swap=swap, validate=command)

    assert message.startswith(f"{server.nginx} is not valid, and nothing was changed: '")
    assert "returned 7 and said" in message
    assert f"\n{server.nginx}/nginx.conf:3: unknown directive\ntheirs\nlisen 80;" in message
    assert "airworthy" not in message


@SWAPS
def test_a_tree_that_does_not_exist_yet_is_validated_before_it_does(server: Server, swap: str) -> None:
    command = f"sh -c 'test ! -e {server.nginx} && cat $0/nginx.conf && exit 1' %s"
    assert "include conf.d" in server.refuse(swap=swap, validate=command)
    server.converge(swap=swap, validate=f"sh -c 'test ! -e {server.nginx} && test -e $0/conf.d/site.conf' %s")


@NEEDS_NAMESPACES
@pytest.mark.parametrize("check", [False, True])
@SWAPS
def test_the_validator_sees_the_new_trees_at_their_final_paths_too(server: Server, swap: str, check: bool) -> None:
    app = f"{server.etc}/app"
    server.run(server.tree(), server.tree({"app.env": b"A=1"}, dest=app))
    command = f"sh -c 'cat {server.nginx}/nginx.conf {app}/app.env; exit 1' %s"
    new = server.tree({"nginx.conf": b"new"}, swap=swap, validate=command)
    result = server.run(new, server.tree({"app.env": b"A=2"}, dest=app, swap=swap), check=check)
    assert result["msg"].endswith("said:\nnewA=2")
    assert (server.nginx / "nginx.conf").read_bytes() == SITE["nginx.conf"]


@NEEDS_NAMESPACES
@SWAPS
def test_a_validator_may_be_content_with_the_final_paths(server: Server, swap: str) -> None:
    assert "it does not exist yet; add %s" in server.refuse(swap=swap, validate="true")
    server.converge(swap=swap)
    command = f"grep -q new {server.nginx}/nginx.conf"
    assert "is not valid" in server.refuse({"nginx.conf": b"old"}, swap=swap, validate=command)
    assert server.converge({"nginx.conf": b"new"}, swap=swap, validate=command)["changed"]


def test_without_mount_namespaces_the_staged_directory_must_be_named(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config_tree, "MOUNT_AND_RUN", "exit 1")
    server.converge()
    new = {"nginx.conf": b"new"}
    assert "mount namespaces are not allowed here; add %s" in server.refuse(new, validate="true")
    assert "skipped: without %s" in server.converge(new, validate="true", check=True)["notes"][0]
    assert server.converge(new, validate="grep -q new %s/nginx.conf")["changed"]


def test_one_invalid_tree_keeps_all_others_out(server: Server) -> None:
    other = server.tree({"app.env": b"A=1"}, dest=f"{server.etc}/app", validate="false %s")
    result = server.run(server.tree(validate=VALID), other)
    assert f"{server.etc}/app is not valid" in result["msg"]
    assert server.snapshot() == {}


def test_a_missing_validator_is_an_error_unless_in_check_mode(server: Server) -> None:
    message = f"{server.nginx} cannot be validated, and nothing was changed: no-such-tool is not installed"
    assert message == server.refuse(validate="no-such-tool %s")
    result = server.converge(validate="no-such-tool %s", check=True)
    assert result["notes"] == [f"validation of {server.nginx} skipped: no-such-tool is not installed"]


def test_check_mode_validates_too(server: Server) -> None:
    assert f"{server.nginx} is not valid" in server.refuse(validate="grep -q never %s/nginx.conf", check=True)


# Pruning


@SWAPS
def test_pruned_files_go_and_are_kept_elsewhere(server: Server, swap: str) -> None:
    server.converge(swap=swap)
    (server.nginx / "sites-enabled").mkdir()
    (server.nginx / "sites-enabled/default").symlink_to("../sites-available/default")
    (server.nginx / "conf.d/old.conf").write_text("old")
    (server.nginx / "conf.d/old.conf.bak").write_text("kept")
    (server.nginx / "conf.d/.hidden.conf").write_text("kept")
    (server.nginx / "snippets/deep").mkdir(parents=True)
    (server.nginx / "snippets/deep/file").write_text("deep")

    result = server.converge(swap=swap, prune=["sites-enabled/*", "conf.d/*.conf", "snippets"], validate=VALID)

    gone = server.paths("conf.d/old.conf", "sites-enabled/default", "snippets")
    assert result["removed"] == gone
    assert result["paths"] == gone
    assert sorted(path.name for path in server.nginx.rglob("*") if not path.is_dir()) == [
        ".hidden.conf", "nginx.conf", "old.conf.bak", "site.conf",
    ]  # fmt: skip
    kept = Path(f"{result['kept_in']}{server.nginx}")
    assert (kept / "conf.d/old.conf").read_text() == "old"
    assert (kept / "snippets/deep/file").read_text() == "deep"
    assert os.readlink(kept / "sites-enabled/default") == "../sites-available/default"
    assert stat.S_IMODE(os.stat(server.state.path).st_mode) == 0o700


def test_five_generations_of_pruned_files_are_kept(server: Server) -> None:
    kept = []
    for number in range(7):
        server.converge()
        (server.nginx / "conf.d/old.conf").write_text(str(number))
        kept.append(os.path.basename(server.converge(prune=["conf.d/*.conf"])["kept_in"]))
    assert sorted(os.listdir(server.state.pruned)) == kept[2:]


def test_pruning_does_not_reach_through_a_link(server: Server, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/precious.conf").write_text("precious")
    server.converge()
    (server.nginx / "more").symlink_to(tmp_path / "elsewhere")
    assert server.converge(prune=["more/*.conf", "**/precious.conf"])["removed"] == []
    assert (tmp_path / "elsewhere/precious.conf").exists()


# Check mode and diff mode


@SWAPS
def test_check_mode_says_what_a_run_says_and_touches_nothing(server: Server, swap: str) -> None:
    server.converge(swap=swap)
    (server.nginx / "conf.d/old.conf").write_text("old\n")
    wanted = {"files": [{"path": "nginx.conf", "mode": "0600"}], "prune": ["conf.d/*"], "validate": VALID, "swap": swap}
    files = SITE | {"conf.d/site.conf": b"listen 80;\n"}
    times = {path: path.lstat().st_ctime_ns for path in [server.etc, *server.etc.rglob("*")]}

    check = server.converge(files, **wanted, check=True)

    assert {path: path.lstat().st_ctime_ns for path in [server.etc, *server.etc.rglob("*")]} == times
    run = server.converge(files, **wanted)
    assert {name: check[name] for name in ("changed", "paths", "removed", "diff")} == {
        name: run[name] for name in ("changed", "paths", "removed", "diff")
    }


def test_check_mode_makes_no_state_on_a_fresh_server(server: Server) -> None:
    assert server.converge(validate=VALID, check=True)["changed"]
    assert not os.path.exists(server.state.path)
    assert server.snapshot() == {}


def test_the_diff_shows_each_file_under_its_path(server: Server) -> None:
    server.converge()
    (diff,) = server.converge(SITE | {"nginx.conf": b"user www;\n"})["diff"]
    path = f"{server.nginx}/nginx.conf"
    assert diff == {
        "before_header": path, "after_header": path, "before": "include conf.d/*.conf;\n", "after": "user www;\n",
    }  # fmt: skip


SECRETIVE: list[tuple[str, dict[str, Any]]] = [
    ("no_diff of a file", {"files": [{"path": "nginx.conf", "no_diff": True}]}),
    ("no_diff of the tree", {"no_diff": True}),
    ("a mode that not all may read", {"files": [{"path": "nginx.conf", "mode": "0640"}]}),
    ("a directory that not all may enter", {"directory_mode": "0750"}),
]


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize(("why", "options"), SECRETIVE)
def test_secret_content_is_nowhere_in_the_result(
    server: Server, why: str, options: dict[str, Any], check: bool
) -> None:
    server.converge({"nginx.conf": b"hunter1\n"}, **options)
    result = server.converge({"nginx.conf": b"hunter2\n"}, **options, check=check)
    assert result["changed"]
    assert "content hidden" in str(result["diff"])
    assert "hunter" not in str(result), why


def test_a_file_that_was_secret_until_now_is_not_shown(server: Server) -> None:
    server.converge({"nginx.conf": b"hunter1\n"}, mode="0600")
    assert "hunter" not in str(server.converge({"nginx.conf": b"public\n"})["diff"])


@pytest.mark.parametrize("content", [b"\0\1\2", b"caf\xe9\n", bytes(range(256))])
def test_any_bytes_are_copied_and_named_as_binary_in_the_diff(server: Server, content: bytes) -> None:
    result = server.converge({"logo.png": content})
    assert (server.nginx / "logo.png").read_bytes() == content
    assert result["diff"][-1]["after"] == f"(binary, {len(content)} bytes, after)\n"


# Bad input


BAD_OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"dest": "etc/nginx"}, "write an absolute path"),
    ({"dest": "/etc/../nginx"}, "write an absolute path"),
    ({"dest": "/etc/nginx/"}, "write an absolute path"),
    ({"dest": "/"}, "name a directory below it"),
    ({"dest": "/etc"}, "write 'swap: files'"),
    ({"mode": "420"}, "is '420'; write an octal number in quotes"),
    ({"mode": "u=rw"}, "write an octal number"),
    ({"mode": "0888"}, "write an octal number"),
    ({"directory_mode": "755"}, "write an octal number"),
    ({"files": [{"path": "nginx.conf", "mode": "600"}]}, "write an octal number"),
    ({"files": [{"path": "/nginx.conf"}]}, "names '/nginx.conf'; write a path relative to dest"),
    ({"files": [{"path": "../nginx.conf"}]}, "write a path relative to dest"),
    ({"files": [{"path": "conf.d/../nginx.conf"}]}, "write a path relative to dest"),
    ({"files": [{"path": "nginx.cnf"}]}, "names 'nginx.cnf', which src does not hold"),
    ({"prune": ["/etc/*"]}, "names '/etc/*'; write a path relative to dest"),
    ({"prune": ["../*"]}, "write a path relative to dest"),
    ({"prune": [""]}, "write a path relative to dest"),
]


@pytest.mark.parametrize(("options", "message"), BAD_OPTIONS)
def test_bad_options_are_refused(server: Server, options: dict[str, Any], message: str) -> None:
    assert message in server.refuse(**options)


@pytest.mark.parametrize(
    ("outer", "inner"),
    [
        ({"dest": "etc/nginx"}, {"dest": "etc/nginx"}),
        ({"dest": "etc/nginx"}, {"dest": "etc/nginx/conf.d"}),
        ({"dest": "etc/nginx", "swap": "files"}, {"dest": "etc/nginx/conf.d"}),
    ],
)
def test_trees_that_overlap_are_refused(server: Server, outer: dict[str, Any], inner: dict[str, Any]) -> None:
    trees = [server.tree(**options | {"dest": f"{server.etc.parent}/{options['dest']}"}) for options in (outer, inner)]
    for both in (trees, trees[::-1]):
        assert "overlap; make them one, or two tasks" in server.run(*both)["msg"]


def test_a_tree_inside_a_shared_directory_is_no_overlap(server: Server) -> None:
    server.run(server.tree({"motd": b"hi"}, dest=str(server.etc), swap="files"), server.tree())
    assert (server.etc / "motd").read_text() == "hi"
    assert (server.nginx / "nginx.conf").exists()


def test_parts_of_a_role_share_a_directory(server: Server) -> None:
    command = "grep -q {} %s/{}"
    trees = [
        server.tree({name: text}, swap="files", validate=command.format(text.decode(), name))
        for name, text in (("one.nft", b"one"), ("two.nft", b"two"))
    ]
    assert server.run(*trees)["changed"]
    assert sorted(path.name for path in server.nginx.iterdir()) == ["one.nft", "two.nft"]
    assert not server.run(*trees)["changed"]
    trees[1] = server.tree({"two.nft": b"three"}, swap="files", validate=command.format("two", "two.nft"))
    assert "is not valid" in server.run(*trees)["msg"]
    assert (server.nginx / "two.nft").read_text() == "two"


def test_a_file_of_a_shared_directory_is_in_one_tree(server: Server) -> None:
    trees = [server.tree({"app.nft": text}, swap="files") for text in (b"one", b"two")]
    assert "app.nft, and not the same" in server.run(*trees)["msg"]


# Failures half-way


def _fail_at(monkeypatch: pytest.MonkeyPatch, name: str, number: int, code: int) -> list[int]:
    """Let the number-th call of os.<name> fail; the list is filled when it did."""
    real, calls = getattr(os, name), itertools.count(1)
    reached: list[int] = []

    def failing(*args: Any, **kwargs: Any) -> Any:
        if next(calls) == number:
            reached.append(number)
            raise OSError(code, os.strerror(code), args[0])
        return real(*args, **kwargs)

    monkeypatch.setattr(os, name, failing)
    return reached


@SWAPS
@pytest.mark.parametrize("call", ["rename", "link", "mkdir", "chown", "chmod", "fsync", "fchown", "rmdir", "unlink"])
def test_whichever_call_fails_either_nothing_changed_or_all(
    server: Server, monkeypatch: pytest.MonkeyPatch, swap: str, call: str
) -> None:
    app = f"{server.etc}/app"
    old = [server.tree(swap=swap), server.tree({"app.env": b"A=1"}, dest=app, swap="files", directory_mode="0755")]
    new = [
        server.tree(SITE | {"nginx.conf": b"2", "new/file": b"2"}, swap=swap, prune=["conf.d/*"], validate=VALID),
        server.tree({"app.env": b"A=2"}, dest=app, swap="files"),
        server.tree({"file": b"2"}, dest=f"{server.etc}/not/yet", swap=swap),
    ]
    outcomes = []
    for number in itertools.count(1):
        server.run(*old)
        (server.nginx / "conf.d/old.conf").write_text("old")
        before = server.snapshot()
        with monkeypatch.context() as patch:
            reached = _fail_at(patch, call, number, errno.EIO)
            result = server.run(*new, tidy=False)
        if result.get("failed"):
            assert "Input/output error" in result["msg"]
            settled = server.run(*new, check=True, tidy=False)
            assert settled.get("failed") is None
            with server.state.locked():
                server.state.recover()
            assert server.snapshot() == before
        final = server.run(*new)
        assert (server.nginx / "nginx.conf").read_bytes() == b"2"
        assert final["changed"] == bool(result.get("failed"))
        outcomes.append(bool(result.get("failed")))
        shutil.rmtree(server.etc / "not")
        shutil.rmtree(server.nginx / "new")
        if not reached:
            break
    assert outcomes[-1] is False
    assert len(outcomes) > 1, f"no {call} at all"


def test_the_first_directory_is_swapped_back_when_the_second_cannot_be(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    trees = [server.tree({"a": b"old"}, dest=f"{server.etc}/{name}") for name in ("one", "two")]
    server.run(*trees)
    before = server.snapshot()
    real = config_tree_swap.exchange
    swapped: list[bytes] = []

    def failing(one: str, other: str) -> None:
        if other.endswith("/two"):
            swapped.append((server.etc / "one/a").read_bytes())
            raise OSError(errno.EIO, "Input/output error", other)
        real(one, other)

    monkeypatch.setattr(config_tree_swap, "exchange", failing)
    result = server.run(*[server.tree({"a": b"new"}, dest=f"{server.etc}/{name}") for name in ("one", "two")])
    assert "Input/output error" in result["msg"]
    assert swapped == [b"new"], "the first had been swapped"
    assert server.snapshot() == before


@pytest.mark.parametrize("code", sorted(config_tree_swap.UNEXCHANGEABLE))
def test_a_directory_that_cannot_be_exchanged_is_swapped_file_by_file(
    server: Server, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    server.converge()
    (server.nginx / "conf.d/old.conf").write_text("old")
    inode = server.nginx.stat().st_ino

    def unable(one: str, other: str) -> None:
        raise OSError(code, os.strerror(code), one)

    monkeypatch.setattr(config_tree_swap, "exchange", unable)
    result = server.converge(
        SITE | {"nginx.conf": b"new"}, directory_mode="0700", prune=["conf.d/*"], validate=VALID
    )
    assert result["paths"] == server.paths("", "conf.d", "conf.d/old.conf", "nginx.conf")
    assert server.nginx.stat().st_ino == inode
    assert stat.S_IMODE(server.nginx.stat().st_mode) == 0o700
    assert (server.nginx / "nginx.conf").read_bytes() == b"new"
    assert not (server.nginx / "conf.d/old.conf").exists()


def test_where_there_are_no_hard_links_files_are_copied_and_swapped_one_by_one(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.converge()
    (server.nginx / "mime.types").write_text("theirs")

    def unable(source: str, target: str, **_options: Any) -> None:
        raise OSError(errno.EPERM, "Operation not permitted", source)

    monkeypatch.setattr(config_tree_stage.os, "link", unable)
    server.converge(SITE | {"nginx.conf": b"new"}, validate="grep -q theirs %s/mime.types")
    assert (server.nginx / "nginx.conf").read_bytes() == b"new"
    assert (server.nginx / "mime.types").read_text() == "theirs"


def test_a_mount_below_dest_is_never_exchanged_away(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.converge()
    (server.nginx / "mounted").mkdir()
    (server.nginx / "mounted/data").write_text("data")
    inode = server.nginx.stat().st_ino
    monkeypatch.setattr(config_tree_swap, "mount_points", lambda: ["/", f"{server.nginx}/mounted"])
    server.converge(SITE | {"nginx.conf": b"new"})
    assert server.nginx.stat().st_ino == inode
    assert "something is mounted there" in server.refuse(SITE | {"nginx.conf": b"new"}, prune=["mounted"])
    assert (server.nginx / "mounted/data").exists()


def test_mount_points_with_blanks_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "/" in config_tree_swap.mount_points()
    assert "/proc" in config_tree_swap.mount_points()


def test_somebody_elses_change_while_staging_is_not_lost(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.converge()

    def meanwhile(*_args: Any) -> None:
        (server.nginx / "conf.d/package.conf").write_text("theirs\n")

    monkeypatch.setattr(config_tree.Host, "validate", meanwhile)
    result = server.run(server.tree(SITE | {"nginx.conf": b"new"}, validate=VALID))
    assert "was changed by somebody else meanwhile" in result["msg"]
    assert (server.nginx / "conf.d/package.conf").read_text() == "theirs\n"
    assert (server.nginx / "nginx.conf").read_bytes() == SITE["nginx.conf"]


def test_two_runs_do_not_interleave(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.converge()
    monkeypatch.setattr(config_tree_swap, "LOCK_TIMEOUT", 0)
    with open(f"{server.state.path}/lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "another run has held" in server.refuse(SITE | {"nginx.conf": b"new"})
        assert server.converge(SITE | {"nginx.conf": b"new"}, check=True)["changed"]
    assert server.converge(SITE | {"nginx.conf": b"new"})["changed"]


@SWAPS
def test_two_thousand_files_take_seconds(server: Server, swap: str) -> None:
    many = {f"{number % 20}/{number}.conf": f"listen {number};\n".encode() * 20 for number in range(2000)}
    start = time.monotonic()
    assert len(server.converge(many, swap=swap)["paths"]) == 2021
    assert len(server.converge(many | {"0/0.conf": b"new"}, swap=swap)["paths"]) == 1
    assert server.converge(many, swap=swap, check=True)["changed"]
    assert time.monotonic() - start < 20
