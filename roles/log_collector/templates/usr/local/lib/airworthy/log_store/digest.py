# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What went wrong: errors of all programs and requests that failed, of each kind how many, since when and where."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import display
import kinds
from period import Period
from search import Entry, Search
from wanted import Wanted, is_as_bad_as, may_be_in

MOST = 1000  # kinds; what comes after them is counted together
EXAMPLE = 500  # characters of it
WORST = (b'"err"', b'"crit"', b'"alert"', b'"emerg"')
FAILED = re.compile(rb'"status": ?"?[5-9]\d\d\b')
REQUESTS = "nginx-access"


@dataclass
class Kind:
    program: str
    text: str
    count: int = 0
    first: str = ""
    last: str = ""
    hosts: set[str] = field(default_factory=set)
    example: str = ""
    request_id: str = ""  # of the example

    def add(self, entry: Entry) -> None:
        self.count += 1
        self.first, self.last = min(self.first or entry.time, entry.time), max(self.last, entry.time)
        self.hosts.add(entry.host)
        request_id = str(entry.record.get("request_id") or "")
        if self.count == 1 or (request_id and not self.request_id):
            self.request_id, self.example = request_id, display.said(entry.record)[:EXAMPLE]

    def told(self) -> dict[str, Any]:
        return {
            "program": self.program, "kind": self.text, "count": self.count, "first": self.first, "last": self.last,
            "hosts": sorted(self.hosts), "example": self.example, "request_id": self.request_id,
        }  # fmt: skip


@dataclass
class Digest:
    """`kinds` from the most frequent on; `others` counts what is of none of these."""

    period: Period
    kinds: list[Kind]
    others: int

    def told(self) -> dict[str, Any]:
        return {**self.period._asdict(), "kinds": [kind.told() for kind in self.kinds], "others": self.others}


def made(root: Path, period: Period, identity: bytes | None = None) -> tuple[Digest, int]:
    """The digest, and how many logs could not be read wholly."""
    search = Search(root, Wanted(period), identity)
    return counted(search.unordered(line_filter(period)), period), search.problems


def counted(entries: Iterable[Entry], period: Period) -> Digest:
    found: dict[tuple[str, str], Kind] = {}
    others = 0
    for entry in entries:
        is_request = failed_request(entry.record)
        if not is_request and not is_as_bad_as(entry.record, "err"):
            continue
        program, text = str(entry.record.get("program", "-")), kinds.of(entry.record, is_request)
        if (program, text) not in found and len(found) >= MOST:
            others += 1
            continue
        found.setdefault((program, text), Kind(program, text)).add(entry)
    ordered = sorted(found.values(), key=lambda kind: (-kind.count, kind.program, kind.text))
    return Digest(period, ordered, others)


def failed_request(record: dict[str, Any]) -> bool:
    if record.get("program") != REQUESTS or not isinstance(fields := record.get("fields"), dict):
        return False
    try:
        return int(fields.get("status", 0)) >= 500
    except (TypeError, ValueError):
        return False


def line_filter(period: Period) -> Callable[[bytes], bool]:
    is_in_time = may_be_in(period)
    return lambda line: (any(level in line for level in WORST) or bool(FAILED.search(line))) and is_in_time(line)


def as_table(digest: Digest) -> str:
    """Two lines for each kind: figures, then an example."""
    if not digest.kinds:
        return f"No errors from {digest.period.since} until {digest.period.until}."
    lines = [f"{'count':>8}  {'first':<20}  {'last':<20}  program: kind (hosts)"]
    for kind in digest.kinds:
        what = display.printable(f"{kind.program}: {kind.text} ({', '.join(sorted(kind.hosts))})")
        lines.append(f"{kind.count:>8}  {kind.first[:19]}Z  {kind.last[:19]}Z  {what}")
        request = f" request_id {kind.request_id}" if kind.request_id else ""
        lines.append(display.printable(f"{'':>10}e.g. {kind.example[:160]}{request}"))
    if digest.others:
        lines.append(f"{digest.others:>8}  of other kinds")
    return "\n".join(lines)
