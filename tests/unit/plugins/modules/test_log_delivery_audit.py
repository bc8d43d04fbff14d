"""On the collector, what a host has logged is there, and what is personal is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.airworthy.stack.plugins.modules import log_delivery_audit
from ansible_collections.airworthy.stack.plugins.modules.log_delivery_audit import (
    delay,
    found,
    judge_access,
    judge_delivery,
    judge_outage,
    leaks,
    tail,
)

SENT = [
    {"service": "the journal", "program": "airworthy-probe", "text": "airworthy-0f"},
    {"service": "nginx", "program": "nginx-access", "text": "/airworthy-0f"},
]
ARRIVED: dict[str, list[dict[str, Any]]] = {
    "airworthy-probe": [{"time": "2026-11-27T19:00:00.25Z", "received": "2026-11-27T19:00:01.5Z"}],
    "nginx-access": [{}],
}
REFUSED = {"no certificate": "", "a certificate of another CA": ""}


def line(identity: str, message: str, **more: Any) -> str:
    return json.dumps({"id": identity, "message": message, **more}) + "\n"


def write(directory: Path, day: str, text: str) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{day}.jsonl"
    path.write_text(text)
    return path


# Files


def test_a_line_that_came_twice_is_one(tmp_path: Path) -> None:
    write(tmp_path, "2026-11-26", line("a-1", "airworthy-0f"))
    write(tmp_path, "2026-11-27", line("a-1", "airworthy-0f") + line("a-2", "else") + line("a-3", "of airworthy-0f"))
    assert [record["id"] for record in found(tmp_path, "airworthy-0f")] == ["a-1", "a-3"]


def test_only_the_two_youngest_files_are_looked_at(tmp_path: Path) -> None:
    for day in ("2026-11-25", "2026-11-26", "2026-11-27"):
        write(tmp_path, day, line(day, "x"))
    write(tmp_path, "2026-11-28", "").rename(tmp_path / "2026-11-28.jsonl.gz")
    assert [record["id"] for record in found(tmp_path, "x")] == ["2026-11-26", "2026-11-27"]


def test_what_is_no_record_is_none(tmp_path: Path) -> None:
    cut = line("a-1", "x")[:-5] + "\n"
    write(tmp_path, "2026-11-27", cut + '"x"\n' + '["x"]\n' + '{"message": "x"}\n' + line("a-2", "x"))
    assert [record["id"] for record in found(tmp_path, "x")] == ["a-2"]


def test_where_nothing_has_arrived_nothing_is_found(tmp_path: Path) -> None:
    assert found(tmp_path / "none", "x") == []
    assert leaks(tmp_path / "none", "x") == []


def test_of_a_large_file_the_end_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    last = line("a-2", "x")
    path = write(tmp_path, "2026-11-27", line("a-1", "x") + last)
    monkeypatch.setattr(log_delivery_audit, "TAIL", len(last) + 3)
    assert tail(path).endswith(b"\n" + last.encode())
    assert [record["id"] for record in found(tmp_path, "x")] == ["a-2"]
    monkeypatch.setattr(log_delivery_audit, "TAIL", 1 << 20)
    assert len(tail(path)) == path.stat().st_size


def test_each_program_with_the_secret_in_a_line_is_named_once(tmp_path: Path) -> None:
    for day in ("2026-11-26", "2026-11-27"):
        write(tmp_path / "nginx-access", day, line("a-1", "/?email=5d@example.invalid"))
    write(tmp_path / "postgresql", "2026-11-27", "cut off 5d")
    write(tmp_path / "app", "2026-11-27", line("a-1", "/?email=[email]"))
    assert leaks(tmp_path, "5d") == ["nginx-access", "postgresql"]


# Judgement


@pytest.mark.parametrize(
    ("logged", "received", "said"),
    [
        ("2026-11-27T19:00:00Z", "2026-11-27T19:00:01.26Z", "arrived after 1.3 s"),
        ("2026-11-27T19:00:01Z", "2026-11-27T20:00:00+01:00", "arrived after 0.0 s"),
        ("2026-11-27T19:00:00Z", "soon", "arrived"),
    ],
)
def test_a_delay_is_by_the_clocks_of_both(logged: str, received: str, said: str) -> None:
    assert delay({"time": logged, "received": received}) == said


def test_what_arrives_without_secrets_from_nobody_else_passes() -> None:
    checks = judge_delivery(SENT, ARRIVED, [], REFUSED, 30)
    assert all(check.ok for check in checks)
    assert [(check.subject, check.observed) for check in checks] == [
        ("a line of the journal", "arrived after 1.2 s"),
        ("a line of nginx", "arrived"),
        ("an e-mail address beside each", "in none"),
        ("somebody with a certificate of another CA", "refused"),
        ("somebody with no certificate", "refused"),
    ]


@pytest.mark.parametrize(
    ("changed", "name", "observed"),
    [
        ({"arrived": ARRIVED | {"nginx-access": []}}, "a line of nginx", "did not arrive"),
        ({"leaking": ["a", "b"]}, "an e-mail address beside each", "in a, b"),
        (
            {"knocked": {**REFUSED, "no certificate": "1 rsp 6 200 OK\n"}},
            "somebody with no certificate",
            "answered '1 rsp 6 200 OK\\n'",
        ),
    ],
)
def test_any_fault_fails(changed: dict[str, Any], name: str, observed: str) -> None:
    given = {"sent": SENT, "arrived": ARRIVED, "leaking": [], "knocked": REFUSED, "timeout": 30, **changed}
    failed = [check for check in judge_delivery(**given) if not check.ok]
    assert [(check.subject, check.observed) for check in failed] == [(name, observed)]


READ = {"class": "READ", "command": "SELECT", "user": "postgres", "object": "pg_temp_3.airworthy_0f"}


def test_who_has_read_is_told_and_not_what() -> None:
    records = [{}, {"fields": {"class": "DDL", "object": "pg_temp_3.airworthy_0f"}}, {"fields": READ}]
    assert [check.ok for check in judge_access("airworthy_0f", records, [])] == [True, True]
    assert [check.ok for check in judge_access("airworthy_0f", records, ["pgaudit"])] == [True, False]


@pytest.mark.parametrize(
    ("changed", "observed"),
    [
        ({"class": "WRITE"}, "nobody"),
        ({"object": "public.students"}, "nobody"),
        ({"user": "app"}, "app with SELECT"),
        ({"command": "COPY"}, "postgres with COPY"),
    ],
)
def test_anything_else_is_no_record_of_it(changed: dict[str, str], observed: str) -> None:
    checks = judge_access("airworthy_0f", [{"fields": READ | changed}], [])
    assert [(check.ok, check.observed) for check in checks] == [(False, observed), (True, "not recorded")]


# An outage

OUTAGE = {"program": "airworthy-outage", "text": "outage-0f", "lines": 3, "reached": False}


def logged(*numbers: int) -> list[dict[str, Any]]:
    return [{"message": f"outage-0f {number}"} for number in numbers]


def test_all_lines_of_an_outage_in_order_pass() -> None:
    assert all(check.ok for check in judge_outage(OUTAGE, logged(1, 2, 3)))


@pytest.mark.parametrize(
    ("outage", "numbers", "failed"),
    [
        (OUTAGE, (1, 3), "of 3 lines of an outage"),
        (OUTAGE, (), "of 3 lines of an outage"),
        (OUTAGE, (1, 3, 2), "those that arrived"),
        (OUTAGE, (1, 2, 2, 3), "those that arrived"),
        (OUTAGE | {"reached": True}, (1, 2, 3), "the collector meanwhile"),
    ],
    ids=["one is lost", "all are lost", "in another order", "twice with two ids", "there was no outage"],
)
def test_an_outage_that_loses_or_mixes_lines_fails(
    outage: dict[str, Any], numbers: tuple[int, ...], failed: str
) -> None:
    assert [check.subject for check in judge_outage(outage, logged(*numbers)) if not check.ok] == [failed]
