"""What the program that backs up files keeps, refuses, says and remembers."""

from __future__ import annotations

import hashlib
import json
import os
import random
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from role_programs import load_program

program = load_program("backup/templates/files/usr/local/lib/airworthy/backup_files.py")

NOW = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)
KEEP = program.Keep(daily=3, weekly=2, monthly=2)


def daily(days: int, newest: datetime = NOW) -> dict[str, datetime]:
    """A snapshot for each of so many days, named by its age."""
    return {f"{age:03}": newest - timedelta(days=age) for age in range(days)}


# What stays


def test_days_weeks_and_months_stay() -> None:
    # Wednesday; the last of the week before is Sunday the 22nd, that of the month before Saturday 31 October
    assert program.kept(daily(60), KEEP) == {"000", "001", "002", "003", "025"}


def test_what_is_there_alone_stays() -> None:
    assert program.kept({"one": NOW}, program.Keep(0, 0, 0)) == {"one"}
    assert program.kept({}, KEEP) == set()


def test_a_server_that_fell_silent_loses_nothing() -> None:
    old = daily(5, NOW - timedelta(days=400))
    assert program.kept(old, program.Keep(5, 5, 5)) == set(old)


def test_a_clock_that_jumps_ahead_costs_a_day_at_most() -> None:
    arrivals = daily(3) | {"jumped": NOW + timedelta(days=3650)}
    assert {"jumped", "000", "001"} <= program.kept(arrivals, KEEP)


def test_a_flood_is_one_day() -> None:
    """Ten thousand snapshots of one day drive out none of another day."""
    flood = {f"fake{number}": NOW + timedelta(seconds=number) for number in range(10_000)}
    real = program.kept(daily(60), KEEP) - {"000"}
    assert real <= program.kept(daily(60) | flood, KEEP)


def test_all_of_the_last_two_days_stay() -> None:
    arrivals = {f"{hour:03}": NOW - timedelta(hours=hour) for hour in range(72)}
    assert {f"{hour:03}" for hour in range(48)} <= program.kept(arrivals, KEEP)


@pytest.mark.parametrize(
    ("said", "host", "stray"),
    [
        ("2026-11-25T02:31:00.123456789Z", "web1", False),
        ("2026-11-24T04:00:00+01:00", "web1", False),
        ("2036-11-25T02:31:00Z", "web1", True),
        ("2019-01-01T00:00:00Z", "web1", True),
        ("2026-11-25T02:31:00Z", "web2", True),
    ],
)
def test_a_snapshot_that_lies_of_its_time_is_named(said: str, host: str, stray: bool) -> None:
    snapshot = {"id": "ab" * 32, "time": said, "hostname": host}
    assert bool(program.strays([snapshot], {snapshot["id"]: NOW}, "web1")) is stray


# What is said


@pytest.mark.parametrize(
    ("errors", "words"),
    [
        ("Fatal: wrong password or no key found", "is /the/key that of another one"),
        ("Fatal: unexpected HTTP response (401): 401 Unauthorized", "does not know this server"),
        ("Save(<data/b1>) returned error, retrying after 2s: 500 Internal Server Error\nFatal: x", "its disk is full"),
        ("Remove(<snapshot/fa>) failed: unexpected HTTP response (403): 403 Forbidden", "refuses that"),
        ("Fatal: write /srv/b/data/1: no space left on device", "the disk of the repository is full"),
        ("dial tcp 10.0.0.1:8000: connect: connection refused", "cannot be reached"),
        ("Fatal: x509: certificate signed by unknown authority", "certificates of the two do not fit"),
        ("unable to create lock: repository is already locked by PID 1 on web1", "holds a lock"),
        ("Fatal: something new", "restic: Fatal: something new"),
        ("panic: slice bounds\n\ngoroutine 1 [running]:\n\t/x.go:1\nmain.main()\n", "restic: panic: slice bounds"),
        ("", "it says nothing"),
    ],
)
def test_an_error_is_explained(errors: str, words: str) -> None:
    assert words in program.explained(errors, "/the/key")


def test_an_explanation_is_not_about_the_interruption() -> None:
    errors = "Save(<data/b1>) returned error, retrying after 41s: 500 Internal Server Error\nFatal: context canceled\n"
    assert "500 Internal Server Error" in program.explained(errors, "")
    assert "canceled" not in program.explained(errors, "")


@pytest.mark.parametrize("status", ["401", "403", "500", "507"])
@pytest.mark.parametrize("piece", ["retrying after 1{}ms", "retrying after {}.5ms", "<data/0a{}d38492>", "port {}"])
def test_a_pause_or_a_name_is_not_taken_for_a_status(status: str, piece: str) -> None:
    errors = f"Save() returned error, {piece.format(status)}: dial tcp 10.0.0.1:8000: connect: connection refused"
    assert "cannot be reached" in program.explained(errors, "")


@pytest.mark.parametrize(
    ("line", "seconds"),
    [
        ("returned error, retrying after 552.330144ms: x", 0.55233),
        ("returned error, retrying after 15.394871241s: x", 15.39487),
        ("returned error, retrying after 1m5.5s: x", 65.5),
        ("returned error, retrying after 2m: x", 120),
        ("unable to save", 0),
    ],
)
def test_how_long_restic_will_wait(line: str, seconds: float) -> None:
    assert program.pause_announced(line) == pytest.approx(seconds, abs=0.001)


def test_damage_is_named() -> None:
    output = (
        "using temporary cache in /tmp/x\ncreate exclusive lock for repository\nload indexes\ncheck all packs\n"
        "check snapshots, trees and blobs\nread all data\n[0:00] 100.00%  1 / 1 snapshots\n"
        "Pack ID does not match, want 0123abcd, got 89ef\nFatal: repository contains errors\n"
    )
    found = program.faults(output)
    assert "want 0123abcd" in found
    assert "temporary cache" not in found


def test_files_that_could_not_be_read_are_named() -> None:
    errors = '{"message_type":"error","during":"archival","item":"/etc/a"}\n{"item":"/etc/b"}\n'
    assert program.unread(errors) == "/etc/a, /etc/b"


# What is remembered


def test_a_run_that_is_killed_has_not_succeeded(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    program.remember(path, last_success=1.0, snapshots=7)
    with pytest.raises(KeyboardInterrupt), program.recorded(path):
        raise KeyboardInterrupt
    state = program.remembered(path)
    assert (state["success"], state["last_success"], state["snapshots"]) == (False, 1.0, 7)
    assert "did not come to its end" in state["message"]


def test_a_run_that_is_refused_says_why(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    with pytest.raises(program.Refused), program.recorded(path) as result:
        result["missing"] = ["/x"]
        raise program.Refused("no disk")
    state = program.remembered(path)
    assert (state["success"], state["message"], state["missing"]) == (False, "no disk", ["/x"])


def test_a_run_that_succeeds_is_remembered(tmp_path: Path) -> None:
    with program.recorded(tmp_path / "run.json") as result:
        result["files"] = 3
    state = program.remembered(tmp_path / "run.json")
    assert state["success"] and state["files"] == 3 and state["last_success"] == state["ended"]
    assert (tmp_path / "run.json").stat().st_mode & 0o777 == 0o600


def test_two_runs_are_never_at_work_at_once(tmp_path: Path) -> None:
    with program.alone(tmp_path), pytest.raises(program.Refused, match="another run"), program.alone(tmp_path):
        pass


def test_figures_are_as_prometheus_reads_them() -> None:
    series = [("success", {}, True), ("files", {}, None), ("check_success", {"client": "web1"}, 0)]
    assert program.exposition(series) == (
        "# TYPE airworthy_files_backup_success gauge\nairworthy_files_backup_success 1\n"
        "# TYPE airworthy_files_backup_check_success gauge\n"
        'airworthy_files_backup_check_success{client="web1"} 0\n'
    )


# A repository that is gone


class Restic:
    """Answers of a repository; init makes one."""

    password_file = "/the/key"

    def __init__(self, identity: str | None, errors: str = "Fatal: <config/> does not exist") -> None:
        self.identity, self.errors, self.begun = identity, errors, False

    def ask(self, *_words: str) -> Any:
        if self.identity is None:
            return program.Answer(1, [], self.errors)
        return program.Answer(0, [json.dumps({"id": self.identity})], "")

    def get(self, *_words: str) -> None:
        self.identity, self.begun = "new", True


def test_a_repository_is_begun_once(tmp_path: Path) -> None:
    state, restic = tmp_path / "repository.json", Restic(None)
    program.open_or_begin(restic, state)
    assert restic.begun
    program.open_or_begin(Restic("new"), state)


@pytest.mark.parametrize(
    ("restic", "words"),
    [
        (Restic(None), "is gone from the repository host"),
        (Restic("another"), "is another one"),
        (Restic(None, "Fatal: wrong password or no key found"), "does not open the repository"),
    ],
)
def test_a_repository_is_not_begun_in_place_of_one_that_is_gone(tmp_path: Path, restic: Restic, words: str) -> None:
    state = tmp_path / "repository.json"
    program.remember(state, repository="the first")
    with pytest.raises(program.Refused, match=words):
        program.open_or_begin(restic, state)
    assert not restic.begun


# What came back


def stored(path: Path) -> Any:
    status = path.stat()
    times = [f"{datetime.fromtimestamp(ns // 10**9, UTC):%Y-%m-%dT%H:%M:%S}.{ns % 10**9:09}Z"
             for ns in (status.st_mtime_ns, status.st_ctime_ns)]
    return program.Stored(str(path), status.st_size, *times)


@pytest.fixture
def restored(tmp_path: Path) -> tuple[Any, Path, Path]:
    """A file as a snapshot has it, where it came from, and what was restored of it."""
    original = tmp_path / "app.conf"
    original.write_text("one")
    copy = tmp_path / "root" / str(original).lstrip("/")
    copy.parent.mkdir(parents=True)
    copy.write_text("one")
    return stored(original), original, copy


def compared(one: Any, tmp_path: Path) -> Any:
    return program.compare([one], tmp_path / "root")


def test_an_unchanged_file_comes_back_equal(restored: tuple[Any, Path, Path], tmp_path: Path) -> None:
    assert compared(restored[0], tmp_path) == program.Comparison(restored=1, equal=1)


def test_another_content_is_wrong(restored: tuple[Any, Path, Path], tmp_path: Path) -> None:
    restored[2].write_text("two")
    assert "another content" in compared(restored[0], tmp_path).wrong[0]


def test_half_a_file_is_wrong(restored: tuple[Any, Path, Path], tmp_path: Path) -> None:
    restored[2].write_text("on")
    assert "did not come back whole" in compared(restored[0], tmp_path).wrong[0]


def test_a_file_that_changed_since_proves_nothing(restored: tuple[Any, Path, Path], tmp_path: Path) -> None:
    restored[1].write_text("new")
    assert compared(restored[0], tmp_path) == program.Comparison(restored=1, changed_since=1)
    restored[1].unlink()
    assert compared(restored[0], tmp_path) == program.Comparison(restored=1, changed_since=1)


def test_a_sample_has_the_canary_and_no_giants() -> None:
    sample = program.Sample(5, 100, random.Random(1))
    for number in range(1000):
        sample.add(json.dumps({"type": "file", "path": f"/f{number}", "size": number % 200}))
    sample.add(json.dumps({"type": "file", "path": str(program.CANARY), "size": 80}))
    sample.add(json.dumps({"type": "dir", "path": "/d"}))
    sample.add("not JSON\n")
    assert len(sample.files) == 5
    assert all(file.size <= 100 for file in sample.files)
    assert len({file.path for file in sample.files}) == 5
    assert sample.canary is not None


def test_a_path_is_no_pattern() -> None:
    assert program.pattern_of("/srv/a[1]*?\\b") == "/srv/a\\[1]\\*\\?\\\\b"


# What an interrupted upload leaves


def test_pieces_are_put_aside(tmp_path: Path) -> None:
    repository = tmp_path / "web1"
    for part in ("data/ab", "index", "keys", "snapshots"):
        (repository / part).mkdir(parents=True)
    whole = repository / "data/ab" / hashlib.sha256(b"whole").hexdigest()
    whole.write_bytes(b"whole")
    torn = repository / "index" / ("0" * 64)
    torn.write_bytes(b"half")
    flipped = repository / "data/ab" / ("1" * 64)  # long ago: damage, which the check names
    flipped.write_bytes(b"flipped")
    os.utime(flipped, (time.time() - 3 * 86_400,) * 2)
    store = program.Store(str(tmp_path), ["web1", "web2"], "/the/key", KEEP, 100)
    assert "web1/index/000" in program.sweep(store)
    assert whole.exists() and flipped.exists() and not torn.exists()
    assert (tmp_path / ".torn" / f"web1-index-{'0' * 64}").read_bytes() == b"half"
    assert program.sweep(store) == ""


def test_figures_of_the_repositories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "REPOSITORY_STATE", tmp_path / "state")
    (tmp_path / "web1/snapshots").mkdir(parents=True)
    (tmp_path / "web1/snapshots/one").write_bytes(b"12345")
    store = program.Store(str(tmp_path), ["web1", "web2"], "/the/key", KEEP, 100)
    text = program.exposition(program.store_series(store))
    assert 'airworthy_files_backup_repository_snapshots{client="web1"} 1' in text
    assert 'airworthy_files_backup_repository_bytes{client="web1"} 5' in text
    assert 'airworthy_files_backup_repository_snapshots{client="web2"} 0' in text


@pytest.mark.parametrize("arguments", [[], ["no-such"], ["run", "now"], ["restore", "latest"]])
def test_a_command_that_is_none_is_refused(arguments: list[str]) -> None:
    with pytest.raises(program.Refused, match="say one of"):
        program.main(arguments)
