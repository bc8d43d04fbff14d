# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What all systems have in common to which records go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from entries import Entry


class Misconfigured(OSError):
    """It answers, and would always answer like that: an address, a user or a right is wrong. No record is to blame."""


class Rejected(Exception):
    """It does not take what was sent, because of a record in it or of its size."""


@dataclass
class Outcome:
    again: list[Entry] = field(default_factory=list)  # that are to be sent once more
    refused: list[tuple[Entry, str]] = field(default_factory=list)  # for good, and why


class Sink(Protocol):
    def deliver(self, entries: Sequence[Entry]) -> Outcome:
        """Returns when it has them. OSError if it is away, Rejected if it does not take these."""

    def close(self) -> None: ...


def shortened(text: str) -> str:
    """Of an answer, on one line."""
    return " ".join(text.split())[:200]
