"""Log files are read in the order in which they were written, whatever logrotate makes of them meanwhile."""

from __future__ import annotations

import gzip
import hashlib
import os
import random
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from role_programs import program_directory

with program_directory("log_shipping/templates/usr/local/lib/airworthy/log_shipping"):
    import files
    import records

NGINX = r"(?P<time>\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) \[(?P<level>\w+)\] "
TRACEBACK = """\
2026/11/27 19:19:18 [error] 23873#23873: *5 lua entry thread aborted: runtime error: boom
stack traceback:
\tlog.lua:3: in function <log.lua:1>
"""
MANY = [hashlib.sha256(b"%d" % number).hexdigest() for number in range(2000)]  # no compression makes it small
NEXT = "2026/11/27 19:19:20 [warn] 23873#23873: *6 an upstream response is buffered\n"


class Log:
    """A program's log and logrotate, with a clock of their own: each step is a minute later, and all of it is over."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = time.time() - 86_400
        self.written: list[str] = []

    def touch(self, path: Path) -> None:
        self.clock += 60
        os.utime(path, (self.clock, self.clock))

    def write(self, *lines: str, name: str = "") -> None:
        path = Path(f"{self.path}{name}")
        with path.open("a") as file:
            file.writelines(f"{line}\n" for line in lines)
        self.written += lines
        self.touch(path)

    def named(self, number: int) -> Path:
        plain = Path(f"{self.path}.{number}")
        return plain if plain.exists() else Path(f"{self.path}.{number}.gz")

    def _shift(self) -> None:
        for number in range(99, 0, -1):
            if (path := self.named(number)).exists():
                path.rename(str(path).replace(f".log.{number}", f".log.{number + 1}"))

    def rename(self) -> None:
        self._shift()
        self.path.rename(f"{self.path}.1")

    def copytruncate(self) -> None:
        self._shift()
        shutil.copy(self.path, f"{self.path}.1")
        self.touch(Path(f"{self.path}.1"))
        self.path.write_bytes(b"")
        self.touch(self.path)

    def compress(self) -> None:
        """The one that was renamed last."""
        plain = Path(f"{self.path}.1")
        packed = Path(f"{plain}.gz")
        packed.write_bytes(gzip.compress(plain.read_bytes()))
        shutil.copystat(plain, packed)
        plain.unlink()

    def rename_and_compress(self) -> None:
        self.rename()
        self.compress()


ROTATIONS: dict[str, Callable[[Log], None]] = {
    "rename": Log.rename,
    "copytruncate": Log.copytruncate,
    "compress": Log.rename_and_compress,
}


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "a.log")


@pytest.fixture
def dropped() -> Counter[str]:
    return Counter()


@pytest.fixture
def source(log: Log, dropped: Counter[str]) -> Iterator[Callable[..., Any]]:
    opened = []

    def source(position: dict[str, Any] | None = None, path: object = log.path, **settings: str) -> Any:
        opened.append(files.Files({"program": "a", "path": str(path), **settings}, position, dropped))
        return opened[-1]

    yield source
    for each in opened:
        each.close()


def all_of(source: Any, limit: int = 3) -> list[records.Line]:
    """Until twice there was nothing."""
    lines: list[records.Line] = []
    silent = 0
    while silent < 2:
        read = source.read(limit)
        lines += read
        silent = 0 if read else silent + 1
    return lines


def texts(lines: list[records.Line]) -> list[str]:
    return [line.record["message"] for line in lines]


# One file


def test_lines_come_in_order_each_with_an_id_and_where_to_go_on(log: Log, source: Any) -> None:
    log.write("one", "two")
    lines = source().read(10)
    assert texts(lines) == ["one", "two"]
    assert [line.position["offset"] for line in lines] == [4, 8]
    identity = lines[0].position["identity"]
    assert [line.record["id"] for line in lines] == [f"{identity}-0", f"{identity}-4"]
    assert texts(source(lines[0].position).read(10)) == ["two"]


def test_no_more_than_the_limit_at_a_time(log: Log, source: Any) -> None:
    log.write("one", "two", "three")
    reading = source()
    assert [texts(reading.read(2)) for _ in range(3)] == [["one", "two"], ["three"], []]


def test_a_line_that_is_not_written_yet_is_waited_for(log: Log, source: Any) -> None:
    log.write("one")
    reading = source()
    assert texts(reading.read(10)) == ["one"]
    with log.path.open("a") as file:
        file.write("tw")
    assert reading.read(10) == []
    log.write("o")
    assert texts(reading.read(10)) == ["two"]


def test_nothing_is_there_yet(log: Log, source: Any, dropped: Counter[str]) -> None:
    reading = source()
    assert reading.read(10) == []
    log.path.write_text("")
    assert reading.read(10) == []
    log.write("one")
    assert texts(reading.read(10)) == ["one"]
    assert not dropped
    assert reading.problem == ""


def test_a_line_that_is_too_long_comes_in_parts(log: Log, source: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LONGEST_LINE", 4)
    log.write("abcdefghij", "k")
    assert texts(source().read(10)) == ["abcd", "efgh", "ij", "k"]


def test_what_is_no_utf_8_is_read_nevertheless(log: Log, source: Any) -> None:
    log.path.write_bytes(b"caf\xe9\n")
    assert texts(source().read(10)) == ["caf\ufffd"]


# Lines that belong together


def test_lines_that_belong_together_stay_one(log: Log, source: Any) -> None:
    log.path.write_text(TRACEBACK + NEXT)
    log.touch(log.path)
    first, second = source(begins=NGINX).read(10)
    assert first.record["message"].splitlines() == [
        "23873#23873: *5 lua entry thread aborted: runtime error: boom",
        "stack traceback:",
        "\tlog.lua:3: in function <log.lua:1>",
    ]
    assert (first.record["level"], second.record["level"]) == ("err", "warning")
    assert first.record["time"] == records.utc(time.mktime((2026, 11, 27, 19, 19, 18, 0, 0, -1)))


def test_the_last_one_is_waited_for_as_long_as_something_comes(log: Log, source: Any) -> None:
    log.path.write_text(NEXT + TRACEBACK)
    reading = source(begins=NGINX)
    assert len(reading.read(10)) == 1
    assert reading.read(10) == []
    log.touch(log.path)
    assert len(reading.read(10)) == 1


@pytest.mark.parametrize("limit", range(1, 9))
def test_wherever_the_limit_cuts_no_line_is_lost(log: Log, source: Any, limit: int) -> None:
    log.path.write_text((TRACEBACK + NEXT) * 3)
    log.touch(log.path)
    lines = all_of(source(begins=NGINX), limit)
    assert "".join(line.record["message"].count("\n") * "x" + "x" for line in lines) == "x" * 12
    if limit >= 4:  # otherwise no message fits
        assert len(lines) == 6


# Rotation


@pytest.mark.parametrize("rotation", ROTATIONS)
def test_a_rotation_that_is_seen_loses_nothing(log: Log, source: Any, rotation: str, dropped: Counter[str]) -> None:
    reading = source()
    seen: list[str] = []
    for number in range(3):
        log.write(f"{number}a", f"{number}b")
        seen += texts(reading.read(10))
        log.write(f"{number}c")
        ROTATIONS[rotation](log)
        seen += texts(all_of(reading))
    log.write("last")
    assert seen + texts(all_of(reading)) == log.written
    assert not dropped


@pytest.mark.parametrize("second", ROTATIONS)
@pytest.mark.parametrize("first", ROTATIONS)
def test_from_wherever_it_goes_on_after_rotations_it_brings_exactly_what_is_left(
    log: Log, source: Any, first: str, second: str, dropped: Counter[str]
) -> None:
    log.write("0a", "0b", "0c")
    positions = [line.position for line in source().read(10)]
    log.write("0d")
    ROTATIONS[first](log)
    log.write("1a", "1b")
    ROTATIONS[second](log)
    log.write("2a")
    for number, position in enumerate(positions, 1):
        rest = all_of(source(position), limit=2)
        assert texts(rest) == log.written[number:]
        for further, line in enumerate(rest, number + 1):
            assert texts(all_of(source(line.position))) == log.written[further:]
    assert not dropped


@pytest.mark.parametrize("rotation", ROTATIONS)
def test_reading_that_was_interrupted_goes_on_by_the_open_file(log: Log, source: Any, rotation: str) -> None:
    log.write("0a", "0b", "0c")
    reading = source()
    assert texts(reading.read(1)) == ["0a"]
    for number in (1, 2):
        ROTATIONS[rotation](log)
        log.write(*(f"{number} is longer than what was there before, {each}" for each in "abc"))
    assert ["0a", *texts(all_of(reading))] == log.written


@pytest.mark.parametrize("begins", ["", r"\d+ "])
@pytest.mark.parametrize("seed", range(30))
def test_in_whatever_order_it_happens_each_line_comes_once_and_in_order(
    log: Log, source: Any, seed: int, begins: str, dropped: Counter[str]
) -> None:
    chance = random.Random(seed)
    position: dict[str, Any] = {"identity": "", "offset": 0, "others": {}}
    reading, seen, number = source(position, begins=begins), [], 0
    for _ in range(60):
        step = chance.choice(["write", "write", "read", "read", "rotate", "compress", "restart"])
        if step == "write":
            lines = [f"{number + each} {'x' * chance.randrange(30)}" for each in range(chance.randrange(1, 6))]
            number += len(lines)
            log.write(*lines)
        elif step == "read":
            lines = reading.read(chance.randrange(1, 7))
            seen += texts(lines)
            position = lines[-1].position if lines else position
        elif step == "rotate" and log.path.exists() and log.path.stat().st_size:
            chance.choice([Log.rename, Log.copytruncate])(log)
        elif step == "compress" and Path(f"{log.path}.1").exists():
            log.compress()
        elif step == "restart":
            reading = source(position, begins=begins)
    seen += texts(all_of(reading))
    assert seen == [re.sub(begins, "", line, count=1) if begins else line for line in log.written]
    assert not dropped


def test_an_emptied_file_that_has_grown_beyond_the_position_is_not_taken_for_the_old_one(
    log: Log, source: Any, dropped: Counter[str]
) -> None:
    log.write("a")
    reading = source()
    assert texts(reading.read(10)) == ["a"]
    log.copytruncate()
    log.write("another one, which is longer")
    assert texts(all_of(reading)) == ["another one, which is longer"]
    assert not dropped


def test_what_a_program_still_writes_to_the_file_that_was_renamed_is_read_and_nothing_twice(
    log: Log, source: Any
) -> None:
    log.write("0a")
    reading = source()
    assert texts(reading.read(10)) == ["0a"]
    log.rename()
    log.write("1a")
    assert texts(all_of(reading)) == ["1a"]
    log.write("0b", name=".1")
    assert texts(all_of(reading)) == ["0b"]
    log.write("1b")
    last = reading.read(10)
    assert texts(last) == ["1b"]
    assert all_of(source(last[-1].position)) == []


def test_a_new_file_waits_until_the_renamed_one_has_all_its_lines(
    log: Log, source: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.write("0a")
    reading = source()
    assert texts(reading.read(10)) == ["0a"]
    with log.path.open("a") as file:
        file.write("0")  # just now
    log.rename()
    log.write("1a")
    os.utime(log.path)
    assert reading.read(10) == []
    with Path(f"{log.path}.1").open("a") as file:
        file.write("b\n")
    assert texts(all_of(reading)) == ["0b", "1a"]


def test_of_a_rotated_file_the_last_line_counts_also_without_an_end(log: Log, source: Any) -> None:
    log.path.write_text("one\nkilled in the mid")
    log.touch(log.path)
    log.rename()
    log.write("new")
    position = {"identity": "", "offset": 0, "others": {}}
    assert texts(all_of(source(position))) == ["one", "killed in the mid", "new"]


def test_a_file_that_was_read_may_be_compressed_at_leisure(log: Log, source: Any) -> None:
    """It is young for a while, and its first lines are readable before the last ones are there."""
    log.write(*MANY)
    log.rename()
    log.write("new")
    position = {"identity": "", "offset": 0, "others": {}}
    reading = source(position)
    assert texts(all_of(reading, limit=500)) == log.written
    plain, packed = Path(f"{log.path}.1"), Path(f"{log.path}.1.gz")
    whole = gzip.compress(plain.read_bytes())
    for part in (10, len(whole) // 2, len(whole)):
        packed.write_bytes(whole[:part])
        assert all_of(reading) == []
        assert reading.problem == ""
    plain.unlink()
    assert all_of(reading) == []
    log.write("newer")
    assert texts(all_of(reading)) == ["newer"]


def test_a_compressed_file_that_is_cut_off_is_told_and_the_next_is_read(
    log: Log, source: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    log.write(*MANY)
    log.rename_and_compress()
    packed = Path(f"{log.path}.1.gz")
    packed.write_bytes(packed.read_bytes()[:50_000])
    log.touch(packed)
    log.write("new")
    reading = source({"identity": "", "offset": 0, "others": {}})
    assert texts(reading.read(10_000))[-1] == "new"
    assert "end-of-stream" in reading.problem
    reading.read(10)
    assert capsys.readouterr().err.count("cannot be read") == 1


def test_at_first_what_was_rotated_before_counts_as_read(log: Log, source: Any) -> None:
    log.write("old")
    log.rename()
    log.write("new")
    reading = source()
    assert texts(all_of(reading)) == ["new"]
    log.touch(Path(f"{log.path}.1"))
    assert all_of(reading) == []


# What is gone


def test_when_the_file_that_was_read_is_gone_it_goes_on_with_the_oldest_that_is_left(
    log: Log, source: Any, dropped: Counter[str]
) -> None:
    log.write("0a")
    position = source().read(10)[-1].position
    for number in (1, 2, 3):
        log.rename()
        log.write(f"{number}a")
    log.named(3).unlink()
    reading = source(position)
    assert texts(all_of(reading)) == ["1a", "2a", "3a"]
    assert dropped == {"file gone": 1}
    all_of(reading)
    assert dropped == {"file gone": 1}


def test_when_the_youngest_is_deleted_older_ones_do_not_come_again(
    log: Log, source: Any, dropped: Counter[str]
) -> None:
    log.write("0a")
    reading = source()
    read = reading.read(10)
    log.rename()
    log.write("1a")
    read += all_of(reading)
    log.path.unlink()
    reading = source(read[-1].position)
    assert all_of(reading) == []
    log.write("2a")
    assert texts(read + all_of(reading)) == log.written
    assert dropped == {"file gone": 1}


def test_a_deleted_file_is_read_to_its_end_while_it_is_open(log: Log, source: Any, dropped: Counter[str]) -> None:
    log.write("0a", "0b", "0c")
    reading = source()
    assert texts(reading.read(1)) == ["0a"]
    log.path.unlink()
    log.write("1a")
    assert texts(all_of(reading)) == ["0b", "0c", "1a"]
    assert not dropped


def test_a_deleted_file_that_cannot_be_read_to_its_end_is_gone(log: Log, source: Any, dropped: Counter[str]) -> None:
    log.write(*MANY)
    log.rename_and_compress()
    packed = Path(f"{log.path}.1.gz")
    packed.write_bytes(packed.read_bytes()[:50_000])
    log.touch(packed)
    reading = source({"identity": "", "offset": 0, "others": {}})
    assert texts(reading.read(1)) == MANY[:1]
    packed.unlink()
    log.write("new")
    assert reading.read(10_000) == []
    assert "end-of-stream" in reading.problem
    assert texts(all_of(reading)) == ["new"]
    assert (reading.problem, dropped) == ("", {"file gone": 1})


def test_a_name_that_is_missing_for_a_moment_is_looked_for_again(
    log: Log, source: Any, dropped: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    log.write("0a")
    log.rename()
    log.write("1a")
    position = {"identity": "", "offset": 0, "others": {}}
    position = all_of(source(position))[0].position
    reading = source(position)
    with monkeypatch.context() as moment:
        moment.setattr(files, "first_line", lambda path: "" if path.endswith(".1") else files.digest(b"1a\n"))
        assert reading.read(10) == []
    assert texts(all_of(reading)) == ["1a"]
    assert not dropped


# What cannot be read


def test_a_file_that_may_not_be_read_is_told_once_and_others_go_on(
    log: Log, source: Any, dropped: Counter[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log.write("one")
    log.write("other", name=".other")
    reading, other = source(), source(path=f"{log.path}.other")
    real = files.opened

    def refused(path: str) -> Any:
        if path == str(log.path):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    with monkeypatch.context() as forbidden:
        forbidden.setattr(files, "opened", refused)
        assert [reading.read(10) for _ in range(3)] == [[], [], []]
        assert texts(other.read(10)) == ["other"]
        assert reading.problem == f"[Errno 13] Permission denied: '{log.path}'"
    assert capsys.readouterr().err == f"<3>a {log.path} cannot be read: {reading.problem}\n"
    assert texts(reading.read(10)) == ["one"]
    assert reading.problem == ""
    assert not dropped


def test_of_several_files_one_that_may_not_be_read_costs_no_line_of_the_others(
    log: Log, source: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("1", "2", "3"):
        log.write(name, name=f"-{name}")
    real = files.opened

    def refused(path: str) -> Any:
        if path.endswith("-2"):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    reading = source(path=f"{log.path}-*")
    with monkeypatch.context() as forbidden:
        forbidden.setattr(files, "opened", refused)
        assert texts(reading.read(10)) == ["1", "3"]
    assert texts(reading.read(10)) == ["2"]


# Several


def test_several_files_of_a_pattern_are_read_while_all_are_written(log: Log, source: Any) -> None:
    reading = source(path=f"{log.path}-*.log")
    seen: list[str] = []
    for number in range(4):
        for name in ("1", "2"):
            log.write(f"{name} {number}", name=f"-{name}.log")
        os.utime(f"{log.path}-1.log")  # busy
        seen += texts(reading.read(10))
    assert sorted(seen) == sorted(log.written)
    for name in ("1", "2"):
        assert [text for text in seen if text[0] == name] == [text for text in log.written if text[0] == name]


def test_several_files_of_a_pattern_go_on_where_they_were(log: Log, source: Any) -> None:
    pattern = f"{log.path}-*.log"
    for name in ("1", "2"):
        log.write(*(f"{name} {number}" for number in range(3)), name=f"-{name}.log")
    lines = all_of(source(path=pattern), limit=2)
    assert sorted(texts(lines)) == sorted(log.written)
    for number, line in enumerate(lines, 1):
        assert sorted(texts(lines[:number] + all_of(source(line.position, path=pattern)))) == sorted(log.written)


def test_two_files_that_begin_with_the_same_line_are_told_of_and_others_go_on(
    log: Log, source: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("1", "2", "3"):
        log.write("started" if name < "3" else "three", f"of {name}", name=f"-{name}.log")
    reading = source(path=f"{log.path}-*.log")
    seen = texts(all_of(reading, limit=10))
    assert {"three", "of 3"} < set(seen)
    assert reading.problem == f"{log.path}-2.log begins with the same line as {log.path}-1.log, and is taken for it"
    assert capsys.readouterr().err.count("\n") == 1, "it is told once"


# Times


@pytest.mark.parametrize(
    ("told", "understood"),
    [
        ("2026-11-27T19:19:18Z", "2026-11-27T19:19:18.000000Z"),
        ("2026-11-27T20:19:18.25+01:00", "2026-11-27T19:19:18.250000Z"),
        ("2026-11-27 19:22:14.521 UTC", "2026-11-27T19:22:14.521000Z"),
    ],
)
def test_the_time_is_that_which_the_program_tells(told: str, understood: str) -> None:
    assert files.record(f'{{"time": "{told}", "msg": "x"}}\n'.encode(), None, program="a")["time"] == understood


@pytest.mark.parametrize("told", ['"0001-01-01T00:00:00Z"', '"0001-01-01"', '"soon"', "1801051200000", "null"])
def test_a_time_that_is_none_is_that_of_the_reading(told: str) -> None:
    said = files.record(f'{{"time": {told}, "msg": "x"}}\n'.encode(), None, program="a")["time"]
    assert files.moment(said) == pytest.approx(time.time(), abs=60)


@pytest.mark.parametrize("told", ["9999-12-31T23:59:59", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_no_time_is_too_strange(told: str) -> None:
    said = files.record(f'{{"time": "{told}", "msg": "x"}}\n'.encode(), None, program="a")["time"]
    assert files.moment(said)
