from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.airworthy.stack.plugins.modules.archive_audit import Repository, State, judge, judge_arrival

NOW = 1_000_000.0
PARAMS: dict[str, Any] = {"stanza": "app", "archive_timeout": 60, "maximum_age_hours": 26}
ARCHIVER = {
    "mode": "on",
    "command": "pgbackrest --stanza=app archive-push %p",
    "timeout": 60,
    "failing": False,
    "failed": None,
    "waiting": 0.0,
}
GOOD = State(ARCHIVER, (Repository(1, "ok", NOW - 3600),), NOW)


def failing(state: State) -> list[str]:
    return [check.subject for check in judge(state, PARAMS) if not check.ok]


def test_a_database_that_is_backed_up_passes() -> None:
    assert failing(GOOD) == []


@pytest.mark.parametrize(
    ("change", "subject"),
    [
        ({"mode": "off"}, "archive_mode"),
        ({"command": "/bin/true"}, "archive_command"),
        ({"timeout": 0}, "archive_timeout in s"),
        ({"failing": True, "failed": "000000010000000000000007"}, "archiving"),
        ({"waiting": 121.0}, "oldest segment that waits for the archive"),
    ],
)
def test_each_fault_of_archiving_is_named(change: dict[str, Any], subject: str) -> None:
    assert failing(replace(GOOD, archiver={**ARCHIVER, **change})) == [subject]


@pytest.mark.parametrize(
    ("repository", "subject"),
    [
        (Repository(1, "ok", NOW - 27 * 3600), "newest backup in repository 1"),
        (Repository(1, "no valid backups", None), "newest backup in repository 1"),
        (Repository(1, "ok", NOW - 3600, damaged=True), "pages in the newest backup in repository 1"),
    ],
)
def test_each_fault_of_a_backup_is_named(repository: Repository, subject: str) -> None:
    assert failing(replace(GOOD, repositories=(repository,))) == [subject]


def test_one_good_repository_does_not_hide_a_bad_one() -> None:
    repositories = (*GOOD.repositories, Repository(2, "other", None))
    assert failing(replace(GOOD, repositories=repositories)) == ["newest backup in repository 2"]


def test_a_segment_has_to_arrive_everywhere() -> None:
    assert [check.ok for check in judge_arrival({1: 0.6, 2: None}, 60)] == [True, False]
