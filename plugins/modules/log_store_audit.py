#!/usr/bin/python
# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: log_store_audit
short_description: Examines whether old logs are removed, and who may read the others and their reports
version_added: "0.1.0"
author: the airworthy.stack maintainers (@airworthy)
description:
  - Proves the control C(data.retention) on a collector of logs, at level V(quick).
  - The reports may not be told without TLS, without a password or with a wrong one, and must be with the right one.
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
  readable_days:
    description: Days that are not encrypted yet. By default, none has to be encrypted.
    type: int
  directory:
    description: Where the collector keeps the logs.
    type: path
    default: /var/log/airworthy
  timer:
    description: The timer of what compresses and removes them.
    type: str
    default: airworthy-log-keeper.timer
  reports:
    description: Where the collector keeps the reports.
    type: path
    default: /var/lib/airworthy-log-collector/reports
  hostname:
    description: The name for which the certificate of the reports must be valid.
    type: str
    required: true
  address:
    description: Where the reports are reached.
    type: str
    default: 127.0.0.1
  port:
    description: The port of the reports.
    type: int
    default: 9443
  ca_file:
    description: The CA that issued the certificate, on the server.
    type: path
    required: true
  user:
    description: The user who may read the reports.
    type: str
    default: admin
  password:
    description: The password of O(user).
    type: str
    required: true
  timeout:
    description: Seconds to wait for an answer.
    type: int
    default: 10
"""

EXAMPLES = r"""
- name: Old logs are gone
  airworthy.stack.log_store_audit:
    days: 90
    max_mb: 10240
    hostname: log1
    ca_file: /etc/airworthy/tls/ca.crt
    password: "{{ lookup('airworthy.stack.secret', 'log_collector_admin') }}"
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
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.airworthy.stack.plugins.module_utils.control import Check, Control, judged, run_probes
from ansible_collections.airworthy.stack.plugins.module_utils.web_client import (
    Answer,
    Strangers,
    Target,
    ask,
    ask_as_strangers,
    basic_auth,
    judge_strangers,
)

REMEDIATION = (
    "systemctl start airworthy-log-keeper.service; journalctl -u airworthy-log-keeper says what kept it. "
    "Of the reports: ansible-playbook site.yml --tags log_collector"
)
DAY = re.compile(r"(\d{4}-\d\d-\d\d)(\.\d+)?\.jsonl(\.zst)?(?P<encrypted>\.age)?")
AGE = b"age-encryption.org/v1\n"    # with which each of its files begins
# The keeper runs once an hour, and rests while a file may still be written to.
GRACE_DAYS = 1


class Log(NamedTuple):
    path: str
    day: date
    size: int  # bytes
    mode: int
    is_encrypted: bool = False


def files(directory: str) -> Iterator[tuple[str, os.stat_result]]:
    for where, _directories, names in os.walk(directory):
        for path in (os.path.join(where, name) for name in names):
            try:
                yield path, os.stat(path)
            except FileNotFoundError:
                continue  # the keeper has removed it just now


def logs(directory: str) -> Iterator[Log]:
    for path, status in files(directory):
        if found := DAY.fullmatch(os.path.basename(path)):
            is_encrypted = bool(found["encrypted"]) and begins_with(path, AGE)
            yield Log(path, date.fromisoformat(found[1]), status.st_size, stat.S_IMODE(status.st_mode), is_encrypted)


def begins_with(path: str, text: bytes) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(len(text)) == text
    except FileNotFoundError:
        return True  # as above


def judge_encryption(found: Sequence[Log], readable_days: int, today: date) -> Check:
    readable = min((log for log in found if not log.is_encrypted), key=lambda log: log.day, default=None)
    age = (today - readable.day).days if readable else 0
    is_ok = age <= readable_days + GRACE_DAYS
    seen = f"{age} days" + (f", {readable.path}" if readable and not is_ok else "")
    return Check("oldest log that is not encrypted", f"{readable_days} days at most", seen, is_ok)


def judge(found: Sequence[Log], days: int, max_mb: int, timer: str, today: date) -> list[Check]:
    age = (today - min((log.day for log in found), default=today)).days
    size = sum(log.size for log in found) / (1 << 20)
    return [
        Check("oldest log", f"{days} days at most", f"{age} days", age <= days + GRACE_DAYS),
        Check("all logs", f"{max_mb} MiB at most", f"{size:.1f} MiB in {len(found)} files", size <= max_mb),
        judge_readers("logs", {log.path: log.mode for log in found}),
        Check.equal("what removes old ones", "active", timer),
    ]


def judge_readers(what: str, found: Mapping[str, int]) -> Check:
    open_to_all = [path for path, mode in found.items() if mode & 0o007]
    readers = f"{open_to_all[0]} is open to all" if open_to_all else "the group, and no one else"
    return Check(f"who may read the {what}", "the group, and no one else", readers, not open_to_all)


def judge_reports(found: Mapping[str, int], seen: Strangers, known: Answer) -> list[Check]:
    return [
        judge_readers("reports", found),
        *judge_strangers("the reports", seen),
        Check("the reports with the password", "200", str(known), known.status == 200),
    ]


def observe_reports(params: Mapping[str, Any], target: Target) -> list[Check]:
    found = {path: stat.S_IMODE(status.st_mode) for path, status in files(params["reports"])}
    user, password = params["user"], params["password"]
    strangers = ask_as_strangers(target, "/", user, password)
    return judge_reports(found, strangers, ask(target, headers=basic_auth(user, password)))


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "days": {"type": "int", "required": True},
            "max_mb": {"type": "int", "required": True},
            "readable_days": {"type": "int"},
            "directory": {"type": "path", "default": "/var/log/airworthy"},
            "timer": {"type": "str", "default": "airworthy-log-keeper.timer"},
            "reports": {"type": "path", "default": "/var/lib/airworthy-log-collector/reports"},
            "hostname": {"type": "str", "required": True},
            "address": {"type": "str", "default": "127.0.0.1"},
            "port": {"type": "int", "default": 9443},
            "ca_file": {"type": "path", "required": True},
            "user": {"type": "str", "default": "admin"},
            "password": {"type": "str", "required": True, "no_log": True},
            "timeout": {"type": "int", "default": 10},
        },
        supports_check_mode=True,
    )
    params = module.params

    def retention() -> Control:
        timer = module.run_command(["systemctl", "is-active", params["timer"]])[1].strip()
        found, today = list(logs(params["directory"])), datetime.now(UTC).date()
        checks = judge(found, params["days"], params["max_mb"], timer, today)
        if params["readable_days"] is not None:
            checks.append(judge_encryption(found, params["readable_days"], today))
        port = params["port"]
        target = Target(params["hostname"], params["address"], port, port, params["ca_file"], params["timeout"])
        checks += observe_reports(params, target)
        # curl asks for the password, so that it stands in no history
        listed = f"ls -lR {params['directory']} {params['reports']}; systemctl list-timers {params['timer']}"
        command = f"{listed}; {target.curl('/', '-u', params['user'])}"
        return judged("data.retention", "quick", checks, command=command, remediation=REMEDIATION)

    module.exit_json(changed=False, controls=run_probes("quick", {"data.retention": retention}))


if __name__ == "__main__":
    main()
