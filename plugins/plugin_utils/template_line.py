# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Finds the line of a template that does not render, which Ansible's own errors do not tell."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable

from jinja2 import Environment

ENDED = {"autoescape", "block", "call", "filter", "for", "if", "macro", "trans", "with"}


def failing_line(text: str, fails: Callable[[str], bool]) -> int:
    """The line of the first tag with which the template, up to and including it, fails; 0 if it never does."""
    beginnings = prefixes(text)
    first = bisect_left(beginnings, True, key=lambda beginning: fails(beginning[1]))
    return beginnings[first][0] if first < len(beginnings) else 0


def prefixes(text: str) -> list[tuple[int, str]]:
    """For each tag its line, and the template up to it with all open blocks closed."""
    found = []
    open_blocks: list[str] = []
    so_far = ""
    tag: list[tuple[str, str]] = []
    start = 0
    lexer = Environment(keep_trailing_newline=True)  # noqa: S701  nothing is rendered by it
    for line, kind, value in lexer.lex(text):
        so_far += value
        if kind in ("variable_begin", "block_begin"):
            start, tag = line, []
        elif kind in ("variable_end", "block_end"):
            if kind == "block_end":
                _follow(tag, open_blocks)
            found.append((start, so_far + "".join(f"{{% end{name} %}}" for name in reversed(open_blocks))))
        elif kind != "whitespace":
            tag.append((kind, value))
    return found


def _follow(tag: list[tuple[str, str]], open_blocks: list[str]) -> None:
    name = tag[0][1]
    if name.startswith("end"):
        open_blocks.pop()
    elif name in ENDED or (name == "set" and ("operator", "=") not in tag):
        open_blocks.append(name)
