#!/usr/bin/python
# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: log_delivery_audit
short_description: Examines on the collector whether what a host has logged arrives, without personal data
version_added: "0.1.0"
author: the airworthy.stack maintainers (@airworthy)
description:
  - Proves the control C(log.aggregation), at levels V(quick) and V(deep), and with PostgreSQL C(data.access_log), at
    level V(deep). It runs on the collector (C(delegate_to)), after M(airworthy.stack.log_probe), and at level V(deep)
    M(airworthy.stack.log_outage), ran on the host.
extends_documentation_fragment: [airworthy.stack.attributes.reads_only]
options:
  host:
    description: Inventory name of the host, under which the collector keeps its logs.
    type: str
    required: true
  sent:
    description: What the services of the host have logged.
    type: list
    elements: dict
    required: true
    suboptions:
      service:
        description: What it is called in the certificate.
        type: str
        required: true
      program:
        description: Under this name the collector keeps it.
        type: str
        required: true
      text:
        description: What stands in the line, and nowhere else.
        type: str
        required: true
  table:
    description: The table on the host that was read. Empty where there is no database.
    type: str
    default: ""
  secret:
    description: What was logged beside it, and must not arrive.
    type: str
    required: true
  knocked:
    description: What the collector has answered to those who may not send logs.
    type: dict
    required: true
  outage:
    description: What the host has logged while it was cut off from the collector. Without it, that is not proven.
    type: dict
    suboptions:
      program:
        description: Under this name the collector keeps it.
        type: str
        required: true
      text:
        description: What stands in each line before its number.
        type: str
        required: true
      lines:
        description: How many lines there are.
        type: int
        required: true
      reached:
        description: Whether the collector could be reached all the same.
        type: bool
        required: true
  level:
    description: V(deep) proves what happens in an outage and C(data.access_log), too.
    type: str
    choices: [quick, deep]
    default: quick
  directory:
    description: Where the collector keeps the logs.
    type: path
    default: /var/log/airworthy
  timeout:
    description: Seconds within which a line has to arrive.
    type: int
    default: 15
  catch_up:
    description: Seconds after an outage within which the lines of it have to arrive.
    type: int
    default: 30
"""

EXAMPLES = r"""
- name: What the services have logged is at the collector
  airworthy.stack.log_delivery_audit:
    host: web1
    sent: [{service: nginx, program: nginx-access, text: /airworthy-0f3a}]
    secret: 5d2c
    knocked: {no certificate: ""}
  delegate_to: log1
  register: __log_shipping_delivery_controls
"""

RETURN = r"""
controls:
  description: The controls, as described in docs/certificate.md.
  returned: always
  type: list
  elements: dict
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.airworthy.stack.plugins.module_utils.control import Check, Control, judged, not_run, run_probes
from ansible_collections.airworthy.stack.plugins.module_utils.waiting import wait_for

REMEDIATION = "journalctl -u airworthy-log-shipper on the host, journalctl -u airworthy-log-collector on the collector"
PAUSE = 0.2
TAIL = 1 << 24  # bytes at the end of a file, in which a line of some seconds ago stands
AUDIT = "pgaudit"
Record = dict[str, Any]


def tail(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL))
        return file.read()


def young(directory: Path) -> list[Path]:
    """The two youngest files of a program: after midnight, a line may stand in either."""
    return sorted(directory.glob("*.jsonl"))[-2:]


def found(directory: Path, text: str) -> list[Record]:
    """The records of a program in which that stands, each once."""
    lines = [line for path in young(directory) for line in tail(path).splitlines() if text.encode() in line]
    records: dict[str, Record] = {}
    for line in lines:
        try:
            record = json.loads(line)
            records.setdefault(record["id"], record)
        except (ValueError, KeyError, TypeError):
            continue  # cut off by a crash; it comes again
    return list(records.values())


def leaks(directory: Path, secret: str) -> list[str]:
    """The programs of a host with a line in which that stands."""
    logs = [path for program in sorted(directory.glob("*")) for path in young(program)]
    return sorted({path.parent.name for path in logs if secret.encode() in tail(path)})


def delay(record: Record) -> str:
    """By the clocks of both hosts, which may differ."""
    try:
        logged, received = (datetime.fromisoformat(record[name]) for name in ("time", "received"))
    except (KeyError, ValueError):
        return "arrived"
    return f"arrived after {max(0.0, (received - logged).total_seconds()):.1f} s"


def judge_delivery(
    sent: Sequence[Mapping[str, str]],
    arrived: Mapping[str, Sequence[Record]],
    leaking: Sequence[str],
    knocked: Mapping[str, str],
    timeout: int,
) -> list[Check]:
    checks = []
    for each in sent:
        records = arrived[each["program"]]
        seen = delay(records[0]) if records else "did not arrive"
        checks.append(Check(f"a line of {each['service']}", f"arrives within {timeout} s", seen, bool(records)))
    seen = f"in {', '.join(leaking)}" if leaking else "in none"
    checks.append(Check("an e-mail address beside each", "in no line", seen, not leaking))
    for who, answer in sorted(knocked.items()):
        seen = f"answered {answer!r}" if answer else "refused"
        checks.append(Check(f"somebody with {who}", "refused", seen, not answer))
    return checks


def judge_outage(outage: Mapping[str, Any], records: Sequence[Record]) -> list[Check]:
    """Each line once and in order: those that came twice have one id, by which they are one already."""
    numbers = [int(str(record.get("message", "")).rpartition(" ")[2]) for record in records]
    lost = outage["lines"] - len(set(numbers))
    order = "as they were logged" if numbers == sorted(set(numbers)) else "in another order, or some twice"
    reached = "within reach" if outage["reached"] else "out of reach"
    return [
        Check.equal("the collector meanwhile", "out of reach", reached),
        Check(f"of {outage['lines']} lines of an outage", "none lost", f"{lost} lost", lost == 0),
        Check.equal("those that arrived", "as they were logged", order),
    ]


def judge_access(table: str, records: Sequence[Record], leaking: Sequence[str]) -> list[Check]:
    """Who has read it, and not what."""
    said = [record.get("fields", {}) for record in records]
    reads = [fields for fields in said if fields.get("class") == "READ" and fields.get("object", "").endswith(table)]
    seen = f"{reads[0].get('user')} with {reads[0].get('command')}" if reads else "nobody"
    return [
        Check("who has read a table", "postgres with SELECT", seen, seen == "postgres with SELECT"),
        Check("the value that was looked for", "not recorded", "recorded" if leaking else "not recorded", not leaking),
    ]


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "host": {"type": "str", "required": True},
            "sent": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "service": {"type": "str", "required": True},
                    "program": {"type": "str", "required": True},
                    "text": {"type": "str", "required": True},
                },
            },
            "table": {"type": "str", "default": ""},
            "secret": {"type": "str", "required": True, "no_log": False},
            "knocked": {"type": "dict", "required": True},
            "outage": {
                "type": "dict",
                "options": {
                    "program": {"type": "str", "required": True},
                    "text": {"type": "str", "required": True},
                    "lines": {"type": "int", "required": True},
                    "reached": {"type": "bool", "required": True},
                },
            },
            "level": {"type": "str", "choices": ["quick", "deep"], "default": "quick"},
            "directory": {"type": "path", "default": "/var/log/airworthy"},
            "timeout": {"type": "int", "default": 15},
            "catch_up": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    params = module.params
    sent, table, timeout = params["sent"], params["table"], params["timeout"]
    place = Path(params["directory"]) / params["host"]
    text = {each["program"]: each["text"] for each in sent}

    def delivery() -> Control:
        arrived: dict[str, list[Record]] = {}

        def are_there() -> bool:
            arrived.update({program: found(place / program, text[program]) for program in text})
            return all(arrived.values())

        wait_for(are_there, timeout, pause=PAUSE)
        checks = judge_delivery(sent, arrived, leaks(place, params["secret"]), params["knocked"], timeout)
        command = f"grep -r {text[sent[0]['program']]} {place}"
        return judged("log.aggregation", "quick", checks, command=command, remediation=REMEDIATION)

    def through_outage() -> Control:
        outage = params["outage"]
        if not outage:
            return not_run("log.aggregation", "deep", "In check mode the host is not cut off from the collector.")
        directory, records = place / outage["program"], list[Record]()

        def are_there() -> bool:
            records[:] = found(directory, f"{outage['text']} ")
            return len(records) >= outage["lines"]

        wait_for(are_there, params["catch_up"], pause=PAUSE)
        command = f"grep -c '{outage['text']} ' {directory}/*"
        checks = judge_outage(outage, records)
        return judged("log.aggregation", "deep", checks, command=command, remediation=REMEDIATION)

    def access() -> Control:
        audit = place / AUDIT
        records = wait_for(lambda: found(audit, table), timeout, pause=PAUSE)
        checks = judge_access(table, records, leaks(place, params["secret"]))
        return judged("data.access_log", "deep", checks, command=f"grep {table} {audit}/*", remediation=REMEDIATION)

    controls = run_probes("quick", {"log.aggregation": delivery})
    if params["level"] == "deep":
        controls += run_probes("deep", {"log.aggregation": through_outage})
    if params["level"] == "deep" and table:
        controls += run_probes("deep", {"data.access_log": access})
    module.exit_json(changed=False, controls=controls)


if __name__ == "__main__":
    main()
