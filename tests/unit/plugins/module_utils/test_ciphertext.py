"""Encrypted bytes pass; each way of not being encrypted is found."""

from __future__ import annotations

import bz2
import gzip
import os
from pathlib import Path

import pytest
from ansible_collections.airworthy.stack.plugins.module_utils.ciphertext import entropy, search

MARKER = b"a-marker-that-is-in-the-data"
PLAIN = MARKER + b" and rows, rows, rows" * 300
NO_LIMIT = 10_000_000


def failing(directory: Path, limit: int = NO_LIMIT) -> list[str]:
    return [check.subject for check in search([str(directory)], MARKER, limit).checks() if not check.ok]


def test_noise_passes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(os.urandom(20_000))
    (tmp_path / "small").write_bytes(b"Salted__" + os.urandom(400))
    assert failing(tmp_path) == []


def test_a_directory_that_is_empty_proves_nothing(tmp_path: Path) -> None:
    assert failing(tmp_path) == ["bytes that were read"]


def test_a_marker_is_found_also_behind_a_mark_of_encryption(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"Salted__" + os.urandom(70_000) + MARKER + os.urandom(2_000_000))
    assert failing(tmp_path) == ["files with the marker"]


@pytest.mark.parametrize("before", [65_536 - 5, 65_536 + 1_048_576 - 5])
def test_a_marker_is_found_where_two_reads_meet(tmp_path: Path, before: int) -> None:
    (tmp_path / "a").write_bytes(os.urandom(before) + MARKER + os.urandom(100))
    assert failing(tmp_path) == ["files with the marker"]


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress], ids=["gzip", "bzip2"])
def test_compression_is_no_encryption(tmp_path: Path, compress: object) -> None:
    (tmp_path / "a").write_bytes(compress(PLAIN))  # type: ignore[operator]
    findings = search([str(tmp_path)], MARKER, NO_LIMIT)
    assert findings.compressed == [str(tmp_path / "a")]
    assert findings.marked == [f"{tmp_path / 'a'}, decompressed"]


def test_text_is_found_long_and_short(tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(b"[backrest]\nbackrest-format=5\n" * 300)
    (tmp_path / "short").write_bytes(b"[backrest]\n")
    [subject] = failing(tmp_path)
    assert subject.endswith("bits of entropy in a byte")
    assert len(search([str(tmp_path)], MARKER, NO_LIMIT).readable) == 2


def test_the_newest_files_are_read_first_and_the_rest_is_counted(tmp_path: Path) -> None:
    for name, moment in (("old", 1), ("new", 2)):
        (tmp_path / name).write_bytes(os.urandom(5000))
        os.utime(tmp_path / name, (moment, moment))
    findings = search([str(tmp_path)], MARKER, 6000)
    assert (findings.files, findings.size, findings.skipped) == (1, 5000, 5000)


def test_entropy_is_what_shannon_says() -> None:
    assert entropy(b"") == 0
    assert entropy(b"aaaa") == 0
    assert entropy(b"abab") == 1
    assert entropy(bytes(range(256))) == 8
