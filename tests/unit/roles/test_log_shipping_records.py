"""What is made of what a program says, until it is a message on its way."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.airworthy.stack.plugins.module_utils.exporter_figures import Figures
from role_programs import program_directory

with program_directory("log_shipping/templates/usr/local/lib/airworthy/log_shipping"):
    import figures
    import messages
    import records

HEAD = re.compile(
    r"<(?P<priority>\d{1,3})>1 (?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) (?P<host>[!-~]{1,255}) "
    r"(?P<program>[!-~]{1,48}) - - - (?P<text>\{.*\})"
)  # RFC 5424, 6


def described(text: str, begins: str = "") -> dict[str, Any]:
    return records.described(text, re.compile(begins) if begins else None)


# Records


def test_a_text_is_a_message() -> None:
    assert described("hello") == {"level": "info", "message": "hello"}


def test_a_message_of_pino_is_taken_apart() -> None:
    said = {"level": 50, "time": 1795800000000, "msg": "no such order", "requestId": "abc-123", "order": {"id": 7}}
    assert described(json.dumps(said)) == {
        "level": "err",
        "request_id": "abc-123",
        "message": "no such order",
        "fields": {name: value for name, value in said.items() if name != "msg"},
    }


@pytest.mark.parametrize(
    ("said", "level"),
    [
        ("60", "crit"), (50, "err"), (40, "warning"), (30, "info"), (20, "debug"), (10, "debug"), (3, "err"),
        ("WARN", "warning"), ("fatal", "crit"), ("Error", "err"), ("LOG", "info"), ("notice", "notice"),
        ("verbose", "info"), (True, "info"), ({"a": 1}, "info"), ("", "info"),
    ],
)  # fmt: skip
def test_a_level_is_one_of_eight(said: Any, level: str) -> None:
    assert described(json.dumps({"level": said, "msg": "x"}))["level"] == level


@pytest.mark.parametrize("name", ["request_id", "requestId", "reqId"])
def test_a_request_has_its_id_by_any_name(name: str) -> None:
    assert described(json.dumps({name: "req-1", "msg": "x"}))["request_id"] == "req-1"
    assert described("req-1 x", rf"(?P<{name}>\S+) ")["request_id"] == "req-1"
    assert described(json.dumps({name: 7, "msg": "x"}))["request_id"] == "7"


def test_a_statement_has_the_id_of_its_request_in_a_comment() -> None:
    assert described("SELECT 1 /*action='x',request_id='abc-123'*/")["request_id"] == "abc-123"
    assert "request_id" not in described("SELECT 'request_id=' /* request_id */")


@pytest.mark.parametrize("said", ["anna@example.org", "x" * 129, "a b", ["x"], {"a": 1}, "", "é", "a\n"])
def test_what_is_no_id_is_none_since_it_would_not_be_masked(said: Any) -> None:
    found = described(json.dumps({"requestId": said, "msg": "x"}))
    assert "request_id" not in found
    assert found["fields"]["requestId"] == said


def test_a_comment_with_an_id_that_is_too_long_has_none() -> None:
    assert "request_id" not in described(f"SELECT 1 /*request_id='{'x' * 129}'*/")


@pytest.mark.parametrize("text", ["[1, 2]", "7", '"x"', "null", "{", "{]}", "{'a': 1}", "{}", '{"a": 1} x'])
def test_what_is_no_object_of_json_is_a_text(text: str) -> None:
    assert described(text) == {"level": "info", "message": text}


def test_a_message_that_is_no_text_stays_among_the_fields() -> None:
    said = {"msg": {"a": 1}, "message": 7, "b": 2}
    assert described(json.dumps(said)) == {"level": "info", "message": "", "fields": said}


def test_a_request_without_a_message_is_one_nevertheless() -> None:
    assert described('{"method": "GET", "path": "/a", "status": 200}')["message"] == "GET /a 200"


def test_a_field_that_says_the_same_as_the_message_is_kept() -> None:
    assert described('{"msg": "x", "other": "x"}')["fields"] == {"other": "x"}


def test_what_begins_a_message_is_no_part_of_it() -> None:
    begins = r"(?P<user>\w+)?@ \[(?P<level>\w+)\] "
    assert described("app@ [warn] low", begins) == {"level": "warning", "message": "low", "fields": {"user": "app"}}
    assert described("@ [warn] low", begins) == {"level": "warning", "message": "low"}
    assert described("else", begins) == {"level": "info", "message": "else"}


def test_what_is_too_long_is_cut_off_and_says_so() -> None:
    assert described("x" * 40_000)["message"] == "x" * 32_768 + " [40000 characters]"
    as_json = json.dumps({"msg": "x" * 40_000})
    assert described(as_json) == {"level": "info", "message": f"{as_json[:32768]} [40011 characters]"}


@pytest.mark.parametrize(
    "text",
    [
        '{"a":' * 5_000 + "1" + "}" * 5_000,
        '{"a":' + "[" * 15_000 + "]" * 15_000 + "}",
        '{"a": %s}' % ("9" * 5_000),
        '{"a": NaN, "b": -Infinity}',
        '{"a": "\\ud800"}',
        "\ud800\x00",
    ],
)
def test_no_line_is_too_strange_to_be_sent(text: str) -> None:
    record = described(text) | {"time": records.utc(0), "program": "a"}
    sent = HEAD.fullmatch(messages.encoded(record, "web1").decode())
    assert sent

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    json.loads(sent["text"], parse_constant=refuse)


# Messages


def record(**changed: Any) -> dict[str, Any]:
    return {
        "time": records.utc(1795800000.25),
        "program": "app",
        "level": "err",
        "id": "a-1",
        "message": "x",
        **changed,
    }


def sent(**changed: Any) -> re.Match[str]:
    match = HEAD.fullmatch(messages.encoded(record(**changed), "web1").decode())
    assert match
    return match


def test_a_message_has_the_head_that_syslog_wants_and_a_record_as_its_text() -> None:
    match = sent(fields={"a": [1, None], "ä": "€"})
    facility, severity = divmod(int(match["priority"]), 8)
    assert (facility, records.LEVELS[severity]) == (23, "err")
    assert (match["host"], match["program"]) == ("web1", "app")
    assert match["time"] == "2026-11-27T17:20:00.250000Z"
    assert json.loads(match["text"]) == record(fields={"a": [1, None], "ä": "€"})


@pytest.mark.parametrize(
    ("program", "named"),
    [
        ("app@3000", "app@3000"), ("a b/c", "a_b_c"), ("../..", ".._.."), ("é\n", "__"), ("", "unknown"),
        ("x" * 60, "x" * 48), ("(sd-pam)", "_sd-pam_"),
    ],
)  # fmt: skip
def test_a_program_with_an_unusual_name_gets_one_that_syslog_allows(program: str, named: str) -> None:
    match = sent(program=program)
    assert match["program"] == named
    assert json.loads(match["text"])["program"] == program


def test_a_record_that_is_too_large_loses_its_fields_and_says_so() -> None:
    text = json.loads(sent(fields={"a": "x" * 140_000}, journal={"b": "y"}, message="kept")["text"])
    assert text["message"] == "kept"
    assert "journal" not in text
    assert re.fullmatch(r"\{'left_out': '140\d\d\d bytes'\}", str(text["fields"]))


@pytest.mark.parametrize("character", ["\x01", "😀", "\x00", '"'])
def test_a_message_that_is_too_large_alone_is_cut_off(character: str) -> None:
    encoded = messages.encoded(record(message=records.shortened(character * 40_000)), "web1")
    assert len(encoded) < messages.LARGEST + 200
    assert json.loads(encoded.decode().partition(" - - - ")[2])["message"].startswith(character * 16_000)


def test_control_characters_and_halves_of_characters_break_no_frame() -> None:
    text = sent(message="a\nb\x00\x1b[31m\ud800c")["text"]
    assert "\n" not in text
    assert json.loads(text)["message"] == "a\nb\x00\x1b[31m?c"


@pytest.mark.parametrize(
    ("seconds", "written"), [(0, "1970-01-01T00:00:00.000000Z"), (-62135596800, "0001-01-01T00:00:00.000000Z")]
)
def test_a_time_is_written_as_rfc_3339_has_it(seconds: float, written: str) -> None:
    assert records.utc(seconds) == written


# Figures


def test_figures_are_told_in_prometheus_format(tmp_path: Path) -> None:
    told = figures.Figures(unreadable=2, failures=3, delay=1.23456, delivered=1795800000.5)
    strange = 'a"b\\c\nd'
    told.lines.update({(strange, "err"): 4, ("app", "info"): 5})
    told.masked = {"email": 6}
    told.dropped.update({"file gone": 7})
    figures.write(told, tmp_path / "figures.prom")
    assert [path.name for path in tmp_path.iterdir()] == ["figures.prom"]
    text = (tmp_path / "figures.prom").read_text()
    read = Figures.of(text)
    assert read.unread == 0
    assert read.values("airworthy_log_shipper_lines_total", program="app", level="info") == [5]
    assert read.values("airworthy_log_shipper_lines_total", program=r"a\"b\\c\nd") == [4]
    assert read.values("airworthy_log_shipper_masked_total", rule="email") == [6]
    assert read.values("airworthy_log_shipper_dropped_total", reason="file gone") == [7]
    others = {"unreadable_sources": 2, "failures_total": 3, "delay_seconds": 1.235}
    for name, value in (others | {"delivered_timestamp_seconds": 1795800000.5}).items():
        assert read.values(f"airworthy_log_shipper_{name}") == [value]
    kinds = [line.split()[2:] for line in text.splitlines() if line.startswith("# TYPE")]
    assert all((kind == "counter") == name.endswith("_total") for name, kind in kinds)
    assert len(kinds) == 7


def test_before_anything_happened_there_are_figures_already() -> None:
    read = Figures.of(figures.written(figures.Figures()))
    assert (len(read.samples), read.unread) == (4, 0)
