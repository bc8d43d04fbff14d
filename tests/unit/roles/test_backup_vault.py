"""What the vault takes in, what it gives up, and how it gives back what somebody took away."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from role_programs import load_program

program = load_program("backup/templates/repository/usr/local/lib/airworthy/backup_vault.py")

DAY = 86_400


class Lab:
    """A repository with a finished backup, one that is under way, and a segment of the log."""

    def __init__(self, directory: Path) -> None:
        self.root, self.vault = directory / "pgbackrest", directory / "vault"
        self.vault.mkdir()
        self.backup = self.write("backup/app/20261125-162838F/bundle/1", "rows")
        self.manifest = self.write("backup/app/20261125-162838F/backup.manifest", "manifest")
        self.info = self.write("backup/app/backup.info", "one backup")
        self.segment = self.write("archive/app/17-1/0000000100000000/000000010000000000000001-b4c9.zst", "log")

    def write(self, path: str, content: str, age: float = 3600) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        file.write_text(content)
        os.utime(file, (time.time() - age,) * 2)
        return file

    def seal(self) -> int:
        taken: int = program.seal(self.root, self.vault, time.time(), owner=os.getuid())
        return taken

    def restore(self, moment: float) -> set[Path]:
        return set(program.restore(self.root, self.vault, moment))


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def test_what_is_finished_is_taken_in_once_and_cannot_be_written(lab: Lab) -> None:
    assert lab.seal() == 4
    assert lab.seal() == 0
    assert lab.backup.stat().st_nlink == 2
    assert lab.backup.stat().st_mode & 0o777 == 0o440


def test_what_is_being_written_is_left_alone(lab: Lab) -> None:
    lab.write("backup/app/20261126-000000F/bundle/1", "half of it")  # no manifest yet
    lab.write("archive/app/17-1/0000000100000000/000000010000000000000002-aaaa.zst", "just now", age=1)
    lab.write("archive/app/17-1/0000000100000000/000000010000000000000003-aaaa.zst.pgbackrest.tmp", "a part")
    assert lab.seal() == 4


def test_what_was_deleted_is_given_back(lab: Lab) -> None:
    lab.seal()
    before = time.time()
    time.sleep(0.01)
    for path in (lab.backup, lab.manifest, lab.segment):
        path.unlink()
    lab.backup.parent.rmdir()
    assert lab.restore(before) == {lab.backup, lab.manifest, lab.segment}
    assert lab.backup.read_text() == "rows"
    assert lab.restore(before) == set()


def test_what_was_replaced_gets_its_content_back(lab: Lab) -> None:
    lab.seal()
    before = time.time()
    time.sleep(0.01)
    lab.write("backup/app/backup.info", "no backup at all", age=-60)
    assert lab.restore(before) == {lab.info}
    assert lab.info.read_text() == "one backup"


def test_what_had_expired_before_stays_away(lab: Lab) -> None:
    lab.seal()
    lab.segment.unlink()
    time.sleep(0.01)
    assert lab.restore(time.time()) == set()


def test_the_version_of_that_time_is_given_back(lab: Lab) -> None:
    lab.seal()
    newer = lab.write("backup/app/backup.info", "two backups", age=1800)
    lab.seal()
    before = time.time()
    time.sleep(0.01)
    newer.unlink()
    assert lab.restore(before) == {lab.info}
    assert lab.info.read_text() == "two backups"


def test_only_what_was_removed_long_ago_is_given_up(lab: Lab) -> None:
    lab.seal()
    assert program.give_up(lab.vault, time.time() + DAY) == 0  # all of it is in the repository
    lab.segment.unlink()
    assert program.give_up(lab.vault, time.time() - DAY) == 0
    assert program.give_up(lab.vault, time.time() + DAY) == 1
    assert not (lab.vault / "archive").exists()
    assert (lab.vault / "backup").exists()
