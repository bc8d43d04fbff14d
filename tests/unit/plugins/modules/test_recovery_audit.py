from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.airworthy.stack.plugins.modules import recovery_audit as audit

ROOT = Path(__file__).parents[4]
RUNBOOK = (ROOT / "docs/recovery.md").read_text()
PLAYBOOKS = yaml.safe_load((ROOT / "roles/backup/vars/main/recovery.yml").read_text())["__backup_playbooks"]
PROGRAM = ROOT / "roles/backup/templates/recovery/usr/local/lib/airworthy/recovery/__main__.py"
COMMANDS = ["drill", "cleanup", "plan", "restore", "extract", "put-back", "discard"]
DAY = 86_400
FINISHED = 1_795_626_000.0
RECORD: dict[str, Any] = {
    "started": "2026-11-25T16:58:00.000+00:00",
    "finished": "2026-11-25T17:00:00.000+00:00",
    "ok": True,
    "failed_step": None,
    "reason": None,
    "recovery_point_seconds": 12.5,
    "recovery_time_seconds": 10.7,
    "checks": [{"subject": "app: public.users", "expected": "3 rows, 17", "observed": "3 rows, 17", "ok": True}],
}
LIMITS = {"recovery_point_seconds": 120, "recovery_time_seconds": 3600}


def failing(checks: list[Any]) -> list[str]:
    return [check.subject for check in checks if not check.ok]


def test_a_good_and_young_drill_passes() -> None:
    assert failing(audit.judge_drill(RECORD, FINISHED + DAY, 35)) == []
    assert failing(audit.judge_drill(RECORD, FINISHED, 35, not_before=FINISHED - 200)) == []


@pytest.mark.parametrize(
    ("change", "days", "subjects"),
    [
        ({}, 36, ["last drill"]),
        ({"ok": False, "failed_step": "restore the backup", "reason": "no"}, 1, ["its outcome"]),
        ({"checks": []}, 1, ["what it compared"]),
        (
            {"ok": False, "checks": [{"subject": "a", "expected": "1", "observed": "2", "ok": False}], "reason": "a"},
            1,
            ["its outcome", "a"],
        ),
    ],
)
def test_each_fault_of_a_drill_is_named(change: dict[str, Any], days: float, subjects: list[str]) -> None:
    assert failing(audit.judge_drill({**RECORD, **change}, FINISHED + days * DAY, 35)) == subjects


def test_no_drill_is_a_failure() -> None:
    assert failing(audit.judge_drill({}, FINISHED, 35)) == ["last drill"]


def test_a_deep_examination_wants_its_own_drill() -> None:
    assert failing(audit.judge_drill(RECORD, FINISHED, 35, not_before=FINISHED)) == ["the drill that was asked for"]


def test_drills_go_on() -> None:
    assert audit.judge_timer("active").ok and not audit.judge_timer("inactive").ok


@pytest.mark.parametrize(
    ("change", "subjects"),
    [
        ({}, []),
        ({"recovery_point_seconds": 121.0}, ["recovery point"]),
        ({"recovery_time_seconds": None}, ["recovery time"]),
    ],
)
def test_objectives(change: dict[str, Any], subjects: list[str]) -> None:
    assert failing(audit.judge_objectives({**RECORD, **change}, LIMITS)) == subjects


@pytest.mark.parametrize(
    ("plan", "off_server", "subjects"),
    [
        ({"ok": True, "refusals": []}, True, []),
        ({"ok": True, "refusals": []}, False, ["backups"]),
        ({"ok": False, "refusals": ["too little disk"]}, True, ["a restore to the newest state"]),
        ({"ok": False, "refused": "the key is lost"}, True, ["a restore to the newest state"]),
        ({"failed": "the program broke off"}, True, ["a restore to the newest state"]),
    ],
)
def test_the_plan(plan: dict[str, Any], off_server: bool, subjects: list[str]) -> None:
    assert failing(audit.judge_plan(plan, off_server)) == subjects


def test_the_runbook_has_commands_that_exist() -> None:
    assert failing(audit.judge_runbook(RUNBOOK, PLAYBOOKS, COMMANDS)) == []
    for name in PLAYBOOKS:
        assert (ROOT / f"{name}.yml").is_file()
    program = PROGRAM.read_text()
    assert all(f'"{name}"' in program for name in COMMANDS)


def test_the_runbooks_variables_exist() -> None:
    known = set(re.findall(r"\b(?:restore|drill)_[a-z_]+", (ROOT / "playbooks/restore.yml").read_text()))
    known |= set(re.findall(r"\bdrill_[a-z_]+", (ROOT / "playbooks/drill.yml").read_text()))
    assert set(re.findall(r"\b(?:restore|drill)_[a-z_]+", RUNBOOK)) <= known


@pytest.mark.parametrize(
    ("runbook", "subjects"),
    [
        ("", ["commands of docs/recovery.md", "what the drill ran"]),
        (RUNBOOK + "\nansible-playbook rescue.yml", ["commands of docs/recovery.md"]),
        (RUNBOOK + "\npython3 -I /usr/local/lib/airworthy/recovery rescue", ["commands of docs/recovery.md"]),
        (RUNBOOK.replace("drill.yml", "certify.yml"), ["what the drill ran"]),
    ],
)
def test_each_fault_of_the_runbook_is_named(runbook: str, subjects: list[str]) -> None:
    assert failing(audit.judge_runbook(runbook, PLAYBOOKS, COMMANDS)) == subjects
