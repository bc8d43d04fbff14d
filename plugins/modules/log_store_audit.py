#!/usr/bin/python
# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: log_store_audit
short_description: Examines whether old logs are removed, and who may read the others
version_added: "0.1.0"
author: the airworthy.stack maintainers (@airworthy)
description:
  - Proves the control C(data.retention) on a collector of logs, at level V(quick).
extends_documentation_fragment: [airworthy.stack.attributes.reads_only]
options:
  days:
    description: Days for which logs are kept.
    type: int
    required: true
  max_mb:
    description: MiB that all of them may take.
    type: int
    required: true
  directory:
    description: Where the collector keeps the logs.
    type: path
    default: /var/log/airworthy
  timer:
    description: The timer of what compresses and removes them.
    type: str
    default: airworthy-log-keeper.timer
"""

EXAMPLES = r"""
- name: Old logs are gone
  airworthy.stack.log_store_audit:
    days: 90
    max_mb: 10240
  register: __log_collector_controls
"""

RETURN = r"""
controls:
  description: The control C(data.retention), as described in docs/certificate.md.
  returned: always
  type: list
  elements: dict
"""

import os
import re
import stat
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from typing import NamedTuple

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.airworthy.stack.plugins.module_utils.control import Check, Control, judged, run_probes

REMEDIATION = "systemctl start airworthy-log-keeper.service; journalctl -u airworthy-log-keeper says what kept it"
DAY = re.compile(r"(\d{4}-\d\d-\d\d)\.jsonl(\.zst)?")
# The keeper runs once an hour, and rests while a file may still be written to.
GRACE_DAYS = 1


class Log(NamedTuple):
    path: str
    day: date
    size: int  # bytes
    mode: int


def logs(directory: str) -> Iterator[Log]:
    for where, _directories, names in os.walk(directory):
        for name in names:
            if found := DAY.fullmatch(name):
                path = os.path.join(where, name)
                try:
                    status = os.stat(path)
                except FileNotFoundError:
                    continue  # the keeper has removed it just now
                yield Log(path, date.fromisoformat(found[1]), status.st_size, stat.S_IMODE(status.st_mode))


def judge(found: Sequence[Log], days: int, max_mb: int, timer: str, today: date) -> list[Check]:
    age = (today - min((log.day for log in found), default=today)).days
    size = sum(log.size for log in found) / (1 << 20)
    open_to_all = [log.path for log in found if log.mode & 0o007]
    readers = f"{open_to_all[0]} is open to all" if open_to_all else "the group, and no one else"
    return [
        Check("oldest log", f"{days} days at most", f"{age} days", age <= days + GRACE_DAYS),
        Check("all logs", f"{max_mb} MiB at most", f"{size:.1f} MiB in {len(found)} files", size <= max_mb),
        Check("who may read them", "the group, and no one else", readers, not open_to_all),
        Check.equal("what removes old ones", "active", timer),
    ]


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "days": {"type": "int", "required": True},
            "max_mb": {"type": "int", "required": True},
            "directory": {"type": "path", "default": "/var/log/airworthy"},
            "timer": {"type": "str", "default": "airworthy-log-keeper.timer"},
        },
        supports_check_mode=True,
    )
    params = module.params

    def retention() -> Control:
        timer = module.run_command(["systemctl", "is-active", params["timer"]])[1].strip()
        found, today = list(logs(params["directory"])), datetime.now(UTC).date()
        checks = judge(found, params["days"], params["max_mb"], timer, today)
        command = f"ls -lR {params['directory']}; systemctl list-timers {params['timer']}"
        return judged("data.retention", "quick", checks, command=command, remediation=REMEDIATION)

    module.exit_json(changed=False, controls=run_probes("quick", {"data.retention": retention}))


if __name__ == "__main__":
    main()
