"""The audit of the files' backups: from all being well, one fault at a time."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.airworthy.stack.plugins.module_utils.ciphertext import Findings
from ansible_collections.airworthy.stack.plugins.module_utils.control import Check
from ansible_collections.airworthy.stack.plugins.modules import files_backup_audit as audit

NOW = 1_800_000_000.0
HOUR, DAY = 3600, 86_400
RUN = {"success": True, "message": "done", "missing": ["/srv/none"], "last_success": NOW - HOUR}
LEDGER = audit.Ledger(7, NOW - HOUR, "", RUN)
TEST = {"success": True, "begun": NOW, "restored": 21, "equal": 20, "changed_since": 1}
REFUSALS = audit.Refusals(403, 403, 401, 0)
CARE = {"success": True, "last_success": NOW - DAY, "strays": []}
SHELF = audit.Shelf("web1", tuple(NOW - HOUR - day * DAY for day in range(14, -1, -1)), CARE, CARE)
KEEP = {"daily": 14, "weekly": 8, "monthly": 12}
FINDINGS = Findings(files=10, size=100_000, lowest=7.99)


def wrong(checks: list[Check]) -> list[str]:
    assert checks
    return [check.subject for check in checks if not check.ok]


def test_all_is_well() -> None:
    assert not wrong(audit.judge_ledger(LEDGER, 26, NOW))
    assert not wrong(audit.judge_restore(TEST, NOW))
    assert not wrong(audit.judge_refusals(REFUSALS))
    assert not wrong(audit.judge_care([SHELF], 26, 8, NOW))
    assert not wrong(audit.judge_retention([SHELF], KEEP, 8, NOW))
    assert not wrong(audit.judge_encryption("web1", True, FINDINGS, []))


@pytest.mark.parametrize(
    ("change", "subject"),
    [
        ({"newest": NOW - 27 * HOUR}, "newest snapshot of the files"),
        ({"newest": None}, "newest snapshot of the files"),
        ({"newest": NOW + DAY}, "newest snapshot of the files"),
        ({"trouble": "the repository host cannot be reached"}, "the repository"),
        ({"last_run": {"success": False, "message": "its disk is full"}}, "last backup of the files"),
        ({"last_run": {}}, "last backup of the files"),
    ],
)
def test_a_backup_that_lacks(change: dict[str, Any], subject: str) -> None:
    assert wrong(audit.judge_ledger(replace(LEDGER, **change), 26, NOW)) == [subject]


def test_missing_paths_are_told() -> None:
    checks = audit.judge_ledger(LEDGER, 26, NOW)
    assert any(check.observed == "/srv/none" and check.ok for check in checks)


@pytest.mark.parametrize(
    ("change", "subject"),
    [
        ({"success": False, "message": "does not restore"}, "restore test"),
        ({"begun": NOW - DAY}, "time of the restore test"),
        ({"restored": 1}, "files that came back"),
        ({"equal": 0}, "files that came back equal"),
    ],
)
def test_a_restore_that_proves_nothing(change: dict[str, Any], subject: str) -> None:
    assert wrong(audit.judge_restore(TEST | change, NOW)) == [subject]


@pytest.mark.parametrize("name", ["removal", "of_another", "wrong_password", "without_certificate"])
def test_a_door_that_stands_open(name: str) -> None:
    assert len(wrong(audit.judge_refusals(replace(REFUSALS, **{name: 200})))) == 1


def test_a_server_that_is_away_refuses_nothing() -> None:
    assert len(wrong(audit.judge_refusals(audit.Refusals(0, 0, 0, 0)))) == 3


@pytest.mark.parametrize(
    ("change", "subject"),
    [
        ({"arrivals": (NOW - 30 * HOUR,)}, "newest snapshot of web1"),
        ({"arrivals": ()}, "newest snapshot of web1"),
        ({"checked": CARE | {"success": False, "message": "damaged: pack ab"}}, "last check of web1"),
        ({"checked": CARE | {"last_success": NOW - 9 * DAY}}, "last good check of web1"),
    ],
)
def test_a_repository_that_nobody_looks_after(change: dict[str, Any], subject: str) -> None:
    assert wrong(audit.judge_care([replace(SHELF, **change)], 26, 8, NOW)) == [subject]


def test_a_new_repository_need_not_have_been_checked() -> None:
    young = audit.Shelf("web1", (NOW - HOUR,), {}, {})
    assert not wrong(audit.judge_care([young], 26, 8, NOW))
    assert not wrong(audit.judge_retention([young], KEEP, 8, NOW))
    old = replace(SHELF, checked={}, pruned={})
    assert wrong(audit.judge_care([old], 26, 8, NOW)) == ["last check of web1", "last good check of web1"]


@pytest.mark.parametrize(
    ("change", "subject"),
    [
        ({"arrivals": (NOW - 450 * DAY, NOW)}, "oldest snapshot of web1"),
        ({"arrivals": tuple(NOW - 20 * DAY - number for number in range(35))}, "older snapshots of web1"),
        ({"pruned": CARE | {"success": False}}, "last removal of old snapshots of web1"),
        ({"pruned": CARE | {"last_success": NOW - 9 * DAY}}, "last good removal for web1"),
        ({"checked": CARE | {"strays": ["ab12 (web2, 2036-01-01)"]}}, "repository of web1"),
    ],
)
def test_a_policy_that_is_not_kept(change: dict[str, Any], subject: str) -> None:
    assert wrong(audit.judge_retention([replace(SHELF, **change)], KEEP, 8, NOW)) == [subject]


@pytest.mark.parametrize(
    ("decrypted", "findings", "odd"),
    [
        (False, FINDINGS, []),
        (True, replace(FINDINGS, marked=["/r/data/ab/1"]), []),
        (True, replace(FINDINGS, compressed=["/r/data/ab/1"]), []),
        (True, replace(FINDINGS, readable=["/r/data/ab/1"]), []),
        (True, replace(FINDINGS, size=0), []),
        (True, FINDINGS, ["/r/passwd"]),
    ],
)
def test_what_is_not_encrypted(decrypted: bool, findings: Findings, odd: list[str]) -> None:
    assert len(wrong(audit.judge_encryption("web1", decrypted, findings, odd))) == 1


def test_what_does_not_belong_in_a_repository(tmp_path: Path) -> None:
    for name in audit.PARTS_OF_A_REPOSITORY - {"config"}:
        (tmp_path / name).mkdir()
    (tmp_path / "config").write_bytes(bytes(range(100, 200)))
    (tmp_path / "keys/1").write_text(json.dumps({"kdf": "scrypt", "N": 1, "data": "x"}))
    assert audit.observe_odd(tmp_path) == []
    (tmp_path / "keys/2").write_text(json.dumps({"kdf": "scrypt", "password": "x"}))
    (tmp_path / "keys/3").write_text("root:x:0:0")
    (tmp_path / "passwd").write_text("root:x:0:0")
    (tmp_path / "config").write_text("{}")
    assert len(audit.observe_odd(tmp_path)) == 4


@pytest.mark.parametrize("text", ["2027-01-15T08:00:00.123456789Z", "2027-01-15T09:00:00+01:00"])
def test_a_time_as_restic_writes_it(text: str) -> None:
    assert audit.moment_of(text) == NOW
