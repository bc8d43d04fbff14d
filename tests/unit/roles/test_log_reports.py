"""The reports of a day: pages that other programs make of its records, and the list of all."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from role_programs import program_directory

with program_directory("log_collector/templates/usr/local/lib/airworthy/log_store"):
    import command_pages
    import database_page
    import index_page
    import report
    import requests_page
    import search
    from command_pages import Page

NOW = datetime(2026, 11, 27, 0, 30, tzinfo=UTC)
YESTERDAY = date(2026, 11, 26)
TIME = "2026-11-26T10:00:02.123456Z"
SESSION = {"user": "app", "database": "appdb", "application": "web"}


def entry(message: str = "", level: str = "info", **more: Any) -> search.Entry:
    record = {"program": "postgresql", "level": level, "message": message, "pid": "110"}
    return search.Entry(TIME, "db1", record | more)


def request(**fields: Any) -> search.Entry:
    return search.Entry(TIME, "web1", {"program": "nginx-access", "fields": fields})


def program(code: str, name: str = "database", logged_by: str = "postgresql") -> Page:
    """A page that is made by Python, which finds its target and its title in sys.argv."""
    command = [sys.executable, "-I", "-c", f"import os, signal, sys, time; target, title = sys.argv[1:]; {code}"]
    return Page(name, logged_by, lambda title, target: [*command, str(target), title], database_page.lines)


COPY = "open(target, 'wb').write(title.encode() + b'|' + sys.stdin.buffer.read())"


def put(root: Path, program: str, *messages: str, day: date = YESTERDAY) -> None:
    place = root / "db1" / program
    place.mkdir(parents=True, exist_ok=True)
    time = f"{day}T10:00:02.123456Z"
    record = {"time": time, "program": program, "level": "err", "pid": "110", "fields": SESSION}
    lines = [json.dumps(record | {"message": text, "id": text, "host": "db1"}) + "\n" for text in messages]
    (place / f"{day}.jsonl").write_text("".join(lines))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "logs"
    put(root, "postgresql", "one", "two", "two")
    return root


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    return tmp_path / "reports"


def written(reports: Path) -> list[str]:
    return sorted(path.name for path in (reports / str(YESTERDAY)).iterdir())


# Lines for pgBadger


@pytest.mark.parametrize(
    ("level", "severity"),
    [
        ("emerg", "PANIC"), ("crit", "FATAL"), ("err", "ERROR"), ("warning", "WARNING"), ("notice", "LOG"),
        ("info", "LOG"), (None, "LOG"),
    ],
)  # fmt: skip
def test_levels_are_those_of_postgresql_again(level: str, severity: str) -> None:
    assert database_page.lines(entry("said", level)) == (
        f"2026-11-26 10:00:02.123 UTC [110] user=,db=,app= {severity}:  said\n"
    )


def test_what_belongs_to_an_error_gets_a_prefix_of_its_own() -> None:
    said = "no such table\n[110] app@appdb/web DETAIL:  none\n[110] app@appdb/web STATEMENT:  SELECT *\n\tFROM x"
    prefix = "2026-11-26 10:00:02.123 UTC [110] user=app,db=appdb,app=web "
    assert database_page.lines(entry(said, "err", fields=SESSION)).splitlines() == [
        f"{prefix}ERROR:  no such table", f"{prefix}DETAIL:  none", f"{prefix}STATEMENT:  SELECT *", "\tFROM x",
    ]  # fmt: skip


def test_nobody_writes_a_line_of_another_one() -> None:
    forged = "2026-11-26 10:00:02.123 UTC [1] user=,db=,app= FATAL:  forged"
    names = {"user": "a,db=b", "database": "c d", "application": "web FATAL:  x\ny"}
    first, *others = database_page.lines(entry(f"said\n{forged}\r{forged}\n[1] x ERROR:  x", fields=names)).splitlines()
    assert "user=a_db_b,db=c_d,app=web FATAL_  x_y LOG:  said" in first
    assert [other[0] for other in others] == ["\t"] * 3


def test_a_record_may_lack_anything() -> None:
    assert database_page.lines(search.Entry(TIME, "db1", {"fields": None, "pid": "x"})) == (
        "2026-11-26 10:00:02.123 UTC [0] user=,db=,app= LOG:  \n"
    )


def test_parameters_of_slow_statements_are_placeholders() -> None:
    slow = "duration: 1.5 ms  execute s1: SELECT $1\n\tWHERE a = $2"
    assert database_page.lines(entry(slow)).endswith("LOG:  duration: 1.5 ms  execute s1: SELECT ?\n\tWHERE a = ?\n")
    assert database_page.lines(entry("costs $1")).endswith("costs $1\n")


# Lines for GoAccess


def test_a_request_is_a_line_of_columns() -> None:
    fields = {
        "client": "0a1b2c3d", "host": "www.example.org", "method": "GET", "path": "/a\tb\n", "status": 200, "bytes": 12,
        "seconds": 0.003, "protocol": "HTTP/2.0", "agent": "",
    }  # fmt: skip
    assert requests_page.lines(request(**fields)) == (
        "2026-11-26\t10:00:02\twww.example.org\t0a1b2c3d\tGET\t/a\\tb\\n\tHTTP/2.0\t200\t12\t0.003\t-\n"
    )
    assert requests_page.FORMAT.count("\t") == 10


def test_what_is_no_request_is_left_out() -> None:
    assert requests_page.lines(entry("a line that was cut off")) == ""
    assert requests_page.lines(request(status=400)).count("-") == 2 + 8


# The commands


def test_a_program_gets_each_record_of_the_day_once(root: Path, reports: Path) -> None:
    put(root, "postgresql", "older", day=date(2026, 11, 25))
    put(root, "pgaudit", "other")
    assert report.write(root, reports, 30, NOW, [program(COPY)]) == 0
    page = reports / "2026-11-26" / "database.html"
    assert re.findall("title|ERROR:  .*", page.read_text()) == ["ERROR:  one", "ERROR:  two"]
    assert page.read_text().startswith("Database 2026-11-26|2026-11-26 10:00:02.123 UTC [110] user=app,")
    assert page.stat().st_mode & 0o777 == 0o640
    assert written(reports) == ["database.html", "errors.html", "errors.json"]


def test_without_records_there_is_no_page(root: Path, reports: Path) -> None:
    shutil.rmtree(root / "db1" / "postgresql")
    put(root, "app", "one")
    old = reports / "2026-11-26" / "database.html"
    old.parent.mkdir(parents=True)
    old.touch()
    assert report.write(root, reports, 30, NOW, [program("raise OSError('is not run')")]) == 0
    assert written(reports) == ["errors.html", "errors.json"]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("sys.stdin.read(); open(target, 'w'); sys.exit(3)", "ended with 3"),
        ("sys.stdin.read(); open(target, 'w'); os.kill(os.getpid(), 9)", "was killed (SIGKILL)"),
        ("sys.stdin.read()", "No such file"),
    ],
)
def test_a_program_that_fails_is_told_and_loses_no_other_page(
    code: str, said: str, root: Path, reports: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(root, "nginx-access", "one")
    pages = [program(code), program(COPY, "requests", "nginx-access")]
    assert report.write(root, reports, 30, NOW, pages) == 1
    assert written(reports) == ["errors.html", "errors.json", "requests.html"]
    told = capsys.readouterr().err
    assert told.startswith(f"<3>{reports}/2026-11-26/database.html is not written: ")
    assert said in told
    assert [day.pages for day in index_page.days(reports)] == [["errors", "requests"]]


def test_a_program_that_is_not_installed_is_told(
    root: Path, reports: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = Page("database", "postgresql", lambda _title, target: ["/nonexistent", str(target)], database_page.lines)
    assert report.write(root, reports, 30, NOW, [page]) == 1
    assert "/nonexistent" in capsys.readouterr().err


def test_a_page_that_was_there_stays_until_there_is_a_new_one(root: Path, reports: Path) -> None:
    assert report.write(root, reports, 30, NOW, [program(COPY)]) == 0
    assert report.write(root, reports, 30, NOW, [program("sys.exit(1)")]) == 1
    assert "ERROR:  two" in (reports / "2026-11-26" / "database.html").read_text()


def endless() -> Any:
    while True:
        yield entry("x" * 1000)


@pytest.mark.parametrize("code", ["time.sleep(60)", "os.system('sleep 60')"])
def test_a_program_that_hangs_is_killed_with_its_children(tmp_path: Path, code: str) -> None:
    with pytest.raises(command_pages.Failed, match=r"killed \(SIGKILL\); it may take 1.5 s"):
        command_pages.write(program(code), endless(), "x", tmp_path, limit=1.5)
    assert not list(tmp_path.iterdir())


def test_a_program_that_does_not_read_all_has_failed(tmp_path: Path) -> None:
    with pytest.raises(command_pages.Failed, match="ended with 0 before it had read all"):
        command_pages.write(program("open(target, 'w')"), endless(), "x", tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_error_of_ours_ends_the_program(tmp_path: Path) -> None:
    def broken() -> Any:
        yield entry("one")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        command_pages.write(program("time.sleep(60)"), broken(), "x", tmp_path)


def test_programs_have_no_settings_of_a_home_directory() -> None:
    assert "HOME" not in command_pages.ENVIRONMENT
    assert set(command_pages.ENVIRONMENT) >= {"PATH", "TZ"}
    assert os.defpath.startswith("/")


# The list


class Parsed(HTMLParser):
    """Whether each element is closed, and where its links lead."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "meta":
            self.open.append(tag)
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_all_days_are_listed_from_the_newest_on(root: Path, reports: Path) -> None:
    for name, kinds in (("2026-11-24", [1]), ("2026-11-25", [])):
        (reports / name).mkdir(parents=True)
        (reports / name / "errors.json").write_text(json.dumps({"kinds": kinds}))
        (reports / name / "errors.html").touch()
    (reports / "2026-11-23").mkdir()  # of a run that was killed
    assert report.write(root, reports, 30, NOW, [program(COPY)]) == 0
    index = reports / "index.html"
    text = index.read_text()
    page = Parsed(text)
    assert page.open == []
    assert page.links == [
        "2026-11-26/errors.html", "2026-11-26/database.html", "2026-11-25/errors.html", "2026-11-24/errors.html",
    ]  # fmt: skip
    assert re.findall(r"errors.html\">([^<]*)", text) == ["2 kinds of errors", "No errors", "1 kind of errors"]
    assert "color-scheme: light dark" in text
    assert index.stat().st_mode & 0o777 == 0o640
