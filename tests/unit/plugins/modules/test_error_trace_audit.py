"""An error is followed by its id: what the collector has of it decides."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.airworthy.stack.plugins.modules.error_trace_audit import (
    judge,
    parse,
    searching,
    told,
    traces,
)

EDGE = {"program": "nginx-access", "host": "web1", "message": "GET /fail 500", "fields": {"status": 500}}
APP = {"program": "app", "host": "app1", "level": "err", "message": "request failed"}
DATABASE = {"program": "postgresql", "host": "db1", "level": "err", "message": "division by zero"}
ALL = [EDGE, APP, DATABASE]


def status_of(records: list[dict[str, Any]], status: int = 500, request_id: str = "467b", path: str = "/fail") -> str:
    return judge(path, status, request_id, traces(records)).status


def test_an_error_in_all_three_logs_is_traced() -> None:
    control = judge("/fail", 500, "467b", traces(ALL))
    assert control.status == "pass"
    assert control.command == "airworthy-logs search --request-id=467b"
    assert "division by zero on db1" in [check.observed for check in control.checks]


@pytest.mark.parametrize("missing", ALL, ids=["edge", "application", "database"])
def test_one_log_without_it_fails(missing: dict[str, Any]) -> None:
    assert status_of([record for record in ALL if record is not missing]) == "fail"


@pytest.mark.parametrize(
    "records",
    [
        [EDGE | {"fields": {"status": 404}}, APP, DATABASE],
        [EDGE | {"fields": {}}, APP, DATABASE],
        [EDGE, APP | {"level": "info"}, DATABASE],
        [EDGE, APP, DATABASE | {"level": "warning"}],
        [EDGE, APP, DATABASE | {"program": "postgresql-15"}],
        [],
    ],
)
def test_what_is_no_error_or_of_somebody_else_is_no_trace(records: list[dict[str, Any]]) -> None:
    assert status_of(records) == "fail"


@pytest.mark.parametrize(
    ("status", "request_id", "path"),
    [(200, "467b", "/fail"), (404, "467b", "/fail"), (0, "", "/fail"), (500, "", "/fail"), (0, "", "")],
    ids=["it does not fail", "the path is unknown", "no answer", "no id", "no path"],
)
def test_without_a_failure_there_is_nothing_to_trace(status: int, request_id: str, path: str) -> None:
    assert status_of(ALL, status, request_id, path) == "fail"


def test_a_host_without_the_path_is_told_what_to_set() -> None:
    control = judge("", 0, "", {})
    assert [check.subject for check in control.checks] == ["airworthy_app_error_path"]
    assert "docs/logs.md" in control.remediation


def test_the_first_record_of_each_counts_and_its_first_line_is_told() -> None:
    later = APP | {"message": "later"}
    assert traces([APP, later])["application"]["message"] == "request failed"
    assert told(APP | {"message": "x" * 101}) == f"{'x' * 100}… on app1"
    assert told(DATABASE | {"message": "division by zero\nSTATEMENT:  SELECT 1 / 0"}) == "division by zero on db1"
    assert told({"host": "web1"}) == " on web1"


def test_an_id_cannot_be_taken_for_an_option() -> None:
    assert searching("-h")[-1] == "--request-id=-h"


def test_each_line_is_a_record() -> None:
    assert parse("".join(f"{json.dumps(record)}\n" for record in ALL)) == ALL
    assert parse("") == []
