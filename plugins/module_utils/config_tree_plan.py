# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is on the server, what is wanted, and the difference between the two."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from ansible_collections.airworthy.stack.plugins.module_utils.config_tree import Rendered, TreeError

UNKNOWN = -1  # the id of an owner who does not exist yet; chown() takes it for "leave it"
DIFF_LIMIT = 100_000


@dataclass(frozen=True)
class Node:
    """A file or directory, as found or as wanted."""

    kind: str  # "file", "directory", or a name for what is in the way
    mode: int = 0
    uid: int = UNKNOWN
    gid: int = UNKNOWN
    content: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class Tree:
    """A tree as wanted; the paths of nodes and secret are relative to dest, which itself is ''."""

    dest: str
    nodes: dict[str, Node] = field(repr=False)
    swap: str = "directory"
    prune: tuple[str, ...] = ()
    validate: tuple[tuple[str, ...], ...] = ()  # commands, each in words
    secret: frozenset[str] = frozenset()

    def path(self, relative: str) -> str:
        return f"{self.dest}/{relative}" if relative else self.dest


@dataclass(frozen=True)
class Change:
    """One path that is not as wanted; before is None for a new one, after for one that goes."""

    relative: str
    path: str
    before: Node | None
    after: Node | None
    secret: bool


@dataclass(frozen=True)
class Plan:
    tree: Tree
    changes: list[Change]


def wanted(options: dict[str, Any], rendered: Rendered, uid: Callable[[str], int], gid: Callable[[str], int]) -> Tree:
    """The tree that options and rendered files describe; uid and gid find the ids of names."""
    exceptions = {exception["path"]: exception for exception in options["files"]}
    if stray := sorted(exceptions.keys() - rendered.files.keys()):
        held = ", ".join(rendered.files)
        raise TreeError(f"files of {options['dest']} names {stray[0]!r}, which src does not hold; it holds {held}")
    owner = uid(options["owner"]) if options["owner"] else os.geteuid()
    group = gid(options["group"]) if options["group"] else os.getegid()
    nodes = {
        path: Node("directory", int(options["directory_mode"], 8), owner, group) for path in ["", *rendered.directories]
    }
    secret = set(rendered.secret)
    for path, content in rendered.files.items():
        own = exceptions.get(path, {})
        nodes[path] = Node(
            "file",
            int(own.get("mode") or options["mode"], 8),
            uid(own["owner"]) if own.get("owner") else owner,
            gid(own["group"]) if own.get("group") else group,
            content,
        )
        if options["no_diff"] if own.get("no_diff") is None else own["no_diff"]:
            secret.add(path)
    if not int(options["directory_mode"], 8) & stat.S_IXOTH:
        secret.update(rendered.files)
    return Tree(
        dest=options["dest"],
        nodes=dict(sorted(nodes.items())),
        swap=options["swap"],
        prune=tuple(options["prune"]),
        validate=(tuple(shlex.split(options["validate"])),) if options["validate"] else (),
        secret=frozenset(secret),
    )


def join_shared(trees: list[Tree]) -> list[Tree]:
    """One tree for each shared directory, to which several parts of a role may contribute. A path is one part's."""
    joined: list[Tree] = []
    for tree in trees:
        place = next((n for n, other in enumerate(joined) if other.dest == tree.dest), None)
        if place is None or tree.swap != "files" or joined[place].swap != "files":
            joined.append(tree)
            continue
        other = joined[place]
        both = tree.nodes.keys() & other.nodes.keys()
        if twice := sorted(path for path in both if tree.nodes[path] != other.nodes[path]):
            raise TreeError(f"two trees both hold {tree.path(twice[0])}, and not the same")
        joined[place] = replace(
            other,
            nodes=dict(sorted((other.nodes | tree.nodes).items())),
            prune=(*other.prune, *tree.prune),
            validate=(*other.validate, *tree.validate),
            secret=other.secret | tree.secret,
        )
    return joined


def refuse_overlaps(trees: list[Tree]) -> None:
    """Two trees of a transaction must not both own a path."""
    for inner in trees:
        for outer in trees:
            if inner is outer or not f"{inner.dest}/".startswith(f"{outer.dest}/"):
                continue
            top = inner.dest[len(outer.dest) + 1 :].split("/")[0]
            if outer.swap == "directory" or not top or top in outer.nodes:
                raise TreeError(f"the trees {outer.dest} and {inner.dest} overlap; make them one, or two tasks")


def look(path: str) -> Node | None:
    """What is at a path, without following a symbolic link there."""
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if stat.S_ISLNK(status.st_mode):
        return Node("symbolic link")
    attributes = (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)
    if stat.S_ISDIR(status.st_mode):
        return Node("directory", *attributes)
    if not stat.S_ISREG(status.st_mode):
        return Node("special file")
    with open(path, "rb") as file:
        return Node("file", *attributes, file.read())


def observe(tree: Tree) -> dict[str, Node]:
    """What is at the tree's paths, and what its prune patterns match beside them."""
    found = {path: look(tree.path(path)) for path in tree.nodes}
    root = found[""]
    if tree.prune and root and root.kind == "directory":
        found |= {path: look(tree.path(path)) for path in _prunable(tree, "")}
    return {path: node for path, node in found.items() if node}


def _prunable(tree: Tree, directory: str) -> Iterator[str]:
    for entry in sorted(os.scandir(tree.path(directory)), key=lambda entry: entry.name):
        path = f"{directory}/{entry.name}" if directory else entry.name
        if path not in tree.nodes and any(matches(path, pattern) for pattern in tree.prune):
            yield path
        elif entry.is_dir(follow_symlinks=False):
            yield from _prunable(tree, path)


def matches(path: str, pattern: str) -> bool:
    """Match as a shell does: '*' stays within a name and skips hidden ones, '**' is any number of directories."""
    return _matches(path.split("/"), pattern.split("/"))


def _matches(names: list[str], patterns: list[str]) -> bool:
    if not patterns:
        return not names
    if patterns[0] == "**":
        return _matches(names, patterns[1:]) or (
            bool(names) and not names[0].startswith(".") and _matches(names[1:], patterns)
        )
    if not names or (names[0].startswith(".") and not patterns[0].startswith(".")):
        return False
    return fnmatchcase(names[0], patterns[0]) and _matches(names[1:], patterns[1:])


def judge(tree: Tree, found: dict[str, Node]) -> Plan:
    """What must change to make the found tree the wanted one."""
    changes: list[tuple[str, Node | None, Node | None]] = []
    for relative, after in tree.nodes.items():
        before = found.get(relative)
        if before and before.kind != after.kind:
            raise TreeError(
                f"{tree.path(relative)} is a {before.kind}, and a {after.kind} is wanted there; "
                "nothing was changed, move it away"
            )
        shared = tree.swap == "files" and after.kind == "directory"
        if not before or (before != after and not shared):
            changes.append((relative, before, after))
    changes += [(relative, before, None) for relative, before in found.items() if relative not in tree.nodes]
    return Plan(
        tree,
        [
            Change(relative, tree.path(relative), before, after, _secret(tree, relative, before, after))
            for relative, before, after in sorted(changes, key=lambda change: change[0])
        ],
    )


def _secret(tree: Tree, relative: str, before: Node | None, after: Node | None) -> bool:
    """A file that not everybody may read, now or then, is not shown to everybody who reads a log."""
    return relative in tree.secret or any(
        node.kind == "file" and not node.mode & stat.S_IROTH for node in (before, after) if node
    )


def diffs(change: Change) -> list[dict[str, str]]:
    """The change as Ansible shows it: the content, then the attributes where both were there before."""
    before, after = change.before, change.after
    shown = []
    if not (before and after and before.content == after.content):
        shown.append({"before": _text(change, before, "before"), "after": _text(change, after, "after")})
    if before and after and _attributes(before) != _attributes(after):
        shown.append({"before": _attributes(before), "after": _attributes(after)})
    return [{"before_header": change.path, "after_header": change.path, **pair} for pair in shown]


def _text(change: Change, node: Node | None, when: str) -> str:
    if node is None:
        return ""
    if node.kind != "file":
        return f"({node.kind})\n"
    if change.secret:
        return f"(content hidden, {when})\n"
    try:
        text = node.content.decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        return f"(binary, {len(node.content)} bytes, {when})\n"
    if len(text) > DIFF_LIMIT:
        return f"({len(node.content)} bytes, too many to show, {when})\n"
    return text


def _attributes(node: Node) -> str:
    return f"(mode {node.mode:04o}, uid {node.uid}, gid {node.gid})\n"
