from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.airworthy.stack.plugins.module_utils.ciphertext import Findings
from ansible_collections.airworthy.stack.plugins.modules.repository_audit import (
    Place,
    judge_encryption,
    judge_jobs,
    judge_places,
    judge_retention,
    judge_vault,
)

DAY = 86_400
NOW = 100.0 * DAY
PLACE = Place("app", 1, "ok", "aes-256-cbc", (NOW - 20 * DAY, NOW - 13 * DAY, NOW - 6 * DAY), ())
DONE: dict[str, Any] = {"started": NOW - DAY, "finished": NOW - DAY, "failures": {}}


def ok(checks: list[Any]) -> list[bool]:
    return [check.ok for check in checks]


def test_jobs_that_succeeded_pass() -> None:
    assert all(ok(judge_jobs({"full": DONE, "verify": DONE}, NOW - 20 * DAY, 8, NOW)))


def test_a_job_that_failed_says_where_and_why() -> None:
    failed = {**DONE, "failures": {"app in repository 1": "[056]: unable to find primary cluster"}}
    [check] = [check for check in judge_jobs({"diff": failed, "verify": DONE}, NOW, 8, NOW) if not check.ok]
    assert check.observed == "app in repository 1: [056]: unable to find primary cluster"


@pytest.mark.parametrize(
    ("jobs", "oldest", "good"),
    [
        ({}, NOW - DAY, True),  # a new repository
        ({}, None, True),
        ({}, NOW - 9 * DAY, False),
        ({"verify": {**DONE, "finished": NOW - 9 * DAY}}, NOW - 9 * DAY, False),
    ],
)
def test_a_repository_is_verified_once_there_is_something_old(jobs: Any, oldest: float | None, good: bool) -> None:
    assert judge_jobs(jobs, oldest, 8, NOW)[-1].ok is good


def test_a_gap_and_a_bad_status_are_seen() -> None:
    assert all(ok(judge_places([PLACE])))
    assert ok(judge_places([replace(PLACE, gaps=(7, 8))])) == [True, False]
    assert ok(judge_places([replace(PLACE, message="no valid backups")])) == [False, True]


def test_one_full_backup_beyond_the_limit_has_to_stay() -> None:
    assert ok(judge_retention([PLACE], "time", 14, NOW)) == [True]
    assert ok(judge_retention([PLACE], "time", 10, NOW)) == [False]
    assert ok(judge_retention([PLACE], "count", 3, NOW)) == [True]
    assert ok(judge_retention([PLACE], "count", 2, NOW)) == [False]


def test_the_vault_gives_up_what_is_old() -> None:
    assert judge_vault(None, 14, NOW).ok
    assert judge_vault(NOW - 14.5 * DAY, 14, NOW).ok
    assert not judge_vault(NOW - 15.5 * DAY, 14, NOW).ok


def test_a_cipher_that_is_off_is_seen() -> None:
    findings = Findings(files=1, size=1)
    assert all(ok(judge_encryption([PLACE], findings)))
    assert not ok(judge_encryption([replace(PLACE, cipher="none")], findings))[0]
