from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.airworthy.stack.plugins.module_utils.timers import Timer, judge_timers, moment

NOW = 1_000_000.0
DAILY = Timer("daily", "enabled", "active", NOW + 3600, "success")


def failing(*timers: Timer) -> list[str]:
    return [check.subject for check in judge_timers(timers, ["daily"], 7200, NOW) if not check.ok]


def test_a_timer_that_is_on_passes() -> None:
    assert failing(DAILY, Timer("weekly", "enabled", "active", NOW + 10**6, "success")) == []


@pytest.mark.parametrize(
    ("timer", "subject"),
    [
        (replace(DAILY, enabled="disabled"), "daily.timer"),
        (replace(DAILY, enabled="missing", active="inactive"), "daily.timer"),
        (replace(DAILY, active="inactive"), "daily.timer"),
        (replace(DAILY, result="exit-code"), "result of daily"),
        (replace(DAILY, next=NOW + 7201), "next backup"),
        (replace(DAILY, next=None), "next backup"),
    ],
)
def test_each_fault_is_named(timer: Timer, subject: str) -> None:
    assert failing(timer) == [subject]


def test_times_are_systemds() -> None:
    assert moment("Sun 2026-11-29 01:40:20 UTC") == 1795916420
    assert moment("") is None
    assert moment("n/a") is None
