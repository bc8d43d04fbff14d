# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rule is: a pattern, what it is for, and what stands in the place of what it finds."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

# Of a match: from where to where the text is replaced, and by what. An empty span says that nothing is, and that the
# search goes on there.
Found = tuple[int, int, str]
Finder = Callable[[re.Match[str]], Found]

# The start of a word, also after an escape such as \n in a text that is quoted in another one.
WORD = r"(?:(?<![\w-])|(?<=\\[nrt]))"


@dataclass(frozen=True)
class Rule:
    """Patterns take linear time: what they repeat is bounded, or starts only where nothing of the kind stands before.

    `needs` are texts in lower case. Where none of them stands in a text, the pattern finds nothing and is not asked.
    """

    name: str
    pattern: re.Pattern[str]
    replacement: str = ""
    needs: tuple[str, ...] = ()
    find: Finder | None = None  # in place of `replacement`, where a pattern alone can't tell

    def applied(self, text: str) -> tuple[str, int]:
        """The text after this rule, and how much it replaced."""
        if self.find is None:
            return self.pattern.subn(self.replacement, text)
        parts, copied, position = [], 0, 0
        while match := self.pattern.search(text, position):
            start, end, new = self.find(match)
            if text[start:end] != new:
                parts += [text[copied:start], new]
                copied = end
            position = max(end, match.start() + 1)
        return ("".join([*parts, text[copied:]]), len(parts) // 2) if parts else (text, 0)


def nothing(match: re.Match[str]) -> Found:
    """The match was none; its inside is looked at again."""
    return match.start(), match.start(), ""


def without_escape(text: str, start: int) -> int:
    r"""Where a word begins that the search took to begin at `start`: the n of a quoted \n is no part of it."""
    return start + 1 if text[start - 1 : start] == "\\" and text[start : start + 1] in ("n", "r", "t") else start
