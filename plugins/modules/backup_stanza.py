#!/usr/bin/python
# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_stanza
short_description: Gives clusters their place in pgBackRest's repositories, and a first backup
version_added: "0.1.0"
author: the airworthy.stack maintainers (@airworthy)
description:
  - Creates the stanzas that are missing, and starts the unit that backs up where there is no backup yet.
  - A repository that holds the backups of another cluster under that name is left alone, with a warning. So it is when
    a database server was lost and provisioned anew, until the old cluster is restored.
  - A stanza that is in use, since its log is being archived or a backup made, is waited for, and left as it is when
    that lasts longer than ten seconds.
attributes:
  check_mode:
    support: full
    description: Predicts what would be created.
  diff_mode:
    support: none
    description: What was done is in the result.
options:
  stanzas:
    description: Names of the stanzas.
    type: list
    elements: str
    required: true
  repositories:
    description: Numbers of the repositories in pgBackRest's configuration.
    type: list
    elements: int
    default: [1]
  directory:
    description: Directory of the first repository, made when it is missing.
    type: path
    required: true
  adopt:
    description:
      - Whether a new cluster takes the place of the one in the repository, whose backups stay until they expire.
    type: bool
    default: false
  unit:
    description: The systemd unit that makes a full backup of every stanza.
    type: str
    required: true
  timeout:
    description: Seconds to wait for the first backup. When they are over, it goes on by itself.
    type: int
    default: 300
"""

EXAMPLES = r"""
- name: Every cluster has its place in the repositories, and a first backup
  airworthy.stack.backup_stanza:
    stanzas: [app]
    directory: /srv/backup/pgbackrest
    unit: airworthy-backup@full.service
"""

RETURN = r"""
created:
  description: Stanzas that were created.
  returned: always
  type: list
  elements: str
adopted:
  description: Stanzas in which a new cluster took the place of another.
  returned: always
  type: list
  elements: str
foreign:
  description: Stanzas that hold another cluster, and are not backed up.
  returned: always
  type: list
  elements: str
backed_up:
  description: Stanzas that got their first backup, or would get it in check mode.
  returned: always
  type: list
  elements: str
"""

import json
import pwd
import shutil
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.airworthy.stack.plugins.module_utils import pgbackrest
from ansible_collections.airworthy.stack.plugins.module_utils.waiting import wait_for

PGBACKREST = "/usr/bin/pgbackrest"
# pgBackRest's codes, of errors and of a stanza's status
MISMATCH = 28
LOCKED = 50
NO_BACKUP = 2
NOT_CREATED = {1, 3}
# Seconds to wait for a stanza that is in use: archiving in the background takes one or two, a backup minutes or hours.
LOCK_SECONDS = 10

RESTORE = (
    "The repository holds the backups of another cluster as {stanza}, so this one is not backed up. To have the old "
    "data back: ansible-playbook restore.yml. To begin anew with this cluster: site.yml -e backup_adopt_cluster=true"
)


def statuses(output: str, stanza: str) -> dict[int, int]:
    """The status of a stanza by repository, from `pgbackrest info --output=json`."""
    found = [entry for entry in json.loads(output, strict=False) if entry["name"] == stanza]
    return {repo["key"]: repo["status"]["code"] for entry in found for repo in entry.get("repo", [])}


def missing(by_repository: dict[int, int], repositories: list[int]) -> bool:
    return any(by_repository.get(number, 1) in NOT_CREATED for number in repositories)


def without_backup(by_repository: dict[int, int], repositories: list[int]) -> bool:
    return any(by_repository.get(number, 1) in NOT_CREATED | {NO_BACKUP} for number in repositories)


class Stanzas:
    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.wanted: list[str] = module.params["stanzas"]
        self.repositories: list[int] = module.params["repositories"]
        self.result: dict[str, list[str]] = {"created": [], "adopted": [], "foreign": [], "backed_up": []}

    def pgbackrest(self, stanza: str, *arguments: str) -> tuple[int, str]:
        code, out, err = self.module.run_command(pgbackrest.command(stanza, *arguments), cwd="/")
        return code, out if code == 0 else out + err

    def pgbackrest_unlocked(self, stanza: str, command: str) -> tuple[int, str]:
        """What it says when nothing else uses the stanza, or when that did not come to an end in time."""
        answer: tuple[int, str] = wait_for(
            lambda: self.pgbackrest(stanza, command), LOCK_SECONDS, pause=0.5, enough=lambda said: said[0] != LOCKED
        )
        return answer

    def info(self, stanza: str) -> dict[int, int]:
        code, output = self.pgbackrest(stanza, "--output=json", "info")
        if code:
            self.module.fail_json(msg=f"pgBackRest cannot read its repositories: {pgbackrest.reason(output)}")
        return statuses(output, stanza)

    def converge(self, stanza: str) -> None:
        absent = missing(self.info(stanza), self.repositories)
        code, output = self.pgbackrest_unlocked(stanza, "stanza-create")
        if code == 0 and absent:
            self.result["created"].append(stanza)
        elif code == LOCKED and not absent and not self.module.params["adopt"]:
            pass  # it is there, and in use
        elif code == MISMATCH:
            self.other_cluster(stanza)
        elif code:
            self.module.fail_json(msg=f"stanza {stanza} cannot be created: {pgbackrest.reason(output)}", **self.result)

    def other_cluster(self, stanza: str) -> None:
        if not self.module.params["adopt"]:
            self.result["foreign"].append(stanza)
            self.module.warn(RESTORE.format(stanza=stanza))
            return
        code, output = self.pgbackrest_unlocked(stanza, "stanza-upgrade")
        if code:
            why = pgbackrest.reason(output)
            self.module.fail_json(msg=f"stanza {stanza} cannot take another cluster: {why}", **self.result)
        self.result["adopted"].append(stanza)

    def back_up(self, stanzas: list[str]) -> None:
        """A failed backup is no failure of the run: the jobs try again, and the certificate shows it."""
        unit, deadline = self.module.params["unit"], time.monotonic() + self.module.params["timeout"]
        self.module.run_command(["systemctl", "start", "--no-block", unit], check_rc=True)
        while self.active(unit):
            if time.monotonic() > deadline:
                names = ", ".join(stanzas)
                self.module.warn(f"the first backup of {names} is still under way: systemctl status {unit}")
                return
            time.sleep(0.5)
        waiting = [stanza for stanza in stanzas if without_backup(self.info(stanza), self.repositories)]
        if waiting:
            self.module.warn(f"the first backup of {', '.join(waiting)} failed: journalctl -u {unit}")

    def active(self, unit: str) -> bool:
        _code, output, _error = self.module.run_command(["systemctl", "show", "--property=ActiveState,Job", unit])
        state = dict(line.split("=", 1) for line in output.splitlines())
        return state.get("ActiveState") in ("activating", "deactivating", "active") or bool(state.get("Job"))


def make_directory(path: Path, check_mode: bool) -> bool:
    if path.is_dir():
        return False
    if not check_mode:
        path.mkdir(mode=0o750, parents=True)
        path.parent.chmod(0o755)
        shutil.chown(path, pgbackrest.OWNER, pgbackrest.OWNER)
    return True


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "stanzas": {"type": "list", "elements": "str", "required": True},
            "repositories": {"type": "list", "elements": "int", "default": [1]},
            "directory": {"type": "path", "required": True},
            "adopt": {"type": "bool", "default": False},
            "unit": {"type": "str", "required": True},
            "timeout": {"type": "int", "default": 300},
        },
        supports_check_mode=True,
    )
    params: dict[str, Any] = module.params
    stanzas = Stanzas(module)
    if module.check_mode and not Path(PGBACKREST).exists():
        stanzas.result |= {"created": params["stanzas"], "backed_up": params["stanzas"]}
        module.exit_json(changed=True, **stanzas.result)
    try:
        pwd.getpwnam(pgbackrest.OWNER)
        made = make_directory(Path(params["directory"]), module.check_mode)
    except (KeyError, OSError) as error:
        module.fail_json(msg=f"the directory of the repository {params['directory']} cannot be made: {error}")
    if not module.check_mode:
        for stanza in params["stanzas"]:
            stanzas.converge(stanza)
    ours = [stanza for stanza in params["stanzas"] if stanza not in stanzas.result["foreign"]]
    before = {stanza: stanzas.info(stanza) for stanza in ours}
    if module.check_mode:
        stanzas.result["created"] = [stanza for stanza in ours if missing(before[stanza], params["repositories"])]
    first = [stanza for stanza in ours if without_backup(before[stanza], params["repositories"])]
    stanzas.result["backed_up"] = first
    if first and not module.check_mode:
        stanzas.back_up(first)
    changed = made or any(stanzas.result[key] for key in ("created", "adopted", "backed_up"))
    module.exit_json(changed=changed, **stanzas.result)


if __name__ == "__main__":
    main()
