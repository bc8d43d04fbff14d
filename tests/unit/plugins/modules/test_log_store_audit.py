"""What a collector keeps, and to whom it tells its reports."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.airworthy.stack.plugins.module_utils.control import Check
from ansible_collections.airworthy.stack.plugins.module_utils.web_client import Target, basic_auth
from ansible_collections.airworthy.stack.plugins.modules import log_store_audit as audit
from tls_server import DOMAIN, Page, answering, make_certificate, server_context, serving

TODAY = date(2026, 11, 27)
OLD, NEW = (audit.Log(f"/{day}", date.fromisoformat(day), 1 << 20, 0o640) for day in ("2026-11-17", "2026-11-27"))
PASSWORD = basic_auth("admin", "secret")["Authorization"]


def failing(checks: list[Check]) -> list[str]:
    return [check.subject for check in checks if not check.ok]


@pytest.mark.parametrize(
    ("found", "timer", "failed"),
    [
        ([OLD, NEW], "active", []),
        ([], "active", []),
        ([OLD._replace(day=date(2026, 11, 15)), NEW], "active", ["oldest log"]),
        ([OLD, NEW._replace(size=2 << 20)], "active", ["all logs"]),
        ([OLD, NEW._replace(mode=0o644)], "active", ["who may read the logs"]),
        ([OLD, NEW], "inactive", ["what removes old ones"]),
    ],
)
def test_a_fault_of_the_store_fails(found: list[audit.Log], timer: str, failed: list[str]) -> None:
    assert failing(audit.judge(found, 10, 2, timer, TODAY)) == failed


@pytest.mark.parametrize(
    ("day", "is_encrypted", "is_ok"),
    [("2026-11-19", False, True), ("2026-11-18", False, False), ("2026-11-01", True, True)],
)
def test_a_day_that_ought_to_be_encrypted_fails(day: str, is_encrypted: bool, is_ok: bool) -> None:
    old = OLD._replace(path="/old", day=date.fromisoformat(day), is_encrypted=is_encrypted)
    check = audit.judge_encryption([old, NEW], 7, TODAY)
    assert check.ok == is_ok
    assert ("/old" in check.observed) != is_ok


def test_a_name_alone_does_not_make_a_file_encrypted(tmp_path: Path) -> None:
    (tmp_path / "2026-11-01.jsonl.zst.age").write_bytes(b"age-encryption.org/v1\n-> X25519")
    (tmp_path / "2026-11-01.2.jsonl.zst.age").write_bytes(b'{"message":"readable"}')
    (tmp_path / "2026-11-01.jsonl.zst").write_bytes(b"age-encryption.org/v1\n")
    found = {Path(log.path).name: log.is_encrypted for log in audit.logs(str(tmp_path))}
    assert found == {
        "2026-11-01.jsonl.zst.age": True,
        "2026-11-01.2.jsonl.zst.age": False,
        "2026-11-01.jsonl.zst": False,
    }


def test_only_what_is_named_like_a_day_is_a_log(tmp_path: Path) -> None:
    for name in ("2026-11-26.jsonl.zst", ".2026-11-26.jsonl.zst.new", "notes"):
        (tmp_path / name).write_text("x")
    assert [(log.day, log.size) for log in audit.logs(str(tmp_path))] == [(date(2026, 11, 26), 1)]


def honest(request: BaseHTTPRequestHandler) -> Page:
    return Page(200 if request.headers["Authorization"] == PASSWORD else 401)


@pytest.mark.parametrize(
    ("answer", "mode", "failed"),
    [
        (honest, 0o640, []),
        (honest, 0o644, ["who may read the reports"]),
        (
            lambda _request: Page(200),
            0o640,
            ["the reports without a password", "the reports with a wrong password"],
        ),
        (
            lambda request: Page(401) if request.headers["Authorization"] == PASSWORD else honest(request),
            0o640,
            ["the reports with the password"],
        ),
    ],
)
def test_a_fault_of_the_reports_fails(
    answer: Callable[[Any], Page], mode: int, failed: list[str], tmp_path: Path
) -> None:
    report = tmp_path / "reports" / "2026-11-26" / "errors.html"
    report.parent.mkdir(parents=True)
    report.touch()
    report.chmod(mode)
    params = {"reports": str(tmp_path / "reports"), "user": "admin", "password": "secret"}
    certificate = make_certificate(tmp_path)
    with serving(answering(answer), server_context(certificate)) as port:
        target = Target(DOMAIN, "127.0.0.1", port, port, str(certificate.ca))
        assert failing(audit.observe_reports(params, target)) == failed


def test_reports_that_nobody_serves_fail(tmp_path: Path) -> None:
    params = {"reports": str(tmp_path), "user": "admin", "password": "secret"}
    assert "the reports with the password" in failing(audit.observe_reports(params, Target(DOMAIN, "127.0.0.1", 1, 1)))


def test_reports_without_tls_fail(tmp_path: Path) -> None:
    params = {"reports": str(tmp_path), "user": "admin", "password": "secret"}
    with serving(answering(honest)) as port:
        assert "the reports without TLS" in failing(
            audit.observe_reports(params, Target(DOMAIN, "127.0.0.1", port, port))
        )
