from __future__ import annotations

import json

import pytest
from ansible_collections.airworthy.stack.plugins.modules.backup_stanza import missing, statuses, without_backup


def test_the_status_is_read_repository_by_repository() -> None:
    output = json.dumps(
        [
            {"name": "other", "repo": [{"key": 1, "status": {"code": 0}}]},
            {"name": "app", "repo": [{"key": 1, "status": {"code": 0}}, {"key": 2, "status": {"code": 2}}]},
        ]
    )
    assert statuses(output, "app") == {1: 0, 2: 2}
    assert statuses("[]", "app") == {}


@pytest.mark.parametrize(
    ("codes", "is_missing", "is_without"),
    [
        ({1: 0}, False, False),
        ({1: 2}, False, True),
        ({1: 1}, True, True),
        ({}, True, True),
        ({1: 0, 2: 3}, True, True),
    ],
)
def test_missing_in_one_is_missing(codes: dict[int, int], is_missing: bool, is_without: bool) -> None:
    repositories = sorted(codes) or [1]
    assert missing(codes, repositories) is is_missing
    assert without_backup(codes, repositories) is is_without
