#!/usr/bin/python
# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: recovery_audit
short_description: Examines whether a database server can be had back
version_added: "0.1.0"
author: the airworthy.stack maintainers (@airworthy)
description:
  - Proves C(dr.restore) by the record of the last drill. At level V(deep) it starts a drill, which restores the newest
    backup beside the running server, and judges that one.
  - Proves C(dr.plan) by what the last drill measured, by the plan for a restore that could begin now, and by the
    runbook, whose every command has to exist.
  - Never fails on account of what it finds.
extends_documentation_fragment: [airworthy.stack.attributes.reads_only]
options:
  level:
    description: Level of the examination.
    type: str
    choices: [quick, deep]
    default: quick
  max_age_days:
    description: Days that the last drill may be old.
    type: int
    default: 35
  recovery_point_seconds:
    description: The seconds of work that may be lost at most.
    type: int
    required: true
  recovery_time_seconds:
    description: The seconds that restoring may take at most.
    type: int
    required: true
  off_server:
    description: Whether the backups are kept on another server than the one they are of.
    type: bool
    required: true
  runbook:
    description: Text of the runbook.
    type: str
    required: true
  playbooks:
    description: Names of the playbooks that exist.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: What was backed up can be had back
  airworthy.stack.recovery_audit:
    level: deep
    recovery_point_seconds: 120
    recovery_time_seconds: 3600
    off_server: true
    runbook: "{{ lookup('ansible.builtin.file', 'docs/recovery.md') }}"
    playbooks: [drill, restore]
  register: __backup_recovery_controls
"""

RETURN = r"""
controls:
  description: A record of C(dr.restore) for each level, and one of C(dr.plan).
  returned: always
  type: list
  elements: dict
"""

import json
import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.airworthy.stack.plugins.module_utils.control import Check, Control, judged, not_run, run_probes

RECORD = Path("/var/lib/airworthy/recovery/drill.json")
PROGRAM = ["/usr/bin/python3", "-I", "/usr/local/lib/airworthy/recovery"]
UNIT = "airworthy-drill.service"
TIMER = "airworthy-drill.timer"
DAY = 86_400

DRILL = "ansible-playbook drill.yml"
SHOWN = f"sudo cat {RECORD}"
REMEDIATION = f"{DRILL}; docs/recovery.md, 'A drill failed'"

PLAYBOOK_COMMAND = re.compile(r"ansible-playbook\s+(?:playbooks/)?([a-z_]+)\.yml")
PROGRAM_COMMAND = re.compile(r"/usr/local/lib/airworthy/recovery\s+([a-z-]+)")


def judge_drill(record: Mapping[str, Any], now: float, max_age_days: float, not_before: float = 0) -> list[Check]:
    """A drill that proved it, and lately; a deep examination wants the one that it asked for."""
    if not record:
        return [Check("last drill", f"younger than {max_age_days} days", "there was none", False)]
    finished = datetime.fromisoformat(record["finished"]).timestamp()
    age = (now - finished) / DAY
    went = "succeeded" if record["ok"] else f"{record['failed_step'] or 'comparison'}: {record['reason']}"
    checks = [
        Check("last drill", f"younger than {max_age_days} days", f"{age:.1f} days", age <= max_age_days),
        Check("its outcome", "succeeded", went, bool(record["ok"])),
        *(Check(**check) for check in record["checks"]),
    ]
    if not_before:
        began = datetime.fromisoformat(record["started"]).timestamp()
        ran = "ran" if began >= not_before else "did not run"
        checks.append(Check.equal("the drill that was asked for", "ran", ran))
    if record["ok"] and not record["checks"]:
        checks.append(Check("what it compared", "something", "nothing", False))
    return checks


def judge_timer(timer: str) -> Check:
    return Check.equal("timer of the drills", "active", timer)


def judge_objectives(record: Mapping[str, Any], limits: Mapping[str, int]) -> list[Check]:
    """What the last drill measured against what was promised."""
    checks = []
    for name, limit in limits.items():
        measured = record.get(name)
        subject = name.removesuffix("_seconds").replace("_", " ")
        observed = "not measured" if measured is None else f"{measured:.1f} s"
        checks.append(Check(subject, f"{limit} s at most", observed, measured is not None and measured <= limit))
    return checks


def judge_plan(plan: Mapping[str, Any], off_server: bool) -> list[Check]:
    refusals = plan.get("refusals") or [text for text in (plan.get("refused"), plan.get("failed")) if text]
    return [
        Check(
            "a restore to the newest state", "could begin now", "; ".join(refusals) or "could begin now",
            bool(plan.get("ok")),
        ),
        Check.equal("backups", "on another server", "on another server" if off_server else "on this server alone"),
    ]  # fmt: skip


def judge_runbook(runbook: str, playbooks: Sequence[str], commands: Sequence[str]) -> list[Check]:
    """Somebody types these at three in the morning."""
    named = [("playbook", name, name in playbooks) for name in PLAYBOOK_COMMAND.findall(runbook)]
    named += [("command", name, name in commands) for name in PROGRAM_COMMAND.findall(runbook)]
    missing = sorted({f"{kind} {name}" for kind, name, exists in named if not exists})
    lacking = [name for name in ("drill", "restore") if ("playbook", name, True) not in named]
    return [
        Check(
            "commands of docs/recovery.md", "exist", f"missing: {', '.join(missing)}" if missing else "exist",
            not missing and bool(named),
        ),
        Check(
            "what the drill ran", "in docs/recovery.md",
            f"not there: {', '.join(lacking)}" if lacking else "in docs/recovery.md", not lacking,
        ),
    ]  # fmt: skip


def last_drill() -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(RECORD.read_text())
    except FileNotFoundError:
        return {}
    return found


def said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def commands_of_program() -> list[str]:
    listed = re.search(r"\{([a-z,-]+)\}", said(*PROGRAM, "--help"))
    return listed[1].split(",") if listed else []


def plan_now() -> dict[str, Any]:
    output = said(*PROGRAM, "plan", "--json", "--stop-running")
    try:
        found: dict[str, Any] = json.loads(output)
    except json.JSONDecodeError:
        return {"failed": f"the program broke off: {output.strip() or 'it said nothing'}"}
    return found


def restore(params: dict[str, Any]) -> Control:
    timer = said("systemctl", "is-active", TIMER).strip()
    checks = [*judge_drill(last_drill(), time.time(), params["max_age_days"]), judge_timer(timer)]
    return judged("dr.restore", "quick", checks, command=SHOWN, remediation=REMEDIATION)


def restore_deeply(params: dict[str, Any]) -> Control:
    begun = time.time() - 1  # the record's times are cut to milliseconds
    said("systemctl", "start", UNIT)
    record = last_drill()
    checks = judge_drill(record, time.time(), params["max_age_days"], not_before=begun)
    point, took = (record.get(f"recovery_{name}_seconds") for name in ("point", "time"))
    return judged(
        "dr.restore", "deep", checks, command=f"sudo systemctl start {UNIT}; {SHOWN}", remediation=REMEDIATION,
        observed=f"recovery point {point} s, recovery time {took} s, {len(checks)} of {len(checks)} as expected"
        if all(check.ok for check in checks) else "",
    )  # fmt: skip


def plan(params: dict[str, Any]) -> Control:
    limits = {name: params[name] for name in ("recovery_point_seconds", "recovery_time_seconds")}
    checks = [
        *judge_objectives(last_drill(), limits),
        *judge_plan(plan_now(), params["off_server"]),
        *judge_runbook(params["runbook"], params["playbooks"], commands_of_program()),
    ]
    return judged(
        "dr.plan", "quick", checks, command=f"sudo {' '.join(PROGRAM)} plan --stop-running",
        remediation="docs/recovery.md; ansible-playbook site.yml --tags backup",
    )  # fmt: skip


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "level": {"type": "str", "choices": ["quick", "deep"], "default": "quick"},
            "max_age_days": {"type": "int", "default": 35},
            "recovery_point_seconds": {"type": "int", "required": True},
            "recovery_time_seconds": {"type": "int", "required": True},
            "off_server": {"type": "bool", "required": True},
            "runbook": {"type": "str", "required": True},
            "playbooks": {"type": "list", "elements": "str", "required": True},
        },
        supports_check_mode=True,
    )
    params = module.params
    controls: list[dict[str, Any]] = []
    if params["level"] == "deep" and module.check_mode:
        controls.append(not_run("dr.restore", "deep", "It restores a backup, and this run must not.").to_dict())
    elif params["level"] == "deep":
        # Before the others, which look at what the last drill left.
        controls += run_probes("deep", {"dr.restore": lambda: restore_deeply(params)})
    controls += run_probes("quick", {"dr.restore": lambda: restore(params), "dr.plan": lambda: plan(params)})
    module.exit_json(changed=False, controls=controls)


if __name__ == "__main__":
    main()
