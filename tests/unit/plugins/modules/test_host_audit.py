"""A server that is too small fails, unless it is only to be reported."""

from __future__ import annotations

import pytest
from ansible_collections.airworthy.stack.plugins.modules.host_audit import judge

WANTED = {"minimum_memory_mb": 3700, "minimum_cores": 4, "storage": ["ssd"], "policy": "enforce"}
LARGE = {"memory_mb": 3928, "cores": 4, "storage": "ssd"}


@pytest.mark.parametrize(
    ("seen", "wanted", "status"),
    [
        ({}, {}, "pass"),
        ({"memory_mb": 3699}, {}, "fail"),
        ({"cores": 3}, {}, "fail"),
        ({"storage": "hdd"}, {}, "fail"),
        ({"storage": "unknown"}, {}, "fail"),
        ({"storage": "hdd"}, {"storage": ["ssd", "hdd"]}, "pass"),
        ({"cores": 3}, {"policy": "report"}, "not_applicable"),
        ({}, {"policy": "report"}, "pass"),
    ],
)
def test_judge(seen: dict, wanted: dict, status: str) -> None:
    assert judge(LARGE | seen, WANTED | wanted).status == status


def test_what_is_too_small_is_named() -> None:
    control = judge(LARGE | {"cores": 1}, WANTED)
    assert "cores" in control.observed
    assert [check.subject for check in control.checks if not check.ok] == ["cores"]
