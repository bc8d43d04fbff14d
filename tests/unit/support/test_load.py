"""h2load's log, read."""

from __future__ import annotations

import load
import pytest

# Two requests at once for 20 ms and 30 ms, then one of 50 ms.
LOG = "1000000\t200\t20000\n1000000\t200\t30000\n1030000\t200\t50000\n"


def test_a_round() -> None:
    assert load.read(LOG, 3, 200) == load.Round(0.08, (20.0, 30.0, 50.0))


@pytest.mark.parametrize(("requests", "status"), [(4, 200), (3, 401)])
def test_what_went_wrong_is_no_figure(requests: int, status: int) -> None:
    with pytest.raises(ValueError, match=r"these came: \{200: 3\}"):
        load.read(LOG, requests, status)


def test_nothing_is_no_figure() -> None:
    with pytest.raises(ValueError, match=r"these came: \{\}"):
        load.read("", 10, 200)


def test_the_rate_is_the_median_of_the_rounds() -> None:
    rounds = [load.Round(seconds, (1.0,) * 100) for seconds in (1.0, 2.0, 10.0)]
    assert load.per_second(rounds) == 50.0


def test_what_happens_at_the_same_time_is_compared() -> None:
    noisy, slower = ([load.Round(seconds * factor, (1.0,)) for seconds in (1.0, 9.0, 2.0)] for factor in (1, 2))
    assert load.ratio(noisy, slower) == (2.0, 2.0, 2.0)
    assert load.ratio(noisy, slower[::-1]) == (1.0, 2.0, 4.0)


@pytest.mark.parametrize(("percent", "milliseconds"), [(50, 50.0), (99, 99.0), (100, 100.0)])
def test_a_percentile_is_of_all_rounds(percent: float, milliseconds: float) -> None:
    one, other = (load.Round(1.0, tuple(float(n) for n in numbers)) for numbers in (range(1, 51), range(51, 101)))
    assert load.percentile([other, one], percent) == milliseconds
