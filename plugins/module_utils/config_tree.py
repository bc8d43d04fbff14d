# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What both halves of config_tree agree on: the options, and how rendered trees travel."""

from __future__ import annotations

import base64
import json
import posixpath
import re
import zlib
from dataclasses import dataclass, field
from typing import Any

MODE = re.compile(r"0[0-7]{3,4}")


class TreeError(Exception):
    """A tree cannot be made as asked; the text is for the person who wrote the task."""


@dataclass
class Rendered:
    """A source directory with every template rendered; paths are relative to it."""

    directories: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict, repr=False)
    secret: list[str] = field(default_factory=list)  # came out of an encrypted file


def tree_options(required: bool) -> dict[str, Any]:
    """The options of one tree; on the task itself they are the defaults of its trees."""
    return {
        "src": {"type": "str", "required": required},
        "dest": {"type": "str", "required": required},
        "owner": {"type": "str"},
        "group": {"type": "str"},
        "mode": {"type": "str", "default": "0644"},
        "directory_mode": {"type": "str", "default": "0755"},
        "no_diff": {"type": "bool", "default": False},
        "files": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "path": {"type": "str", "required": True},
                "owner": {"type": "str"},
                "group": {"type": "str"},
                "mode": {"type": "str"},
                "no_diff": {"type": "bool"},
            },
        },
        "prune": {"type": "list", "elements": "str", "default": []},
        "validate": {"type": "str"},
        "swap": {"type": "str", "choices": ["directory", "files"], "default": "directory"},
    }


def pack(trees: list[Rendered]) -> str:
    """Rendered trees as one printable string."""
    plain = [
        {
            "directories": tree.directories,
            "files": {path: base64.b64encode(content).decode() for path, content in tree.files.items()},
            "secret": tree.secret,
        }
        for tree in trees
    ]
    return base64.b64encode(zlib.compress(json.dumps(plain).encode(), 1)).decode()


def unpack(payload: str) -> list[Rendered]:
    """The inverse of pack()."""
    return [
        Rendered(
            directories=tree["directories"],
            files={path: base64.b64decode(content) for path, content in tree["files"].items()},
            secret=tree["secret"],
        )
        for tree in json.loads(zlib.decompress(base64.b64decode(payload)))
    ]


def check_options(tree: dict[str, Any]) -> None:
    """Refuse options that are wrong whatever the server looks like."""
    dest = tree["dest"]
    if not dest.startswith("/") or posixpath.normpath(dest) != dest:
        raise TreeError(f"dest is {dest!r}; write an absolute path without '..', '//' or a '/' at its end")
    if dest == "/":
        raise TreeError("dest is '/'; name a directory below it")
    if tree["swap"] == "directory" and dest.count("/") == 1:
        raise TreeError(f"dest is {dest!r}, too much to exchange as a whole; write 'swap: files'")
    for option in ("mode", "directory_mode"):
        _check_mode(f"{option} of {dest}", tree[option])
    for exception in tree["files"]:
        _check_relative(f"files of {dest}", exception["path"])
        if exception["mode"] is not None:
            _check_mode(f"mode of {dest}/{exception['path']}", exception["mode"])
    for pattern in tree["prune"]:
        _check_relative(f"prune of {dest}", pattern)


def _check_mode(what: str, mode: str) -> None:
    if not MODE.fullmatch(mode):
        raise TreeError(f"{what} is {mode!r}; write an octal number in quotes, such as \"0644\"")


def _check_relative(what: str, path: str) -> None:
    if path.startswith("/") or ".." in path.split("/") or posixpath.normpath(path) != path or path == ".":
        raise TreeError(f"{what} names {path!r}; write a path relative to dest, without '..'")
