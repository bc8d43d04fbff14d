"""A fire drill: who was not told in time, or not that it is over, fails it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.airworthy.stack.plugins.module_utils.alert_history import Told
from ansible_collections.airworthy.stack.plugins.modules.fire_drill_audit import is_over, judge

SINCE = 1000.0


def fire(**changed: Any) -> dict[str, Any]:
    return {"fault": "disk", "alert": "DiskSpaceLow", "instance": "db1", "seconds": 500, "drilled": True, **changed}


def told(at: float, status: str, instance: str = "db1") -> Told:
    return Told(SINCE + at, status, "DiskSpaceLow", instance)


def test_a_fault_that_was_told_in_time_and_is_over_passes() -> None:
    control = judge([fire()], SINCE, [told(390, "firing"), told(500.4, "resolved")])
    assert (control.id, control.level, control.status) == ("mon.alerts", "deep", "pass")
    assert control.observed == "disk on db1: DiskSpaceLow told after 390 s, over after 500 s"
    assert control.command == "journalctl -u airworthy-alert-history.service -o cat --since @1000"


@pytest.mark.parametrize(
    ("seen", "observed"),
    [
        ([], "not told"),
        ([told(390, "firing", instance="web1"), told(450, "resolved", instance="web1")], "not told"),
        ([told(390, "firing")], "told after 390 s, not over"),
        ([told(300, "resolved"), told(390, "firing")], "told after 390 s, not over"),
        ([told(501, "firing"), told(600, "resolved")], "told after 501 s, over after 600 s"),
    ],
)
def test_any_other_fails(seen: list[Told], observed: str) -> None:
    control = judge([fire()], SINCE, seen)
    assert control.status == "fail"
    assert [check.observed for check in control.checks] == [observed]


def test_what_was_left_out_is_not_proved() -> None:
    good = [told(390, "firing"), told(500, "resolved")]
    control = judge([fire(), fire(fault="database", alert="Down", drilled=False)], SINCE, good)
    assert control.status == "fail"
    assert control.observed.endswith("database on db1: Down: left out by monitoring_drill_faults")


def test_without_any_fault_nothing_is_proved() -> None:
    assert judge([], SINCE, []).status == "error"


def test_it_waits_for_what_began_and_not_for_what_did_not() -> None:
    other = fire(alert="MemoryHigh")
    assert not is_over([fire(), other], [told(390, "firing")])
    assert is_over([fire(), other], [told(390, "firing"), told(500, "resolved")])
    assert is_over([fire(drilled=False)], [])
