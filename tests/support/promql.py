"""What tests need to know of an expression of PromQL, which no Prometheus of Debian takes apart for others."""

from __future__ import annotations

import re

STRINGS_AND_SELECTORS = re.compile(r"\"[^\"]*\"|'[^']*'|\{[^}]*\}|\[[^\]]*\]")
LABELS = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
NAME = re.compile(r"(?<![\w:.])[a-zA-Z_:][\w:]*(?!\s*\()(?![\w:])")
OPERATORS = {"and", "or", "unless", "bool", "offset", "group_left", "group_right", "atan2", "Inf", "NaN"}


def series_in(expression: str) -> set[str]:
    """The names of the series that it reads."""
    bare = LABELS.sub(" ", STRINGS_AND_SELECTORS.sub(" ", expression))
    return set(NAME.findall(bare)) - OPERATORS
