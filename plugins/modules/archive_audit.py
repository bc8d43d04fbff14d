#!/usr/bin/python
# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: archive_audit
short_description: Examines whether a database's log reaches the repository, and whether a young backup is there
version_added: "0.1.0"
author: the airworthy.stack maintainers (@airworthy)
description:
  - Proves the control C(db.backup) on the database host, from what the running server says and what pgBackRest finds in
    the repositories.
  - At level V(deep) it writes the marker for which M(airworthy.stack.repository_audit) searches, ends the segment of
    the log and waits until that very segment is in every repository.
extends_documentation_fragment: [airworthy.stack.attributes.reads_only]
options:
  level:
    description: Level of the examination.
    type: str
    choices: [quick, deep]
    default: quick
  port:
    description: Port of the database.
    type: int
    default: 5432
  stanza:
    description: Name of the cluster in the repositories.
    type: str
    required: true
  repositories:
    description: Numbers of the repositories in pgBackRest's configuration.
    type: list
    elements: int
    required: true
  archive_timeout:
    description: Seconds after which a segment must be handed to the archiver.
    type: int
    required: true
  maximum_age_hours:
    description: Hours that the newest backup may be old.
    type: int
    default: 26
  marker:
    description: What is written into the database at level V(deep), and must be readable in no repository.
    type: str
  timeout:
    description: Seconds within which a segment must reach the repositories.
    type: int
    default: 60
"""

EXAMPLES = r"""
- name: The log is archived, and a backup is young
  airworthy.stack.archive_audit:
    stanza: app
    repositories: [1]
    archive_timeout: 60
  register: __backup_archive_controls
"""

RETURN = r"""
controls:
  description: A record of C(db.backup) for each level.
  returned: always
  type: list
  elements: dict
"""

import json
import time
from dataclasses import dataclass
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.airworthy.stack.plugins.module_utils import pgbackrest
from ansible_collections.airworthy.stack.plugins.module_utils.control import Check, Control, judged, not_run, run_probes
from ansible_collections.airworthy.stack.plugins.module_utils.postgresql import rows, session, value

CONTROL = "db.backup"
REMEDIATION = (
    "ansible-playbook site.yml --tags backup; then look at journalctl -u 'airworthy-backup@*' on the repository host"
)
# Beyond archive_timeout, a segment needs a moment to travel.
TRAVEL = 60

ARCHIVER = """
SELECT current_setting('archive_mode') AS mode, current_setting('archive_command') AS command,
  (SELECT setting::int FROM pg_settings WHERE name = 'archive_timeout') AS timeout,
  coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false) AS failing, last_failed_wal AS failed,
  (SELECT coalesce(extract(epoch FROM now() - min(modification)), 0)::float FROM pg_ls_archive_statusdir()
   WHERE name LIKE '%.ready') AS waiting
FROM pg_stat_archiver"""

MARK = """
CREATE SCHEMA IF NOT EXISTS airworthy;
CREATE TABLE IF NOT EXISTS airworthy.marker (text text PRIMARY KEY, written timestamptz NOT NULL);
INSERT INTO airworthy.marker VALUES (%(marker)s, now()) ON CONFLICT (text) DO UPDATE SET written = excluded.written"""


@dataclass(frozen=True)
class Repository:
    number: int
    message: str  # "ok", or what is wrong
    newest: float | None  # when its newest backup ended
    damaged: bool = False  # the newest backup has pages with wrong checksums


@dataclass(frozen=True)
class State:
    archiver: dict[str, Any]
    repositories: tuple[Repository, ...]
    now: float


def judge(state: State, params: dict[str, Any]) -> list[Check]:
    archiver, stanza = state.archiver, params["stanza"]
    limit = params["archive_timeout"] + TRAVEL
    last = f"fails, last with {archiver['failed']}" if archiver["failing"] else "succeeds"
    checks = [
        Check.equal("archive_mode", "on", archiver["mode"]),
        Check.equal("archive_command", f"pgbackrest --stanza={stanza} archive-push %p", archiver["command"]),
        Check.equal("archive_timeout in s", params["archive_timeout"], archiver["timeout"]),
        Check.equal("archiving", "succeeds", last),
        Check(
            "oldest segment that waits for the archive",
            f"younger than {limit} s",
            f"{archiver['waiting']:.0f} s",
            archiver["waiting"] < limit,
        ),
    ]
    for repository in state.repositories:
        checks += judge_backup(repository, state.now, params["maximum_age_hours"])
    return checks


def judge_arrival(arrived: dict[int, float | None], timeout: int) -> list[Check]:
    """By repository, the seconds until the segment was there; None when it did not come."""
    return [
        Check(
            f"a segment of the log that ended now, in repository {number}",
            f"there within {timeout} s",
            "not there" if seconds is None else f"after {seconds:.1f} s",
            seconds is not None,
        )
        for number, seconds in arrived.items()
    ]


def judge_backup(repository: Repository, now: float, hours: int) -> list[Check]:
    name = f"newest backup in repository {repository.number}"
    if repository.newest is None:
        return [Check(name, f"younger than {hours} h", f"none: {repository.message}", False)]
    age = (now - repository.newest) / 3600
    return [
        Check(name, f"younger than {hours} h", f"{age:.1f} h", age < hours),
        Check(f"pages in the {name}", "as their checksums", "not" if repository.damaged else "as their checksums",
              not repository.damaged),
    ]  # fmt: skip


def observe_repositories(stanza: str, numbers: list[int]) -> tuple[Repository, ...]:
    info = pgbackrest.stanza_info(stanza)
    found = []
    for number in numbers:
        backups = pgbackrest.backups(info, number)
        message = pgbackrest.statuses(info).get(number, {}).get("message", "not configured here")
        newest = backups[-1] if backups else None
        found.append(
            Repository(
                number,
                message,
                newest["timestamp"]["stop"] if newest else None,
                bool(newest and newest.get("error")),
            )
        )
    return tuple(found)


def send(params: dict[str, Any]) -> dict[int, float | None]:
    """Write the marker, end its segment, and see when it is in each repository."""
    with session(port=params["port"], silent=True, autocommit=True) as connection:
        with connection.cursor() as cursor:
            cursor.execute(MARK, {"marker": params["marker"]})
        segment = value(connection, "SELECT pg_walfile_name(pg_switch_wal())")
    begun = time.monotonic()
    arrived: dict[int, float | None] = dict.fromkeys(params["repositories"])
    while None in arrived.values() and time.monotonic() - begun < params["timeout"]:
        for number in [number for number, seconds in arrived.items() if seconds is None]:
            if is_archived(params["stanza"], number, segment):
                arrived[number] = time.monotonic() - begun
        time.sleep(0.5)
    return arrived


def is_archived(stanza: str, repository: int, segment: str) -> bool:
    options = (f"--repo={repository}", "--output=json", "--recurse", f"--filter={segment}")
    return any(segment in name for name in json.loads(pgbackrest.run(stanza, *options, "repo-ls", f"archive/{stanza}")))


def examine(params: dict[str, Any]) -> Control:
    with session(port=params["port"]) as connection:
        [archiver] = rows(connection, ARCHIVER)
    state = State(archiver, observe_repositories(params["stanza"], params["repositories"]), time.time())
    command = pgbackrest.shown(params["stanza"], "info")
    return judged(CONTROL, "quick", judge(state, params), command=command, remediation=REMEDIATION)


def examine_deeply(params: dict[str, Any]) -> Control:
    stanza = params["stanza"]
    checks = judge_arrival(send(params), params["timeout"])
    command = pgbackrest.shown(stanza, "--recurse", "repo-ls", f"archive/{stanza}")
    return judged(CONTROL, "deep", checks, command=command, remediation=REMEDIATION)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "level": {"type": "str", "choices": ["quick", "deep"], "default": "quick"},
            "port": {"type": "int", "default": 5432},
            "stanza": {"type": "str", "required": True},
            "repositories": {"type": "list", "elements": "int", "required": True},
            "archive_timeout": {"type": "int", "required": True},
            "maximum_age_hours": {"type": "int", "default": 26},
            "marker": {"type": "str"},
            "timeout": {"type": "int", "default": 60},
        },
        required_if=[("level", "deep", ["marker"])],
        supports_check_mode=True,
    )
    params = module.params
    controls = run_probes("quick", {CONTROL: lambda: examine(params)})
    if params["level"] == "deep" and module.check_mode:
        controls.append(not_run(CONTROL, "deep", "It writes a row, and this run must not change anything.").to_dict())
    elif params["level"] == "deep":
        controls += run_probes("deep", {CONTROL: lambda: examine_deeply(params)})
    module.exit_json(changed=False, controls=controls)


if __name__ == "__main__":
    main()
