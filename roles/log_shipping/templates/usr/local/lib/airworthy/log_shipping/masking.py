# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes secrets and personal data out of log records before they leave the host.

Masks are constant texts in square brackets. They are no hashes: of an address that can be guessed, a hash tells all.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from masking_base import Rule
from masking_names import kind, ordinary
from masking_numbers import is_card
from masking_rules import BUILT_IN
from masking_sql import literals

__all__ = ["Masker", "Rule"]

OF_THE_SHIPPER = frozenset({"time", "host", "program", "id", "request_id", "unit", "pid", "level"})
STATEMENTS = frozenset({"statement", "query", "internal_query", "sql"})
DEEPEST = 40  # levels of a record; what lies beneath is left out
# A short text without one of these has nothing for a built-in rule.
SIGNS, SHORT = re.compile(r"[@?=:%'\"$\\({\[-]"), 12
OWN = ("name", "pattern", "replacement")


class Masker:
    """`counts` tells how much each rule has replaced since the start."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = tuple(rules)
        self.counts: Counter[str] = Counter()
        self.always = any(not rule.needs for rule in self.rules)

    @classmethod
    def of(cls, own: list[dict[str, str]]) -> Masker:
        """The built-in rules, then the user's own. ValueError names the wrong rule, and what is wrong with it."""
        rules = list(BUILT_IN)
        for number, entry in enumerate(own, 1):
            rules.append(own_rule(entry, number, {rule.name for rule in rules}))
        return cls(rules)

    def mask(self, record: dict[str, Any]) -> dict[str, Any]:
        """A new record with every text masked. What the shipper itself has put at the top stays as it is."""
        return {
            name: value if name in OF_THE_SHIPPER else self.entry(name, value, 1) for name, value in record.items()
        }

    def entry(self, name: str, value: Any, depth: int) -> Any:
        """A value, by its name first."""
        if mask := kind(name):
            if value is None or isinstance(value, bool) or value in ("", [], {}, mask):
                return value
            if not isinstance(value, str) or not ordinary(name, value):
                self.counts["named"] += 1
                return mask
            return value
        if name in STATEMENTS and isinstance(value, str):
            return self.statement(value)
        return self.value(value, depth)

    def value(self, value: Any, depth: int) -> Any:
        if isinstance(value, str):
            return self.text(value, depth)
        if isinstance(value, (dict, list)) and value:
            if depth > DEEPEST:
                self.counts["depth"] += 1
                return "[too deep]"
            if isinstance(value, list):
                return [self.value(item, depth + 1) for item in value]
            return {self.text(name, DEEPEST): self.entry(name, item, depth + 1) for name, item in value.items()}
        if isinstance(value, int) and 10**12 <= value < 10**19 and is_card(str(value)):
            self.counts["card"] += 1
            return "[card]"
        return value

    def statement(self, text: str) -> str:
        """A field that holds a statement, or a query string."""
        if " " not in text and "=" in text and "'" not in text:
            new = "[query]"
        elif (new := literals(text)) == text:
            return self.text(text, DEEPEST)
        self.counts["query" if new == "[query]" else "literal"] += 1
        return self.text(new, DEEPEST)

    def text(self, text: str, depth: int = 1) -> str:
        if len(text) <= SHORT and not self.always and not SIGNS.search(text):
            return text
        if text[:1] in ("{", "[") and depth < DEEPEST and (parsed := self.json(text, depth)) is not None:
            return parsed
        lower = text.lower()
        for rule in self.rules:
            for needed in rule.needs:
                if needed in lower:
                    break
            else:
                if rule.needs:
                    continue
            text, count = rule.applied(text)
            if count:
                self.counts[rule.name] += count
                lower = text.lower()
        return text

    def json(self, text: str, depth: int) -> str | None:
        """A text that is JSON is masked as what it says, and stays JSON. None where it is none after all."""
        try:
            said = json.loads(text, object_pairs_hook=unique)
            masked = self.value(said, depth + 1)
            if masked == said:
                return text
            escape = text.isascii() or "\\u" in text
            tight = None if ": " in text or ", " in text else (",", ":")
            return json.dumps(masked, ensure_ascii=escape, separators=tight)
        except (ValueError, RecursionError):
            return None


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of a name that comes twice one value would go unseen."""
    if len(found := dict(pairs)) < len(pairs):
        raise ValueError("a name comes twice")
    return found


def own_rule(entry: dict[str, str], number: int, taken: set[str]) -> Rule:
    name = entry.get("name") or ""
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"masking rule {number} has no name")
    for key in OWN:
        if not isinstance(entry.get(key), str):
            raise ValueError(f"masking rule {name}: {key} is missing, or no text")
    if unknown := sorted(set(entry) - set(OWN)):
        raise ValueError(f"masking rule {name}: there is no {', '.join(unknown)}, only {', '.join(OWN)}")
    if name in taken:
        raise ValueError(f"masking rule {name}: the name is taken already")
    try:
        pattern = re.compile(entry["pattern"])
        pattern.sub(entry["replacement"], "")
    except (re.error, IndexError, OverflowError, RecursionError) as error:
        raise ValueError(f"masking rule {name}: {error}") from error
    if any(found.end() == found.start() for text in ("", "a", "0 @-.A") for found in pattern.finditer(text)):
        raise ValueError(f"masking rule {name}: its pattern matches where nothing stands")
    return Rule(name, pattern, entry["replacement"])
