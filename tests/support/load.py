"""What h2load saw, as figures: one line of its log is one request."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Round:
    """The requests that were made one after the other, or side by side, in one go."""

    seconds: float
    milliseconds: tuple[float, ...]

    @property
    def per_second(self) -> float:
        return len(self.milliseconds) / self.seconds


def read(log: str, requests: int, status: int) -> Round:
    """A log has the start, the status and the duration of each request, in microseconds. All must have gone well."""
    rows = [[int(column) for column in line.split()[:3]] for line in log.splitlines()]
    seen = Counter(row[1] for row in rows)
    if seen != {status: requests}:
        raise ValueError(f"{requests} answers with {status} were expected, and these came: {dict(seen)}")
    began, ended = min(row[0] for row in rows), max(row[0] + row[2] for row in rows)
    return Round((ended - began) / 1e6, tuple(row[2] / 1e3 for row in rows))


def per_second(rounds: Sequence[Round]) -> float:
    """The median of the rounds, of which noise spoils one or another."""
    return statistics.median(one.per_second for one in rounds)


def ratio(rounds: Sequence[Round], to: Sequence[Round]) -> tuple[float, float, float]:
    """How many times the requests per second, round by round: the lowest, the median and the highest."""
    ratios = [one.per_second / other.per_second for one, other in zip(rounds, to, strict=True)]
    return min(ratios), statistics.median(ratios), max(ratios)


def percentile(rounds: Sequence[Round], percent: float) -> float:
    """Of all requests of all rounds: that many percent took no longer."""
    everything = sorted(duration for one in rounds for duration in one.milliseconds)
    return everything[math.ceil(len(everything) * percent / 100) - 1]
