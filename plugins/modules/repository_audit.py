#!/usr/bin/python
# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: repository_audit
short_description: Examines the repositories of the database's backups where they are kept
version_added: "0.1.0"
author: the airworthy.stack maintainers (@airworthy)
description:
  - Proves the controls C(db.backup) and C(data.retention) at level V(quick), C(data.backup_encrypted) at level V(deep).
  - That a repository is encrypted is seen from its bytes - the marker that M(airworthy.stack.archive_audit) wrote is
    nowhere in them, nor in what decompression makes of them, and they look like noise.
extends_documentation_fragment: [airworthy.stack.attributes.reads_only]
options:
  level:
    description: Level of the examination.
    type: str
    choices: [quick, deep]
    default: quick
  stanzas:
    description: Names of the clusters in the repositories.
    type: list
    elements: str
    required: true
  repositories:
    description: Numbers of the repositories in pgBackRest's configuration.
    type: list
    elements: int
    required: true
  directories:
    description: Those repositories that are directories of this host. They are read at level V(deep).
    type: list
    elements: path
    required: true
  vault:
    description: Where what was removed from the repository is kept.
    type: path
    required: true
  vault_days:
    description: Days for which it is kept.
    type: int
    required: true
  timers:
    description: Timers that must be there, without C(.timer).
    type: list
    elements: str
    required: true
  backup_timers:
    description: Those of them that make backups.
    type: list
    elements: str
    required: true
  maximum_age_hours:
    description: Hours within which one of them must elapse.
    type: int
    default: 26
  verify_maximum_age_days:
    description: Days that the last verification may be old.
    type: int
    default: 8
  retention_type:
    description: Whether O(retention_full) counts days or full backups.
    type: str
    choices: [time, count]
    required: true
  retention_full:
    description: Days to which one can go back, or number of full backups that are kept.
    type: int
    required: true
  marker:
    description: What must be readable in no repository.
    type: str
  read_limit_mb:
    description: Megabytes of the repository that are read, the newest files first.
    type: int
    default: 4096
"""

EXAMPLES = r"""
- name: The repositories are as they shall be
  airworthy.stack.repository_audit:
    stanzas: [app]
    repositories: [1]
    directories: [/srv/backup/pgbackrest]
    vault: /srv/backup/vault/pgbackrest
    vault_days: 14
    timers: [airworthy-backup-full, airworthy-backup-differential, airworthy-backup-verify, airworthy-backup-vault]
    backup_timers: [airworthy-backup-full, airworthy-backup-differential]
    retention_type: time
    retention_full: 14
  register: __backup_repository_controls
"""

RETURN = r"""
controls:
  description: One record for each control of the level.
  returned: always
  type: list
  elements: dict
"""

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.airworthy.stack.plugins.module_utils import pgbackrest
from ansible_collections.airworthy.stack.plugins.module_utils.ciphertext import Findings, search
from ansible_collections.airworthy.stack.plugins.module_utils.control import (
    Check,
    Control,
    judged,
    not_applicable,
    run_probes,
)
from ansible_collections.airworthy.stack.plugins.module_utils.timers import Timer, judge_timers, observe_timers

JOBS = Path("/var/lib/airworthy/backup/jobs.json")
DAY = 86_400
CIPHER = "aes-256-cbc"
REMEDIATION = "ansible-playbook site.yml --tags backup; then look at journalctl -u 'airworthy-backup@*'"


@dataclass(frozen=True)
class Place:
    """A cluster in one of the repositories."""

    stanza: str
    repository: int
    message: str  # "ok", or what is wrong
    cipher: str
    fulls: tuple[float, ...]  # when the full backups ended, the oldest first
    gaps: tuple[int, ...]  # segments of the log that are missing since the newest backup

    def __str__(self) -> str:
        return f"{self.stanza} in repository {self.repository}"


def judge_jobs(jobs: dict[str, Any], oldest: float | None, verify_days: int, now: float) -> list[Check]:
    """Each job's last run succeeded. A new repository need not have been verified yet."""
    checks = []
    for job, record in jobs.items():
        failures = "; ".join(f"{place}: {problem}" for place, problem in record["failures"].items())
        checks.append(Check(f"last run of {job}", "succeeded", failures or "succeeded", not failures))
    age = (now - jobs["verify"]["finished"]) / DAY if "verify" in jobs else None
    due = oldest is not None and now - oldest > verify_days * DAY
    seen = "never" if age is None else f"{age:.1f} days ago"
    ok = not due if age is None else age < verify_days
    wanted = f"less than {verify_days} days ago" + ("" if due or age is not None else ", once there are older backups")
    return [*checks, Check("every file was compared with its checksum", wanted, seen, ok)]


def judge_places(places: Sequence[Place]) -> list[Check]:
    checks = []
    for place in places:
        missing = f"{len(place.gaps)} segments are missing" if place.gaps else "without a gap"
        checks.append(Check(str(place), "ok", place.message, place.message == "ok"))
        checks.append(Check(f"log of {place} since the newest backup", "without a gap", missing, not place.gaps))
    return checks


def judge_retention(places: Sequence[Place], kind: str, wanted: int, now: float) -> list[Check]:
    """By time, one full backup older than the limit has to stay: from it one can go back to the limit."""
    checks = []
    for place in places:
        if kind == "count":
            count = len(place.fulls)
            checks.append(Check(f"full backups of {place}", f"{wanted} at most", str(count), count <= wanted))
        else:
            old = sum(now - full > wanted * DAY for full in place.fulls)
            checks.append(
                Check(f"full backups of {place} older than {wanted} days", "1 at most", str(old), old <= 1)
            )
    return checks


def judge_vault(oldest: float | None, days: int, now: float) -> Check:
    age = 0.0 if oldest is None else (now - oldest) / DAY
    limit = days + 1
    return Check("what was removed longest ago, in the vault", f"at most {limit} days", f"{age:.1f} days", age <= limit)


def judge_encryption(places: Sequence[Place], findings: Findings) -> list[Check]:
    return [Check.equal(f"cipher of {place}", CIPHER, place.cipher) for place in places] + findings.checks()


def observe_place(stanza: str, repository: int, info: dict[str, Any]) -> Place:
    backups = pgbackrest.backups(info, repository)
    status = pgbackrest.statuses(info).get(repository, {"message": "not configured"})
    return Place(
        stanza,
        repository,
        status["message"],
        next((repo["cipher"] for repo in info.get("repo", []) if repo["key"] == repository), "unknown"),
        tuple(backup["timestamp"]["stop"] for backup in backups if backup["type"] == "full"),
        tuple(observe_gaps(stanza, repository, info, backups)) if backups else (),
    )


def observe_gaps(stanza: str, repository: int, info: dict[str, Any], backups: Sequence[dict[str, Any]]) -> list[int]:
    """Segments that are missing in the archive of the cluster as it is now."""
    archive = [entry for entry in info["archive"] if entry["database"]["repo-key"] == repository][-1]
    listing = json.loads(
        pgbackrest.run(
            stanza,
            f"--repo={repository}",
            "--output=json",
            "--recurse",
            "repo-ls",
            f"archive/{stanza}/{archive['id']}",
        )
    )
    return pgbackrest.gaps(pgbackrest.segments(listing), pgbackrest.segment_number(backups[-1]["archive"]["start"]))


def observe_places(params: dict[str, Any]) -> list[Place]:
    infos = {stanza: pgbackrest.stanza_info(stanza) for stanza in params["stanzas"]}
    numbers = params["repositories"]
    return [observe_place(stanza, number, info) for stanza, info in infos.items() for number in numbers]


def observe_vault(vault: Path) -> float | None:
    """When that was removed which was removed longest ago. Removing its other name set the file's ctime."""
    states = [Path(here, name).stat() for here, _names, files in os.walk(vault) for name in files]
    return min((state.st_ctime for state in states if state.st_nlink == 1), default=None)


def examine_backups(params: dict[str, Any], places: Sequence[Place]) -> Control:
    now = time.time()
    jobs = json.loads(JOBS.read_text()) if JOBS.exists() else {}
    oldest = min((full for place in places for full in place.fulls), default=None)
    timers: list[Timer] = observe_timers(params["timers"])
    checks = [
        *judge_timers(timers, params["backup_timers"], params["maximum_age_hours"] * 3600, now),
        *judge_jobs(jobs, oldest, params["verify_maximum_age_days"], now),
        *judge_places(places),
    ]
    command = "systemctl list-timers 'airworthy-backup-*'; sudo -u postgres pgbackrest info"
    return judged("db.backup", "quick", checks, command=command, remediation=REMEDIATION)


def examine_retention(params: dict[str, Any], places: Sequence[Place]) -> Control:
    now = time.time()
    checks = judge_retention(places, params["retention_type"], params["retention_full"], now)
    checks.append(judge_vault(observe_vault(Path(params["vault"])), params["vault_days"], now))
    return judged(
        "data.retention", "quick", checks, command="sudo -u postgres pgbackrest info", remediation=REMEDIATION
    )


def examine_encryption(params: dict[str, Any], places: Sequence[Place]) -> Control:
    findings = search(params["directories"], params["marker"].encode(), params["read_limit_mb"] * 1_000_000)
    return judged(
        "data.backup_encrypted",
        "deep",
        judge_encryption(places, findings),
        command=f"grep --recursive --count --text '[backrest]' {' '.join(params['directories'])} | grep -v ':0$'",
        remediation="remove what is readable, and find out who put it there; then make a full backup",
    )


def nothing_kept(level: str) -> list[Control]:
    reason = "This host keeps the backups of no database."
    controls = [not_applicable("data.retention", "quick", reason)]
    return controls + ([not_applicable("data.backup_encrypted", "deep", reason)] if level == "deep" else [])


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "level": {"type": "str", "choices": ["quick", "deep"], "default": "quick"},
            "stanzas": {"type": "list", "elements": "str", "required": True},
            "repositories": {"type": "list", "elements": "int", "required": True},
            "directories": {"type": "list", "elements": "path", "required": True},
            "vault": {"type": "path", "required": True},
            "vault_days": {"type": "int", "required": True},
            "timers": {"type": "list", "elements": "str", "required": True},
            "backup_timers": {"type": "list", "elements": "str", "required": True},
            "maximum_age_hours": {"type": "int", "default": 26},
            "verify_maximum_age_days": {"type": "int", "default": 8},
            "retention_type": {"type": "str", "choices": ["time", "count"], "required": True},
            "retention_full": {"type": "int", "required": True},
            "marker": {"type": "str"},
            "read_limit_mb": {"type": "int", "default": 4096},
        },
        required_if=[("level", "deep", ["marker"])],
        supports_check_mode=True,
    )
    params = module.params
    if not params["stanzas"]:
        module.exit_json(changed=False, controls=[control.to_dict() for control in nothing_kept(params["level"])])
    places = cache(lambda: observe_places(params))  # within the probes, since it may fail
    controls = run_probes(
        "quick",
        {
            "db.backup": lambda: examine_backups(params, places()),
            "data.retention": lambda: examine_retention(params, places()),
        },
    )
    if params["level"] == "deep":
        controls += run_probes("deep", {"data.backup_encrypted": lambda: examine_encryption(params, places())})
    module.exit_json(changed=False, controls=controls)


if __name__ == "__main__":
    main()
