"""Waiting for what others do."""

from __future__ import annotations

import pytest
from ansible_collections.airworthy.stack.plugins.module_utils import waiting
from ansible_collections.airworthy.stack.plugins.module_utils.waiting import wait_for

PAUSE = 2


@pytest.mark.parametrize(("true_at", "said", "slept"), [(0, True, 0), (3, True, 3), (99, False, 5)])
def test_it_waits_until_it_is_true_or_the_time_is_over(
    monkeypatch: pytest.MonkeyPatch, true_at: int, said: bool, slept: int
) -> None:
    now = [0.0]
    monkeypatch.setattr(waiting.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(waiting.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    assert wait_for(lambda: now[0] >= true_at * PAUSE, 10, pause=PAUSE) is said
    assert now[0] == slept * PAUSE


@pytest.mark.parametrize("seconds", [10, 0])
def test_what_is_enough_may_be_told(seconds: int) -> None:
    """When the time is over, what was said last is the answer nevertheless."""
    answers = iter(["busy", "busy", "done", "later"])
    said = wait_for(lambda: next(answers), seconds, pause=0, enough=lambda answer: answer != "busy")
    assert said == ("done" if seconds else "busy")
