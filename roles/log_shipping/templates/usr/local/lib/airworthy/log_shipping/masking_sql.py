# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Postgres quotes of its data: rows, keys, parameters, the literals of statements."""

from __future__ import annotations

import re

from masking_base import Found, nothing

# Where a statement begins in a text. What Postgres, pgaudit and auto_explain write before it, or its own first words.
STATEMENT = re.compile(
    r"\b(?:statement: |(?:(?<=ms  )|(?<=LOG:  )|(?<![^\n]))(?:execute|parse|bind) (?!error)(?:fetch from )?\S{1,80}: "
    r"|query text: |sql (?:statement|expression) \\{0,3}\""
    r"|parameters: (?=\$\d)|AUDIT: (?:SESSION|OBJECT),\d+,\d+(?:,[^,\n]{0,200}){4},\"?"
    r"|insert\s{1,8}into\s|update\s{1,8}\S{1,200}\s{1,8}set\s|delete\s{1,8}from\s|merge\s{1,8}into\s"
    r"|(?:create|alter)\s{1,8}(?:role|user)\s"
    r"|select\s(?=(?s:.){0,300}?\sfrom\s)|(?-i:SELECT)\s)",
    re.IGNORECASE,
)
STATEMENT_NEEDS = ("statement", "execute", "parse", "bind", "query text", "sql ", "parameters: $", "audit: ", "insert",
                   "update", "delete", "merge", "role", "user", "select")  # fmt: skip
# All that a quotation mark can be part of. A comment that goes on to the end of its line is masked like a literal:
# where line breaks were lost it would hide the rest of the statement, and with an apostrophe turn it inside out.
TOKEN = re.compile(
    r"(?P<block>/\*(?:[^*]++|\*(?!/))*+(?:\*/)?)|(?P<line>--[^\n]*+)|(?P<identifier>\"[^\"]*+\"?)"
    r"|(?P<escaped>(?<!\w)[eE]'(?:[^'\\]++|\\.|'')*+)|(?P<literal>'(?:[^']++|'')*+)"
    r"|(?P<dollar>(?<![\w$])\$(?:[A-Za-z_]\w{0,62})?\$)",
    re.DOTALL,
)

DETAIL = re.compile(r"\)=\((?!\[value\]\))")
DETAIL_END = re.compile(r"\)(?= (?:already exists|is not present|is still referenced|is duplicated|conflicts with))")
ROW = re.compile(r"failing row contains \((?!\[row\]\))", re.IGNORECASE)
ROW_END = re.compile(r"\)\.?(?=\s*$|['\"`\\\n])")
# PL/pgSQL, COPY and casts quote what they could not read.
INPUT = re.compile(
    r"(?:(?<!\w)COPY \S{1,200}, line \d{1,19}(?:, column \S{1,200})?: "
    r"|invalid input (?:syntax|value) for (?:type|enum) [\w .\\\"]{1,80}: |date/time field value out of range: )"
    r"(\\{0,3})\"(?!\[value\])",
    re.IGNORECASE,
)
# With pgaudit.log_parameter, what follows the statement. With Drizzle, what follows the query.
AUDITED = re.compile(
    r"AUDIT: (?:SESSION|OBJECT),\d+,\d+(?:,[^,\n]{0,200}){4},(?:\"(?:[^\"]++|\"\")*+\"|[^,\"\n]*+),(?!<n|\[value\])"
)
DRIZZLE = re.compile(r"(?:^|(?<=\n)|(?<=\\n))params: (?!\[value\])", re.IGNORECASE)
LINE = re.compile(r"(?:[^\r\n\\]|\\(?!n))*+")


def literals(text: str, start: int = 0) -> str:
    """The text with the literals from `start` on masked: what is cut off within one is masked to its end."""
    parts, copied = [], start
    while token := TOKEN.search(text, start):
        start, end = token.span()
        kind, new, closing = token.lastgroup, "", ""
        if kind == "dollar":
            found = text.find(token.group(), end)
            closing = token.group() if found >= 0 else ""
            new = token.group() + ("[value]" if found != end else "") + closing
            end = found + len(closing) if found >= 0 else len(text)
        elif kind == "line":
            new = "--[comment]" if token.group().strip(" -") else token.group()
        elif kind in ("literal", "escaped"):
            closing = text[end : end + 1]
            end += len(closing)
            opening = token.group().partition("'")[0] + "'"
            member = text.endswith(("->", "->>"), max(0, start - 3), start)
            new = text[start:end] if member or end - start == len(opening + closing) else f"{opening}[value]{closing}"
        if new:
            parts += [text[copied:start], new]
            copied = end
        start = end
    return "".join([*parts, text[copied:]])


def statement(match: re.Match[str]) -> Found:
    text, start = match.string, match.end()
    return start, len(text), literals(text, start)


def detail(match: re.Match[str]) -> Found:
    """`Key (email)=(…) already exists`, and the like for foreign keys and exclusions."""
    text, start = match.string, match.end()
    before = text[max(0, start - 400) : start].lower()
    if "key (" not in before:
        return nothing(match)
    ending = DETAIL_END.search(text, start, start + 4096) or ROW_END.search(text, start)
    return start, ending.start() if ending else len(text), "[value]"


def row(match: re.Match[str]) -> Found:
    ending = ROW_END.search(match.string, match.end())
    return match.end(), ending.start() if ending else len(match.string), "[row]"


def unreadable(match: re.Match[str]) -> Found:
    """Values are cut off where they are long, but their quotation marks are not doubled."""
    text, mark = match.string, match[1] + '"'
    lines = text.find("\n", match.end())
    ending = text.rfind(mark, match.end(), lines if lines >= 0 else len(text))
    return match.end(), ending if ending >= 0 else len(text), "[value]"


def to_the_end(match: re.Match[str]) -> Found:
    ending = LINE.match(match.string, match.end())
    return match.end(), ending.end() if ending else match.end(), "[value]"
