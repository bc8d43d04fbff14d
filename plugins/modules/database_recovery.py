#!/usr/bin/python
# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: database_recovery
short_description: Restores a database server's cluster, or takes a database or table out of its past
version_added: "0.1.0"
author: the airworthy.stack maintainers (@airworthy)
description:
  - Runs the program of role C(backup) on the database server, /usr/local/lib/airworthy/recovery, as somebody without
    Ansible would. Run it as root.
  - Without O(database) the whole cluster is restored in place. What it replaces is kept beside it, and put back when
    the restore fails.
  - With O(database) that database is copied, as it was, into a new one of the running server. Nothing is overwritten.
attributes:
  check_mode:
    support: full
    description: Nothing is touched, and the plan is returned. A plan that is refused is no failure then.
  diff_mode:
    support: none
    description: The plan says what is replaced.
options:
  to:
    description: What to recover to.
    type: str
    choices: [newest, time, xid, name, lsn, immediate]
    default: newest
  target:
    description: The time (with its time zone), transaction, restore point or position in the log.
    type: str
    default: ""
  database:
    description: The one database that is wanted.
    type: str
    default: ""
  table:
    description: The one table of O(database) that is wanted, as C(schema.table).
    type: str
    default: ""
  repository:
    description: Number of the repository.
    type: int
    default: 1
  backup_set:
    description: Label of the backup to begin with. By default the newest one that ended before O(target).
    type: str
    default: ""
  timeline:
    description: Timeline to follow, V(0) for the newest.
    type: int
    default: 0
  stop_running:
    description: Whether a running server is stopped, and what it holds replaced.
    type: bool
    default: false
  replace_other:
    description: Whether the data directory of another cluster is replaced, as on a new server.
    type: bool
    default: false
  discard_replaced:
    description: Whether what is replaced is removed. There is no way back then.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: The cluster is as it was before the deployment
  airworthy.stack.database_recovery:
    to: time
    target: 2026-11-25 02:13:00+00:00
    stop_running: true

- name: The table that was dropped is in a new database
  airworthy.stack.database_recovery:
    to: time
    target: 2026-11-25 02:13:00+00:00
    database: app
    table: public.users
"""

RETURN = r"""
plan:
  description: What a restore of the whole cluster would do, with the reasons for which it would not.
  returned: in check mode, without O(database)
  type: dict
record:
  description: What became of it, with its steps, the time it took and up to where the data goes.
  returned: when it ran
  type: dict
"""

import json
from collections.abc import Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule

PROGRAM = ("/usr/bin/python3", "-I", "/usr/local/lib/airworthy/recovery")
KINDS = ("newest", "time", "xid", "name", "lsn", "immediate")
FLAGS = ("stop_running", "replace_other", "discard_replaced")


def arguments(params: Mapping[str, Any], command: str) -> list[str]:
    words = [*PROGRAM, command, "--json", f"--to={params['to']}", f"--repository={params['repository']}"]
    for name in ("target", "backup_set", "timeline"):
        if params[name]:
            words.append(f"--{name.replace('_', '-')}={params[name]}")
    if command == "extract":
        words.append(f"--database={params['database']}")
        if params["table"]:
            words.append(f"--table={params['table']}")
    else:
        words += [f"--{name.replace('_', '-')}" for name in FLAGS if params[name]]
    return words


def command_of(params: Mapping[str, Any], check_mode: bool) -> str:
    if params["database"]:
        return "extract"
    return "plan" if check_mode else "restore"


def outcome(said: str, complaint: str) -> dict[str, Any]:
    """What the program says of itself; it may also have broken off."""
    try:
        found: dict[str, Any] = json.loads(said)
    except json.JSONDecodeError:
        return {"ok": False, "failed": f"the program broke off: {' '.join((complaint or said).split()[-60:])}"}
    return found


def problem(found: Mapping[str, Any]) -> str:
    return str(found.get("refused") or found.get("failed") or f"{found.get('failed_step')}: {found.get('reason')}")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "to": {"type": "str", "choices": list(KINDS), "default": "newest"},
            "target": {"type": "str", "default": ""},
            "database": {"type": "str", "default": ""},
            "table": {"type": "str", "default": ""},
            "repository": {"type": "int", "default": 1},
            "backup_set": {"type": "str", "default": ""},
            "timeline": {"type": "int", "default": 0},
            **{name: {"type": "bool", "default": False} for name in FLAGS},
        },
        supports_check_mode=True,
    )
    params = module.params
    if params["table"] and not params["database"]:
        module.fail_json(msg=f"table is {params['table']!r}; say of which database with the option database")
    command = command_of(params, module.check_mode)
    if command == "extract" and module.check_mode:
        module.exit_json(changed=True)
    _code, said, complaint = module.run_command(arguments(params, command))
    found = outcome(said, complaint)
    if command == "plan" and "refusals" in found:
        module.exit_json(changed=True, plan=found)
    if not found["ok"]:
        module.fail_json(msg=problem(found), record=found)
    module.exit_json(changed=True, record=found)


if __name__ == "__main__":
    main()
