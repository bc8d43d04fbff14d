#!/usr/bin/python
# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: error_trace_audit
short_description: Examines whether an error can be followed through the logs of edge, application and database
version_added: "0.1.0"
author: the airworthy.stack maintainers (@airworthy)
description:
  - Proves the control C(log.errors), at level V(quick). From the controller, the edge is asked for a page at which the
    application lets its database fail. The id in the answer then has to lead to what each of the three has logged.
  - It is looked for on the host of the task, the collector (C(delegate_to)), with the command that a person would use.
  - An application says in a comment of its statements for which request they are, as in C(/*request_id='467b05f3'*/).
extends_documentation_fragment:
  - airworthy.stack.edge
options:
  path:
    description: Where the application lets its database fail. When it is empty, the control fails.
    type: str
    default: ""
  request_id:
    description: The id in the answer. The action sets it.
    type: str
    default: ""
  status:
    description: Status of the answer, V(0) for none. The action sets it.
    type: int
    default: 0
  patience:
    description: Seconds within which the logs have to be at the collector.
    type: int
    default: 15
"""

EXAMPLES = r"""
- name: An error can be followed through all logs
  airworthy.stack.error_trace_audit:
    domain: app.example.org
    address: 203.0.113.10
    path: /diagnostics/error
    probe_key: "{{ lookup('airworthy.stack.secret', 'edge_probe') }}"
  delegate_to: log1
  register: __log_shipping_error_trace_controls
"""

RETURN = r"""
controls:
  description: The control C(log.errors), as described in docs/certificate.md.
  returned: always
  type: list
  elements: dict
"""

# The action of this name runs on the controller: it asks the edge, and has this module look for the answer's id.

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.airworthy.stack.plugins.module_utils.control import Check, Control, judged, run_probes
from ansible_collections.airworthy.stack.plugins.module_utils.waiting import wait_for
from ansible_collections.airworthy.stack.plugins.module_utils.web_client import TARGET_SPEC

ARGUMENTS: dict[str, dict[str, Any]] = {
    **TARGET_SPEC,
    "path": {"type": "str", "default": ""},
    "request_id": {"type": "str", "default": ""},
    "status": {"type": "int", "default": 0},
    "patience": {"type": "int", "default": 15},
}
# Whose logs, and under which name the collector keeps them.
SOURCES = {"edge": "nginx-access", "application": "app", "database": "postgresql"}
BAD = ("emerg", "alert", "crit", "err")
REMEDIATION = "docs/logs.md, Follow a request: what the application has to do for it"
PAUSE = 0.3
LONGEST = 100  # characters of a message's first line in the certificate
Record = Mapping[str, Any]


def searching(request_id: str) -> list[str]:
    return ["airworthy-logs", "search", f"--request-id={request_id}"]


def parse(output: str) -> list[Record]:
    return [json.loads(line) for line in output.splitlines()]


def is_of_the_error(record: Record) -> bool:
    """The edge logs every request alike, and says by its status that one failed."""
    if record.get("program") == SOURCES["edge"]:
        return int(record.get("fields", {}).get("status", 0)) >= 500
    return record.get("level") in BAD


def told(record: Record) -> str:
    text = next(iter(str(record.get("message", "")).splitlines()), "")
    return f"{text[:LONGEST]}{'…' if len(text) > LONGEST else ''} on {record.get('host')}"


def traces(records: Sequence[Record]) -> dict[str, Record]:
    """Who has logged the error, and the first record of it."""
    found: dict[str, Record] = {}
    for record in filter(is_of_the_error, records):
        for who, program in SOURCES.items():
            if record.get("program") == program:
                found.setdefault(who, record)
    return found


def judge(path: str, status: int, request_id: str, found: Mapping[str, Record]) -> Control:
    if not path:
        checks = [Check("airworthy_app_error_path", "where the application lets its database fail", "not set", False)]
        return judged("log.errors", "quick", checks, remediation=REMEDIATION)
    answer = f"{status or 'no answer'} with {'an' if request_id else 'no'} id"
    checks = [Check(f"GET {path}", "500 with an id", answer, status == 500 and bool(request_id))]
    checks += [
        Check(f"the {who}'s log", "an error of that id", told(found[who]) if who in found else "none", who in found)
        for who in SOURCES
    ]
    command = shlex.join(searching(request_id)) if request_id else ""
    return judged("log.errors", "quick", checks, command=command, remediation=REMEDIATION)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    path, request_id = module.params["path"], module.params["request_id"]
    found: dict[str, Record] = {}

    def is_complete() -> bool:
        code, out, problem = module.run_command([*searching(request_id), "--json"])
        if code > 1 or (problem and not out):
            raise RuntimeError(f"the logs cannot be searched: {problem.strip()}")
        found.update(traces(parse(out)))
        return len(found) == len(SOURCES)

    def trace() -> Control:
        if request_id:
            wait_for(is_complete, module.params["patience"], pause=PAUSE)
        return judge(path, module.params["status"], request_id, found)

    module.exit_json(changed=False, controls=run_probes("quick", {"log.errors": trace}))


if __name__ == "__main__":
    main()
