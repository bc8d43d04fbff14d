"""The journal as journalctl prints it, and how PostgreSQL, PgBouncer and nginx begin their messages."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from role_programs import ROLES, program_directory

with program_directory("log_shipping/templates/usr/local/lib/airworthy/log_shipping"):
    import files
    import journal
    import records

SOURCES = sorted(ROLES.glob("*/templates/etc/airworthy/log_sources.d/*.json"))
GROUPS = {"time", "timestamp", "level", "user", "database", "application", "class", "command", "object_type", "object"}


def cursor(number: int, sequence: str = "ab") -> str:
    return f"s={sequence};i={number:x};b=1;m=2;t=3;x=4"


def entry(number: int, message: Any = "hello", **fields: Any) -> dict[str, Any]:
    return {
        "__CURSOR": cursor(number),
        "__REALTIME_TIMESTAMP": "1795800000250000",
        "_TRANSPORT": "journal",
        "_SYSTEMD_UNIT": "app@3000.service",
        "_PID": "42",
        "_HOSTNAME": "web1",
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "app",
        "MESSAGE": message,
        **fields,
    }


Opened = Callable[..., journal.Journal]


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opened]:
    """A journal with these entries, which journalctl prints before it waits for further ones, or ends."""
    everything: list[journal.Journal] = []

    def opened(
        *entries: dict[str, Any], position: dict[str, Any] | None = None, ends: bool = False,
        dropped: Counter[str] | None = None, formats: Any = (),
    ) -> journal.Journal:  # fmt: skip
        printed = tmp_path / "entries"
        printed.write_text("".join(f"{json.dumps(each)}\n" for each in entries))
        script = tmp_path / "journalctl"
        waiting = "exit 3" if ends else "exec sleep 60"
        script.write_text(f'#!/bin/sh\necho "$*" > {tmp_path}/arguments\ncat {printed}\n{waiting}\n')
        script.chmod(0o755)
        monkeypatch.setattr(journal, "JOURNALCTL", [str(script), *journal.JOURNALCTL[1:]])
        everything.append(journal.Journal(formats, position, Counter() if dropped is None else dropped))
        return everything[-1]

    yield opened
    for each in everything:
        each.close()


def read(source: journal.Journal, wanted: int) -> list[records.Line]:
    lines: list[records.Line] = []
    patience = time.monotonic() + 5
    while len(lines) < wanted and time.monotonic() < patience:
        lines += source.read(2)
        time.sleep(0.005)
    return lines


def described(*formats: dict[str, str], **fields: Any) -> dict[str, Any]:
    known = [journal.Format(each["journal"], each["program"], re.compile(each["begins"])) for each in formats]
    return journal.record(entry(1, **fields), known)


# Entries


def test_an_entry_is_a_line_with_what_its_reader_needs(opened: Opened, tmp_path: Path) -> None:
    (line,) = read(opened(entry(1, CODE_LINE="7", TID="1")), 1)
    assert line.position == {"cursor": cursor(1)}
    assert line.record == {
        "time": "2026-11-27T17:20:00.250000Z", "program": "app", "id": "ab-1", "unit": "app@3000.service", "pid": "42",
        "transport": "journal", "level": "warning", "message": "hello", "journal": {"code_line": "7"},
    }  # fmt: skip
    arguments = (tmp_path / "arguments").read_text().split()
    assert {"--follow", "--no-tail", "--all", "--output=json"} <= set(arguments)
    assert not [each for each in arguments if "cursor" in each]


def test_entries_come_in_order_and_not_before_they_are_asked_for(opened: Opened) -> None:
    lines = read(opened(*(entry(number, str(number)) for number in range(1, 8))), 7)
    assert [line.record["message"] for line in lines] == [str(number) for number in range(1, 8)]


def test_the_entry_of_the_position_does_not_come_again(opened: Opened, tmp_path: Path) -> None:
    dropped: Counter[str] = Counter()
    source = opened(entry(5, "old"), entry(6, "new"), position={"cursor": cursor(5)}, dropped=dropped)
    assert [line.record["message"] for line in read(source, 1)] == ["new"]
    assert dropped["vacuumed"] == 0
    assert f"--cursor={cursor(5)}" in (tmp_path / "arguments").read_text()


def test_entries_that_were_vacuumed_are_counted(opened: Opened) -> None:
    dropped: Counter[str] = Counter()
    read(opened(entry(12), entry(13), position={"cursor": cursor(5)}, dropped=dropped), 2)
    assert dropped["vacuumed"] == 6


@pytest.mark.parametrize(
    ("before", "after", "missing"),
    [
        (cursor(5), cursor(6), 0), (cursor(5), cursor(8), 2), (cursor(0xFF), cursor(0x101), 1),
        (cursor(8), cursor(5), 0), (cursor(5), cursor(8, "cd"), 0), ("", cursor(8), 0), (cursor(5), "else", 0),
    ],
)  # fmt: skip
def test_a_hole_is_seen_within_a_sequence(before: str, after: str, missing: int) -> None:
    assert journal.hole(before, after) == missing


def test_lines_that_journald_did_not_take_are_counted(opened: Opened) -> None:
    dropped: Counter[str] = Counter()
    said = ["7", [51, 53], "many", "-3", "9" * 5000, None]
    entries = [entry(number, MESSAGE_ID=journal.SUPPRESSED, N_DROPPED=each) for number, each in enumerate(said, 1)]
    assert len(read(opened(*entries, dropped=dropped), len(said))) == len(said)
    assert dropped["rate limit"] == 7 + 35


def test_a_journalctl_that_has_ended_is_told(opened: Opened) -> None:
    source = opened(entry(1), ends=True)
    with pytest.raises(journal.Ended, match="journalctl has ended with 3"):
        read(source, 2)
    assert issubclass(journal.Ended, OSError)


# Texts


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"), ([104, 105], "hi"), ([99, 233], "c\ufffd"), (["a", "b"], "a\nb"), (["a", [104, 105]], "a\nhi"),
        (None, ""), ([], ""), (["a", None], "a\n"),
    ],
)  # fmt: skip
def test_what_journalctl_gives_is_a_text(value: Any, text: str) -> None:
    assert journal.text(value) == text


def test_a_message_of_bytes_and_a_field_that_occurs_twice() -> None:
    record = described(message=[97, 255], SYSLOG_IDENTIFIER=["a", "b"], OWN=["x", [121]])
    assert (record["message"], record["program"], record["journal"]) == ("a\ufffd", "a\nb", {"own": "x\ny"})


def test_a_program_without_a_name_has_that_of_its_process() -> None:
    assert described(SYSLOG_IDENTIFIER="", _COMM="cron")["program"] == "cron"
    assert described(SYSLOG_IDENTIFIER="")["program"] == "unknown"


def test_a_name_is_what_who_logs_calls_itself_but_not_of_any_length() -> None:
    assert described(SYSLOG_IDENTIFIER="ansible-ansible.legacy.command")["program"] == "ansible"
    assert len(described(SYSLOG_IDENTIFIER="x" * 1_000_000)["program"]) == 64


def test_of_a_program_that_goes_by_its_interpreter_the_service_is_told() -> None:
    assert described(SYSLOG_IDENTIFIER="node")["program"] == "app"
    assert described(SYSLOG_IDENTIFIER="sh", _SYSTEMD_UNIT="session-1.scope")["program"] == "sh"


def test_an_app_that_logs_json_is_taken_apart() -> None:
    record = described(message='{"level":50,"msg":"no such order","requestId":"abc-123"}')
    assert (record["level"], record["message"], record["request_id"]) == ("err", "no such order", "abc-123")


# How programs begin


def sources(name: str) -> list[dict[str, str]]:
    return json.loads(next(path for path in SOURCES if path.stem == name).read_text())


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_what_a_role_has_logged_is_well_formed(path: Path) -> None:
    for source in json.loads(path.read_text()):
        assert set(source) <= {"program", "journal", "path", "begins"}
        assert ("journal" in source) != ("path" in source)
        assert "begins" in source or "path" in source
        assert set(re.compile(source.get("begins", "")).groupindex) <= GROUPS


def test_there_are_sources_of_three_roles() -> None:
    assert {path.stem for path in SOURCES} >= {"nginx", "pgbouncer", "postgresql"}


POSTGRES = [
    (
        "[25843] app@app/airworthy-example LOG:  AUDIT: SESSION,2,1,READ,SELECT,TABLE,public.students,"
        "<not logged>,<not logged>",
        "pgaudit",
        "info",
        "SESSION,2,1,READ,SELECT,TABLE,public.students,<not logged>,<not logged>",
        {
            "user": "app", "database": "app", "application": "airworthy-example", "class": "READ", "command": "SELECT",
            "object_type": "TABLE", "object": "public.students",
        },
    ),
    (
        "[25843] postgres@app/ LOG:  AUDIT: SESSION,1,1,DDL,CREATE TABLE,,,<not logged>,<not logged>",
        "pgaudit",
        "info",
        "SESSION,1,1,DDL,CREATE TABLE,,,<not logged>,<not logged>",
        {"user": "postgres", "database": "app", "class": "DDL", "command": "CREATE TABLE"},
    ),
    (
        "[25843] app@app/airworthy-example ERROR:  duplicate key value violates unique constraint \"k\"\n"
        "\tDETAIL:  Key (email)=(a@b.example) already exists.\n"
        "\tSTATEMENT:  insert into students values ($1) /*request_id='abc-123'*/",
        "postgresql",
        "err",
        None,
        {"user": "app", "database": "app", "application": "airworthy-example"},
    ),
    ("[204] LOG:  checkpoint starting: time", "postgresql", "info", "checkpoint starting: time", None),
    ("[204] FATAL:  the database is starting up", "postgresql", "crit", "the database is starting up", None),
    ("[204] DEBUG1:  x", "postgresql", "debug", "x", None),
    (
        "[7] [unknown]@[unknown]/[unknown] LOG:  connection received: host=[local]",
        "postgresql",
        "info",
        "connection received: host=[local]",
        {"user": "[unknown]", "database": "[unknown]", "application": "[unknown]"},
    ),
    ("pg_ctl: server is running", "postgres", "info", "pg_ctl: server is running", None),
]  # fmt: skip


@pytest.mark.parametrize(("said", "program", "level", "message", "fields"), POSTGRES)
def test_postgres_tells_who_and_what(said: str, program: str, level: str, message: str | None, fields: Any) -> None:
    name = "postgres" if program == "postgres" else "postgresql"
    record = described(*sources("postgresql"), message=said, SYSLOG_IDENTIFIER=name, PRIORITY="6")
    assert (record["program"], record["level"]) == (program, level)
    assert message is None or record["message"] == message
    assert record.get("fields") == fields


def test_an_error_of_postgres_keeps_its_lines_and_the_id_of_its_request() -> None:
    record = described(*sources("postgresql"), message=POSTGRES[2][0], SYSLOG_IDENTIFIER="postgresql")
    assert record["request_id"] == "abc-123"
    assert record["message"].startswith("duplicate key value")
    assert record["message"].count("\n") == 2


def test_pgbouncer_tells_its_level() -> None:
    said = "2026-11-27 19:22:14.521 UTC [19109] {} stats: 0 xacts/s, 0 queries/s"
    for told, level in {"LOG": "info", "WARNING": "warning", "ERROR": "err", "FATAL": "crit"}.items():
        record = described(*sources("pgbouncer"), message=said.format(told), SYSLOG_IDENTIFIER="pgbouncer")
        assert (record["program"], record["level"]) == ("pgbouncer", level)
        assert record["message"] == "stats: 0 xacts/s, 0 queries/s"


def test_nginx_tells_when_and_its_level(tmp_path: Path) -> None:
    (source,) = [each for each in sources("nginx") if each["program"] == "nginx-error"]
    said = b"2026/11/27 19:19:18 [error] 23873#23873: *5 connect() failed (111: Connection refused)\n"
    record = files.record(said, re.compile(source["begins"]), program="nginx-error")
    assert record["level"] == "err"
    assert record["time"] == records.utc(time.mktime((2026, 11, 27, 19, 19, 18, 0, 0, -1)))
    assert record["message"] == "23873#23873: *5 connect() failed (111: Connection refused)"
