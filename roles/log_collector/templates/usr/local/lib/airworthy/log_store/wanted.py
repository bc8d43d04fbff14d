# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which records a user asks for, and which lines need not be parsed to know that they are none of these."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from period import Period

LEVELS = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
BEGIN = re.compile(rb'\{"time":"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z)"')
TIMES = re.compile(rb'"time":"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z)"')
NEVER_ESCAPED = re.compile(r"[\w.:@=+-]+", re.ASCII)  # in JSON, whoever writes it


@dataclass(frozen=True)
class Wanted:
    period: Period
    hosts: Sequence[str] = ()  # patterns as of a shell; none: all
    programs: Sequence[str] = ()
    request_id: str = ""
    id: str = ""
    level: str = ""  # that or worse
    match: re.Pattern[str] | None = None

    @property
    def are_few(self) -> bool:
        return bool(self.request_id or self.id)

    def host(self, name: str) -> bool:
        return is_one_of(name, self.hosts)

    def program(self, name: str) -> bool:
        return is_one_of(name, self.programs)

    def has(self, record: dict[str, Any], time: str) -> bool:
        return (
            self.period.since <= time < self.period.until
            and (not self.request_id or record.get("request_id") == self.request_id)
            and (not self.id or record.get("id") == self.id)
            and (not self.level or is_as_bad_as(record, self.level))
            and (not self.match or any(self.match.search(text) for text in texts(record)))
        )

    def line_filter(self) -> Callable[[bytes], bool]:
        """False of a line without such a record; True says nothing."""
        needles = [text.encode() for text in (self.request_id, self.id) if text and NEVER_ESCAPED.fullmatch(text)]
        levels = [f'"{level}"'.encode() for level in LEVELS[: LEVELS.index(self.level) + 1]] if self.level else []
        is_in_time = may_be_in(self.period)

        def may_have(line: bytes) -> bool:
            if any(needle not in line for needle in needles):
                return False
            if levels and not any(level in line for level in levels):
                return False
            return is_in_time(line)

        if len(needles) == 1 and not levels:  # the usual case of a long search, in which each step counts
            needle = needles[0]
            return lambda line: needle in line and is_in_time(line)
        return may_have


def may_be_in(period: Period) -> Callable[[bytes], bool]:
    """Whether a line may hold a record of that time. Where a record is glued to another there are two times."""
    since, until = period.since.encode(), period.until.encode()

    def is_in_time(line: bytes) -> bool:
        begin = BEGIN.match(line)
        if not begin or since <= begin[1] < until:
            return True
        return any(since <= time < until for time in TIMES.findall(line))

    return is_in_time


def is_one_of(name: str, patterns: Sequence[str]) -> bool:
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)


def is_as_bad_as(record: dict[str, Any], level: str) -> bool:
    said = record.get("level")
    return said in LEVELS and LEVELS.index(said) <= LEVELS.index(level)


def texts(record: dict[str, Any]) -> list[str]:
    """Its message, and the fields as JSON if it has any."""
    fields = record.get("fields")
    told = [json.dumps(fields, ensure_ascii=False)] if fields else []
    return [str(record.get("message", "")), *told]
