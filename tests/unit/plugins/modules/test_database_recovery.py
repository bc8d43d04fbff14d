from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.airworthy.stack.plugins.modules.database_recovery import (
    PROGRAM,
    arguments,
    command_of,
    outcome,
    problem,
)

USUAL: dict[str, Any] = {
    "to": "newest", "target": "", "database": "", "table": "", "repository": 1, "backup_set": "", "timeline": 0,
    "stop_running": False, "replace_other": False, "discard_replaced": False,
}  # fmt: skip
TIME = {"to": "time", "target": "2026-11-25 02:13:00 UTC"}


@pytest.mark.parametrize(
    ("change", "check_mode", "words"),
    [
        ({}, True, ["plan", "--json", "--to=newest", "--repository=1"]),
        ({"stop_running": True}, False, ["restore", "--json", "--to=newest", "--repository=1", "--stop-running"]),
        (
            {**TIME, "timeline": 2, "backup_set": "L"},
            False,
            ["restore", "--json", "--to=time", "--repository=1", f"--target={TIME['target']}", "--backup-set=L",
             "--timeline=2"],
        ),
        (
            {**TIME, "database": "app", "table": "public.users", "stop_running": True},
            False,
            ["extract", "--json", "--to=time", "--repository=1", f"--target={TIME['target']}", "--database=app",
             "--table=public.users"],
        ),
    ],
)  # fmt: skip
def test_the_program_is_told(change: dict[str, Any], check_mode: bool, words: list[str]) -> None:
    params = {**USUAL, **change}
    assert arguments(params, command_of(params, check_mode)) == [*PROGRAM, *words]


@pytest.mark.parametrize(
    ("said", "complaint", "reason"),
    [
        ('{"ok": false, "refused": "Postgres runs"}', "", "Postgres runs"),
        ('{"ok": false, "failed": "no psql"}', "", "no psql"),
        ('{"ok": false, "failed_step": "recover", "reason": "unreachable"}', "", "recover: unreachable"),
        ("", "Traceback: KeyError", "the program broke off: Traceback: KeyError"),
    ],
)
def test_why_it_failed(said: str, complaint: str, reason: str) -> None:
    found = outcome(said, complaint)
    assert not found["ok"] and problem(found) == reason
