"""What a verifying module says of what it saw."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.airworthy.stack.plugins.module_utils.control import (
    Check,
    Control,
    error,
    judged,
    not_applicable,
    run_probe,
    run_probes,
    stopwatch,
)

GOOD = Check.equal("shared_buffers", "256MB", "256MB")
BAD = Check.equal("wal_buffers", "16MB", "4MB")


@pytest.mark.parametrize(
    ("checks", "status"),
    [
        pytest.param([GOOD], "pass", id="one that is ok"),
        pytest.param([GOOD, GOOD], "pass", id="all ok"),
        pytest.param([GOOD, BAD], "fail", id="one is not"),
        pytest.param([BAD], "fail", id="none is"),
        pytest.param([], "error", id="nothing was checked, so nothing is proven"),
    ],
)
def test_the_status_follows_from_the_checks(checks: list[Check], status: str) -> None:
    assert judged("db.settings", "quick", checks).status == status


def test_what_is_not_as_expected_comes_first() -> None:
    control = judged("db.settings", "quick", [GOOD, BAD])
    assert control.expected == "wal_buffers: 16MB; shared_buffers: 256MB"
    assert control.observed == "1 of 2 not as expected: wal_buffers: 4MB"
    assert control.checks == (BAD, GOOD)


@pytest.mark.parametrize(
    ("checks", "observed"),
    [
        ([GOOD], "256MB"),
        ([GOOD] * 9, "9 of 9 as expected"),
        ([BAD], "1 of 1 not as expected: wal_buffers: 4MB"),
        ([BAD] * 5 + [GOOD], f"5 of 6 not as expected: {'; '.join(['wal_buffers: 4MB'] * 3)}; and 2 more"),
    ],
)
def test_the_summary_is_short(checks: list[Check], observed: str) -> None:
    assert judged("db.settings", "quick", checks).observed == observed


def test_a_module_may_word_the_summary_itself() -> None:
    control = judged("db.settings", "quick", [BAD], expected="9 settings", observed="one is off")
    assert (control.expected, control.observed) == ("9 settings", "one is off")


def test_the_record_has_the_documented_form() -> None:
    control = judged("db.settings", "quick", [GOOD], command="psql", remediation="ansible-playbook site.yml")
    assert control.to_dict() == {
        "id": "db.settings",
        "level": "quick",
        "status": "pass",
        "expected": "shared_buffers: 256MB",
        "observed": "256MB",
        "evidence": {
            "checks": [{"subject": "shared_buffers", "expected": "256MB", "observed": "256MB", "ok": True}],
            "command": "psql",
        },
        "remediation": "ansible-playbook site.yml",
        "duration": 0.0,
    }


def test_not_applicable_and_error_carry_their_reason() -> None:
    assert not_applicable("db.pool", "quick", "no pooler here").to_dict()["observed"] == "no pooler here"
    assert error("db.pool", "deep", "no console").to_dict()["status"] == "error"


def test_a_probe_that_raises_becomes_an_error_that_names_the_exception_and_its_place() -> None:
    def probe() -> Control:
        raise ConnectionRefusedError("port 6432")

    control = run_probe("db.pool", "quick", probe, remediation="start it")
    assert control.status == "error"
    assert "ConnectionRefusedError: port 6432 (at test_control.py:" in control.observed
    assert control.remediation == "start it"


def test_the_place_is_a_line_of_the_collection_not_of_a_library() -> None:
    module: dict[str, Any] = {"json": json}
    source = "def probe():\n    return json.loads('{')\n"
    exec(compile(source, "/ansible_collections/own/audit.py", "exec"), module)  # noqa: S102
    assert run_probe("db.pool", "quick", module["probe"]).observed.endswith("(at audit.py:2)")


def test_the_end_of_the_process_is_not_taken_for_a_failed_probe() -> None:
    def probe() -> Control:
        raise SystemExit(1)

    with pytest.raises(SystemExit):
        run_probe("db.pool", "quick", probe)


def test_one_broken_probe_does_not_take_the_others_along() -> None:
    def broken() -> Control:
        raise KeyError("setting")

    records = run_probes("quick", {"db.pool": broken, "db.settings": lambda: judged("db.settings", "quick", [GOOD])})
    assert [(record["id"], record["status"]) for record in records] == [("db.pool", "error"), ("db.settings", "pass")]


def test_a_stopwatch_stands_still_after_its_block() -> None:
    with stopwatch() as watch:
        pass
    assert watch.seconds == watch.seconds >= 0
