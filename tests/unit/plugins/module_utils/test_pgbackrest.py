from __future__ import annotations

import pytest
from ansible_collections.airworthy.stack.plugins.module_utils import pgbackrest

SUM = "b4c9aaa7c0db2d48afb896a905575220923e91a2"


def test_segments_are_numbered_across_the_files_of_the_log() -> None:
    listing = {
        f"0000000100000000/0000000100000000000000FF-{SUM}.zst": {},
        f"0000000100000001/000000010000000100000000-{SUM}.zst": {},
        f"0000000200000001/000000020000000100000000-{SUM}": {},  # the same one, after a restore
        "0000000100000000/0000000100000000000000FF.00000028.backup": {},
        "0000000200000000/00000002.history": {},
    }
    assert pgbackrest.segments(listing) == [255, 256]


@pytest.mark.parametrize(
    ("numbers", "first", "gaps"),
    [
        ([5, 6, 7], 5, []),
        ([1, 5, 6], 5, []),  # what is missing before the backup does not matter
        ([5, 8], 5, [6, 7]),
        ([6], 5, [5]),
        ([], 5, []),
    ],
)
def test_a_gap_is_what_is_missing_between_others(numbers: list[int], first: int, gaps: list[int]) -> None:
    assert pgbackrest.gaps(numbers, first) == gaps


def test_the_reason_is_what_pgbackrest_calls_an_error() -> None:
    output = "2026-11-25 P00  ERROR: [056]: unable to find primary cluster - cannot proceed\n  HINT: are all?\n"
    assert pgbackrest.reason(output) == "[056]: unable to find primary cluster - cannot proceed HINT: are all?"
