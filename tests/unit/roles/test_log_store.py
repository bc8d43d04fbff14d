"""The store of logs: what is read, kept and found there, whatever happens to its files."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.airworthy.stack.plugins.module_utils.exporter_figures import Figures
from log_files import (
    COMMAND,
    LONG_AGO,
    NOW,
    PROGRAM,
    TODAY,
    YESTERDAY,
    Killed,
    Killer,
    kept,
    line,
    lines,
    names,
    numbers,
    put,
    record,
    run,
    unpacked,
)
from role_programs import program_directory

with program_directory(PROGRAM):
    import digest
    import digest_page
    import display
    import keeping
    import kinds
    import period
    import reading
    import report
    import retention
    import salvage
    import search
    import staging
    import store
    import wanted
    import zstd_command

pytestmark = pytest.mark.skipif(not shutil.which(zstd_command.ZSTD), reason="the command zstd is not installed")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    directory = tmp_path / "airworthy"
    directory.mkdir()
    return directory


# Lines that a crash has left

WHOLE = line(record(1)).strip()
NEXT = line(record(2)).strip()
STRANGE = b'{"message":"not understood","host":"web1","received":"2026-11-26T00:00:00.000000Z"}'
NESTED = line(record(3, fields={"host": "a", "message": "b", "time": "c", "id": "d"}, journal={})).strip()


def test_a_record_is_saved_wherever_the_one_before_it_was_cut_off() -> None:
    for cut in range(1, len(NESTED)):
        found, is_broken = salvage.records_of(NESTED[:cut] + NEXT + b"\n")
        assert [each.text for each in found] == [NEXT], cut
        assert is_broken


def test_an_object_in_a_line_that_was_cut_off_is_no_record() -> None:
    for cut in range(1, len(NESTED)):
        assert salvage.records_of(NESTED[:cut]) == ([], True), cut


@pytest.mark.parametrize(
    ("text", "found", "is_broken"),
    [
        (WHOLE + NEXT, [WHOLE, NEXT], False),
        (WHOLE + NEXT[:40], [WHOLE], True),
        (WHOLE[:40] + NEXT + WHOLE[:40] + WHOLE, [NEXT, WHOLE], True),
        (b"\0" * 5000 + WHOLE, [WHOLE], True),
        (WHOLE + b"\0" * 5000 + NEXT, [WHOLE, NEXT], True),
        (WHOLE[:40] + STRANGE, [STRANGE], True),
        (WHOLE + b" x", [WHOLE], True),
        (b"\n", [], False), (b"\0\n", [], True), (b"7", [], True), (b"[]", [], True), (b"{", [], True),
        (b'{"a":' * 50_000, [], True),
        (b'{"message":"' + b"\xff" + b'"}', ['{"message":"\ufffd"}'.encode()], False),
    ],
)  # fmt: skip
def test_of_a_broken_line_is_kept_what_parses(text: bytes, found: list[bytes], is_broken: bool) -> None:
    records, broken = salvage.records_of(text)
    assert ([each.text for each in records], broken) == (found, is_broken)


def test_a_line_may_be_longer_than_memory_allows(root: Path) -> None:
    log = put(root, b"\0" * 3_000_000 + line(record(1)) + b"x" * 2_000_000 + line(record(2)) + line(record(3)))
    assert numbers(log) == [1, 2, 3]


# Duplicates


def test_a_line_that_arrived_twice_is_read_once_and_one_without_an_id_as_often_as_it_came(root: Path) -> None:
    without = line({"message": "not understood", "host": "web1"})
    log = put(root, lines([1, 2, 1, 3, 2]) + without + without)
    counts = reading.Counts()
    assert len(list(reading.records(log, counts))) == 5
    assert (counts.lines, counts.duplicates, counts.broken) == (5, 2, 0)


def test_a_window_remembers_the_last_ids() -> None:
    window = reading.Window(2)
    assert [window.has_seen(identity) for identity in "aabcab"] == [False, True, False, False, False, False]


# Keeping


def test_a_day_that_is_over_is_compressed_without_duplicates_and_broken_lines(root: Path, tmp_path: Path) -> None:
    log = put(root, lines([1, 2, 1]) + WHOLE[:50] + lines([3]))
    figures = tmp_path / "figures.prom"
    began = time.time()
    assert kept(root, figures=figures) == 0
    assert names(root) == ["web1/app/2026-11-26.jsonl.zst"]
    assert unpacked(log.packed) == lines([1, 2, 3])
    status = log.packed.stat()
    assert (status.st_mode & 0o7777, status.st_mtime) == (0o640, LONG_AGO)
    told = Figures.of(figures.read_text())
    assert told.unread == 0
    assert {name.removeprefix("airworthy_log_store_"): value for name, labels, value in told.samples if not labels} == {
        "oldest_day_timestamp_seconds": datetime(2026, 11, 26, tzinfo=UTC).timestamp(),
        "kept_timestamp_seconds": pytest.approx(began, abs=60),
        "duplicates": 1, "broken_lines": 1, "removed_days": 0,
    }  # fmt: skip
    assert told.values("airworthy_log_store_lines", log_host="web1") == [3]
    assert told.values("airworthy_log_store_files", log_host="web1") == [1]
    assert told.values("airworthy_log_store_bytes", log_host="web1") == [status.st_size]


def test_another_run_changes_nothing(root: Path) -> None:
    log = put(root, lines([1, 2]))
    kept(root)
    before = log.packed.stat()
    assert kept(root) == 0
    assert log.packed.stat() == before


def test_a_file_that_may_be_written_to_is_left_alone(root: Path) -> None:
    put(root, lines([1], TODAY), TODAY)
    put(root, lines([1], TODAY + timedelta(days=1)), TODAY + timedelta(days=1))
    recent = put(root, lines([1]), program="recent")
    os.utime(recent.plain, (NOW.timestamp() - 3000,) * 2)
    before = names(root)
    assert kept(root) == 0
    assert names(root) == before


def test_late_lines_are_merged_with_what_is_compressed(root: Path) -> None:
    log = put(root, lines([1, 2, 3]))
    kept(root)
    put(root, lines([3, 4]))
    os.utime(log.plain, (LONG_AGO + 60,) * 2)
    assert numbers(log) == [1, 2, 3, 4]
    assert kept(root) == 0
    assert names(root) == ["web1/app/2026-11-26.jsonl.zst"]
    assert unpacked(log.packed) == lines([1, 2, 3, 4])


@pytest.mark.parametrize("is_before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("is_late", [False, True], ids=["first", "late"])
def test_whenever_it_is_killed_nothing_is_lost_and_the_next_run_puts_it_right(
    root: Path, monkeypatch: pytest.MonkeyPatch, is_late: bool, is_before: bool
) -> None:
    """More lines than are remembered: those of a file that is compressed already must not come twice."""
    monkeypatch.setattr(reading.read, "__defaults__", (None, 100))
    monkeypatch.setattr(reading.records, "__defaults__", (None, 100))
    whole = [*range(1000), 1001] if is_late else list(range(1000))

    def prepare() -> store.Log:
        shutil.rmtree(root)
        root.mkdir()
        log = put(root, lines(range(1000)))
        if is_late:
            assert kept(root) == 0
            put(root, lines([999, 1001]))
            os.utime(log.plain, (LONG_AGO + 60,) * 2)
        return log

    deaths = 0
    for at in range(1, 100):
        log = prepare()
        with monkeypatch.context() as patched:
            killer = Killer(patched, at, is_before)
            try:
                kept(root)
                is_killed = False
            except Killed:
                is_killed = True
        if not is_killed:
            assert killer.count < at
            break
        deaths += 1
        assert numbers(log) == whole, at
        assert kept(root) == 0
        assert names(root) == ["web1/app/2026-11-26.jsonl.zst"], at
        assert unpacked(log.packed) == lines(whole), at
    assert deaths >= 10


@pytest.mark.parametrize("seed", range(2))
def test_a_real_kill_loses_nothing(root: Path, seed: int) -> None:
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    logs = [put(root, lines(range(5000), yesterday), yesterday, program=f"app{number}") for number in range(3)]
    for log in logs:
        os.utime(log.plain, (time.time() - 7200,) * 2)
    command = [*COMMAND, "keep", "--store", str(root), "--days", "9", "--max-mb", "99"]
    with subprocess.Popen(command) as process:
        time.sleep(random.Random(seed).uniform(0.1, 0.5))
        process.send_signal(signal.SIGKILL)
    assert [numbers(log) for log in logs] == [list(range(5000))] * 3
    assert run(*command[len(COMMAND) :]).returncode == 0
    assert names(root) == [f"web1/app{number}/{yesterday}.jsonl.zst" for number in range(3)]
    assert [numbers(log) for log in logs] == [list(range(5000))] * 3


def test_what_is_written_to_while_it_is_compressed_waits(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = put(root, lines([1]))
    give = staging.give

    def write_and_give(*arguments: Any) -> None:
        with log.plain.open("ab") as file:
            file.write(lines([2]))
        give(*arguments)

    monkeypatch.setattr(staging, "give", write_and_give)
    assert kept(root) == 1
    assert names(root) == ["web1/app/2026-11-26.jsonl"]
    assert numbers(log) == [1, 2]
    assert "was written to meanwhile" in capsys.readouterr().err


def test_a_full_disk_is_told_and_loses_nothing(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is the disk of the compressed file that is full. More is written than fits into a pipe."""
    text = lines(range(30_000), message="x" * 100)
    log = put(root, text)
    old = put(root, lines([1]), date(2026, 1, 1))
    figures = tmp_path / "figures.prom"
    figures.write_text("airworthy_log_store_kept_timestamp_seconds 1234.5\n")
    full = tmp_path / "zstd"
    full.write_text(f'#!/bin/sh\nexec {shutil.which("zstd")} "$@" >/dev/full\n')
    full.chmod(0o755)
    monkeypatch.setattr(zstd_command, "ZSTD", str(full))
    assert kept(root, figures=figures) == 1
    assert re.search(r"2026-11-26\.jsonl stays as it is: .*No space left on device", capsys.readouterr().err)
    assert names(root) == ["web1/app/2026-11-26.jsonl"]
    assert log.plain.read_bytes() == text
    assert not old.plain.exists()  # what is too old goes all the same
    assert Figures.of(figures.read_text()).values("airworthy_log_store_kept_timestamp_seconds") == [1234.5]


def test_a_damaged_file_is_named_and_does_not_stop_the_rest(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damaged = put(root, lines(range(20_000)))
    kept(root)
    damaged.packed.write_bytes(damaged.packed.read_bytes()[:-9000])
    put(root, lines([20_001]))
    other = put(root, lines([1]), program="other")
    before = damaged.packed.read_bytes()
    assert kept(root) == 1
    assert f"{damaged.packed} is damaged" in capsys.readouterr().err
    assert damaged.packed.read_bytes() == before
    assert damaged.plain.read_bytes() == lines([20_001])
    assert other.packed.exists()

    answer = run("search", "--store", root, "--since", "2026-11-26", "--short")
    assert answer.returncode == 1
    assert f"{damaged.packed} is damaged" in answer.stderr
    assert "said 20001" in answer.stdout
    assert "said 1\n" in answer.stdout


def test_two_runs_at_once_are_impossible(root: Path) -> None:
    put(root, lines([1]))
    with keeping.alone(root):
        answer = run("keep", "--store", root, "--days", 9, "--max-mb", 9)
        assert (answer.returncode, answer.stderr) == (1, f"another run keeps {root}, and has not ended\n")
    assert run("keep", "--store", root, "--days", 9, "--max-mb", 9).returncode == 0


def test_figures_name_a_host_whatever_its_name_is(root: Path, tmp_path: Path) -> None:
    put(root, lines([1]), host='we"b\\1')
    figures = tmp_path / "figures.prom"
    kept(root, figures=figures)
    told = Figures.of(figures.read_text())
    assert told.unread == 0
    assert told.values("airworthy_log_store_files", log_host='we\\"b\\\\1') == [1]


# Retention


def test_what_is_too_old_goes_by_the_name_of_its_file(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for ago in (2, 3, 4):
        put(root, lines([ago]), TODAY - timedelta(days=ago))
    put(root, lines([9]), TODAY - timedelta(days=9), host="web2", program="gone")
    assert kept(root, days=3) == 0
    assert names(root) == ["web1/app/2026-11-24.jsonl.zst", "web1/app/2026-11-25.jsonl.zst"]
    assert not (root / "web2").exists()
    said = capsys.readouterr().out
    assert "2026-11-18 is removed, 0.0 MiB of all hosts: older than 3 days\n2026-11-23 is removed" in said


def test_of_too_much_the_oldest_day_of_all_hosts_goes_first_and_never_today(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(1)
    noise = b"".join(lines([number], message=chance.randbytes(60_000).hex()) for number in range(20))
    for host, ago in (("web1", 1), ("web1", 2), ("db1", 3), ("web1", 3)):
        put(root, noise, TODAY - timedelta(days=ago), host=host)
    put(root, noise[: len(noise) // 3], TODAY)
    assert kept(root, max_mb=2) == 0
    assert names(root) == ["web1/app/2026-11-26.jsonl.zst", "web1/app/2026-11-27.jsonl"]
    assert re.findall(r"(\S+) is removed.*: (.*)", capsys.readouterr().out) == [
        ("2026-11-24", "all logs may take 2 MiB"), ("2026-11-25", "all logs may take 2 MiB"),
    ]  # fmt: skip
    assert kept(root, max_mb=1) == 0
    assert names(root) == ["web1/app/2026-11-27.jsonl"]


def test_no_more_days_go_than_have_to() -> None:
    log = store.Log(TODAY, "h", "p", Path("/nowhere"))
    files = [store.Stored(log._replace(day=TODAY - timedelta(days=ago)), Path("x"), 10) for ago in range(5)]
    assert retention.too_much(files, TODAY, 50) == []
    assert retention.too_much(files, TODAY, 49) == [date(2026, 11, 23)]
    assert len(retention.too_much(files, TODAY, 0)) == 4


def test_what_is_none_of_ours_is_neither_read_nor_removed(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "2026-01-01.jsonl").write_bytes(lines([1]))
    (outside / "2026-11-26.jsonl").write_bytes(lines([2]))
    log = put(root, lines([3]), program="app")
    log.packed.symlink_to(outside / "2026-11-26.jsonl")
    (root / "web1" / "link").symlink_to(outside)
    (root / "link").symlink_to(tmp_path)
    for name in ("notes", "2026-13-01.jsonl", "2026-01-01.jsonl.gz", ".2026-01-01.jsonl", "0001-01-01.jsonl"):
        (log.directory / name).write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    assert kept(root) == 1  # a link where the compressed file should be
    assert sorted(tmp_path.rglob("*")) == before
    assert "said 2" not in run("search", "--store", root, "--since", "2026-11-01", "--host", "../outside").stdout


# Searching


@pytest.fixture
def site(root: Path) -> Path:
    """Two hosts. The first program's day before is compressed."""
    put(root, lines(range(0, 1440, 10)), program="app")
    kept(root)
    put(root, lines([600, 610], TODAY, level="err", request_id="5f0c"), TODAY)
    refused = {"program": "nginx-access", "message": "", "fields": {"path": "/a?", "status": 502}}
    put(root, lines([605, 615], TODAY, host="web2", **refused), TODAY, host="web2", program="nginx-access")
    put(root, lines([607], TODAY, program="cron", host="web2", level="notice", id="only-1"), TODAY, "web2", "cron")
    return root


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ([], "600 605 607 610 615"),
        (["--host", "web1"], "600 610"), (["--host", "web1", "--host", "web2"], "600 605 607 610 615"),
        (["--host", "*2"], "605 607 615"), (["--host", "web"], ""),
        (["--program", "cron"], "607"), (["--program", "nginx-*", "--program", "app"], "600 605 610 615"),
        (["--request-id", "5f0c"], "600 610"), (["--request-id", "5f0"], ""), (["--id", "only-1"], "607"),
        (["--level", "notice"], "600 607 610"), (["--level", "err"], "600 610"), (["--level", "crit"], ""),
        (["--match", "said 6.0$"], "600 610"), (["--match", '"status": 502'], "605 615"), (["--match", "nothing"], ""),
        (["--until", "2026-11-27T10:07:00Z"], "600 605"), (["--since", "2026-11-27T11:10:00+01:00"], "610 615"),
        (["--level", "notice", "--host", "web2", "--match", "said"], "607"),
    ],
)  # fmt: skip
def test_each_option_narrows_what_is_found(site: Path, asked: list[str], found: str) -> None:
    since = [] if "--since" in asked else ["--since", "2026-11-27"]
    answer = run("search", "--store", site, "--json", *since, *asked)
    minutes = [json.loads(said)["time"][11:16] for said in answer.stdout.splitlines()]
    assert " ".join(str(60 * int(text[:2]) + int(text[3:])) for text in minutes) == found
    assert (answer.returncode, answer.stderr) == (0 if found else 1, "")


def test_what_is_compressed_is_found_too_and_merged_by_time(site: Path) -> None:
    put(site, lines(range(5, 1440, 10), host="web2"), host="web2")
    answer = run("search", "--store", site, "--json", "--since", "2026-11-26T12:00:00Z", "--until", "2026-11-27")
    times = [json.loads(said)["time"] for said in answer.stdout.splitlines()]
    assert len(times) == 144
    assert times == sorted(times)


def test_only_days_that_can_hold_the_period_are_opened(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(site, lines([1], date(2026, 11, 20)), date(2026, 11, 20))
    read: list[date] = []

    def noted(log: store.Log, *_: Any, **_options: Any) -> Iterator[salvage.Found]:
        read.append(log.day)
        return iter(())

    monkeypatch.setattr(reading, "records", noted)
    asked = wanted.Wanted(period.Period(period.asked("2026-11-27T10:00:00Z", NOW), period.ENDLESS))
    assert not list(search.Search(site, asked).entries())
    assert set(read) == {YESTERDAY, TODAY}


@pytest.mark.parametrize(
    ("arguments", "ago", "is_found"),
    [
        ([], 1800, True), ([], 4000, False), (["--request-id", "5f0c"], 4000, True), (["--id", "x"], 6 * 86400, True),
        (["--id", "x"], 8 * 86400, False), (["--since", "-2h"], 4000, True), (["--since=-30m"], 4000, False),
        (["--since", "9d", "--until", "-7d"], 8 * 86400, True),
    ],
)  # fmt: skip
def test_the_period_is_an_hour_unless_it_is_told_or_an_id_is_asked_for(
    root: Path, arguments: list[str], ago: int, is_found: bool
) -> None:
    moment = datetime.now(UTC) - timedelta(seconds=ago)
    found = record(1, moment.date(), time=period.text_of(moment), request_id="5f0c", id="x")
    put(root, line(found), moment.date())
    assert run("search", "--store", root, *arguments).returncode == (0 if is_found else 1)


def test_a_record_without_a_time_is_as_old_as_the_one_before_it(root: Path) -> None:
    put(root, lines([600]) + line({"message": "not understood", "host": "web1"}) + lines([700]))
    asked = ("--since", "2026-11-26T09:00:00Z", "--until", "2026-11-26T11:00:00Z")
    answer = run("search", "--store", root, "--short", *asked)
    assert answer.stdout.splitlines() == [
        "2026-11-26T10:00:00.000000Z web1 app info said 600", "2026-11-26T10:00:00.000000Z web1 - - not understood",
    ]  # fmt: skip


def test_no_filter_of_lines_hides_a_record_that_is_glued_to_another(root: Path) -> None:
    put(root, line(record(1))[:70] + lines([700], fields={"time": "x"}))
    answer = run("search", "--store", root, "--since", "2026-11-26T11:00:00Z", "--until", "2026-11-26T12:00:00Z")
    assert json.loads(answer.stdout)["message"] == "said 700"


def test_no_log_plays_tricks_with_a_terminal() -> None:
    evil = "\x1b[2J\r\n\x07\x9b\x7f\u202e\u200b\u2028\ud800 ä€ \\"
    entry = search.Entry("t", "web1", record(1, message=evil, program="a\nb", level="\x1b"))
    shown = display.as_line(entry)
    assert shown == r"t web1 a\nb \x1b \x1b[2J\r\n\x07\x9b\x7f\u202e\u200b\u2028\ud800 ä€ " + "\\"
    assert re.fullmatch(r"[ -~]+", display.as_json(entry))
    assert json.loads(display.as_json(entry))["message"] == evil


@pytest.mark.parametrize("form", ["--json", "--short"])
def test_who_closes_the_pipe_gets_no_traceback(root: Path, form: str) -> None:
    log = put(root, lines(range(20_000)))
    kept(root)
    assert log.packed.exists()
    command = [*COMMAND, "search", "--store", str(root), "--since", "2026-11-26", form]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(20) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "required: COMMAND"), (["search", "--since", "soon"], "'soon' is no time: 2026-11-27"),
        (["search", "--match", "("], "is no regular expression"), (["search", "--level", "bad"], "invalid choice"),
        (["search", "--json", "--short"], "not allowed with"), (["search", "--req", "x"], "unrecognized arguments"),
        (["keep", "--days", "0", "--max-mb", "1"], "'0' is no number above 0"), (["keep", "--days", "1"], "--max-mb"),
    ],
)  # fmt: skip
def test_wrong_use_is_said_and_ends_with_2(arguments: list[str], said: str) -> None:
    answer = run(*arguments)
    assert answer.returncode == 2
    assert said in answer.stderr


def test_a_store_that_does_not_exist_is_no_empty_one(tmp_path: Path) -> None:
    answer = run("search", "--store", tmp_path / "nowhere")
    assert (answer.returncode, answer.stderr) == (1, f"{tmp_path}/nowhere is no directory\n")


# What went wrong


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("timeout after 30.5 s (attempt 3)", "timeout after <n> s (attempt <n>)"),
        ('relation "users" does not exist', "relation <text> does not exist"),
        ("can't open 'a b': it isn't there", "can't open <text>: it isn't there"),
        ("order 4f1b3a52-0c11-4d4e-9b4f-2a4a1e3c5d6f failed", "order <id> failed"),
        ("commit 3fa9c1e7b2 at 0x7f3a", "commit <id> at <id>"),
        ("connect 10.0.0.7:5432 and [2001:db8::1]:443 and ::1", "connect <address> and <address> and <address>"),
        ("2026-11-26T10:00:00.5Z std::bad_alloc", "<time> std::bad_alloc"),
        ("GET /users/42/a1b2c3d4e5f6a7b8c9/edit", "GET /users/<n>/<id>/edit"),
        ("\n  Error: x\n    at a.js:1:2", "Error: x"),
        ("facade defaced", "facade defaced"), ("", "(no message)"),
    ],
)  # fmt: skip
def test_a_kind_is_a_message_without_what_varies(said: str, kind: str) -> None:
    assert kinds.of({"message": said}, is_request=False) == kind


@pytest.mark.parametrize("piece", ['"', "'", "1.", ":", "a:", "1a", "/a1", "::", "[", "a-", "f"])
def test_no_message_takes_long(piece: str) -> None:
    began = time.process_time()
    kinds.of({"message": piece * 100_000}, is_request=False)
    assert time.process_time() - began < 0.5


def failures(root: Path) -> None:
    text = [lines([n], level="err", message=f"job {n} failed <b>&", request_id="r1" * (n == 2)) for n in range(3)]
    put(root, b"".join(text) + lines([4]) + text[0])
    put(root, lines([9], level="emerg", message="job 9 failed <b>&", host="web2"), host="web2")
    refused = {"method": "GET", "path": "/items/7", "status": 502}
    access = {"program": "nginx-access", "message": ""}
    text = [lines([1], **access, fields=refused), lines([2], **access, fields=refused | {"status": 499})]
    put(root, b"".join(text), program="nginx-access")


def test_errors_are_counted_by_program_and_kind(root: Path) -> None:
    failures(root)
    answer = run("errors", "--store", root, "--since", "2026-11-26", "--json")
    assert answer.returncode == 0
    told = json.loads(answer.stdout)
    assert told["others"] == 0
    assert told["kinds"] == [
        {
            "program": "app", "kind": "job <n> failed <b>&", "count": 4, "hosts": ["web1", "web2"],
            "first": "2026-11-26T00:00:00.000000Z", "last": "2026-11-26T00:09:00.000000Z",
            "example": "job 2 failed <b>&", "request_id": "r1",
        },
        {
            "program": "nginx-access", "kind": "GET /items/<n> → 502", "count": 1, "hosts": ["web1"],
            "first": "2026-11-26T00:01:00.000000Z", "last": "2026-11-26T00:01:00.000000Z",
            "example": '{"method": "GET", "path": "/items/7", "status": 502}', "request_id": "",
        },
    ]  # fmt: skip


def test_errors_are_told_as_a_table_and_as_a_page_that_stands_for_itself(root: Path) -> None:
    failures(root)
    table = run("errors", "--store", root, "--since", "2026-11-26").stdout.splitlines()
    times = ["2026-11-26T00:00:00Z", "2026-11-26T00:09:00Z"]
    assert table[1].split(None, 3) == ["4", *times, "app: job <n> failed <b>& (web1, web2)"]
    assert table[2].strip() == "e.g. job 2 failed <b>& request_id r1"
    page = run("errors", "--store", root, "--since", "2026-11-26", "--html").stdout
    assert "job &lt;n&gt; failed &lt;b&gt;&amp;" in page
    assert not re.search(r"<script|<b>&|https?:|src=|href=", page)
    assert 'name="viewport"' in page


def test_without_errors_there_is_good_news(root: Path) -> None:
    assert "No errors" in run("errors", "--store", root).stdout
    assert "No errors." in digest_page.page(digest.Digest(period.Period("a", "b"), [], 0))


def test_kinds_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest, "MOST", 2)
    entries = [search.Entry("t", "h", {"level": "err", "message": text}) for text in "abcabcdb"]
    found = digest.counted(entries, period.Period("a", "z"))
    assert [(kind.text, kind.count) for kind in found.kinds] == [("b", 3), ("a", 2)]
    assert found.others == 3
    assert "3  of other kinds" in digest.as_table(found)
    assert "<b>3</b>of other kinds" in digest_page.page(found)


def test_the_report_of_yesterday_replaces_itself_and_old_ones_go(root: Path, tmp_path: Path) -> None:
    failures(root)
    reports = tmp_path / "reports"
    for old in ("2026-10-28", "2026-10-27", "mine"):
        (reports / old).mkdir(parents=True)
    for _time in range(2):
        assert report.write(root, reports, 30, NOW, pages=[]) == 0
    assert sorted(path.name for path in reports.iterdir()) == ["2026-10-28", "2026-11-26", "index.html", "mine"]
    written = sorted((reports / "2026-11-26").iterdir())
    assert [path.name for path in written] == ["errors.html", "errors.json"]
    assert {path.stat().st_mode & 0o777 for path in written} == {0o640}
    told = json.loads(written[1].read_text())
    assert (told["since"], told["until"]) == ("2026-11-26T00:00:00.000000Z", "2026-11-27T00:00:00.000000Z")
    assert [kind["count"] for kind in told["kinds"]] == [4, 1]
