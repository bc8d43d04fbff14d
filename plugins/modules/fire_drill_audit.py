#!/usr/bin/python
# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: fire_drill_audit
short_description: Examines whether a receiver was told of each fault of a fire drill, and that it is over
version_added: "0.1.0"
author: the airworthy.stack maintainers (@airworthy)
description:
  - Proves the control C(mon.alerts), at level V(deep). It runs on the server that carries Alertmanager, after each
    fault was brought about and ended, and reads the history of alerts, C(airworthy-alert-history.service) in the
    journal.
  - It waits until the receiver was told that each alert is over.
  - In check mode nothing is brought about, and so nothing proved.
extends_documentation_fragment: [airworthy.stack.attributes.reads_only]
options:
  fires:
    description: The faults, as P(airworthy.stack.fires#filter) names them.
    type: list
    elements: dict
    required: true
    suboptions:
      fault:
        description: What was brought about.
        type: str
        required: true
      alert:
        description: The alert that it must raise.
        type: str
        required: true
      instance:
        description: The host on which it was.
        type: str
        required: true
      seconds:
        description: Seconds within which the receiver has to be told.
        type: int
        required: true
      drilled:
        description: Whether it was brought about.
        type: bool
        required: true
  since:
    description: When the drill began, in seconds since the epoch, by the clock of that server. Without it, none began.
    type: float
  timeout:
    description:
      - Seconds to wait until the last alert is over. The longest looks at the last five minutes, and Alertmanager tells
        of a change every two.
    type: int
    default: 540
"""

EXAMPLES = r"""
- name: Each fault was told, and that it is over
  airworthy.stack.fire_drill_audit:
    fires: [{fault: disk, alert: DiskSpaceLow, instance: db1, seconds: 525, drilled: true}]
    since: 1764249600
  register: __monitoring_fire_drill_controls
"""

RETURN = r"""
controls:
  description: The control C(mon.alerts), as described in docs/certificate.md.
  returned: always
  type: list
  elements: dict
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.airworthy.stack.plugins.module_utils.alert_history import (
    PAUSE,
    UNIT,
    Told,
    first,
    history,
)
from ansible_collections.airworthy.stack.plugins.module_utils.control import (
    Check,
    Control,
    error,
    judged,
    not_run,
    run_probes,
)
from ansible_collections.airworthy.stack.plugins.module_utils.waiting import wait_for

REMEDIATION = "docs/monitoring.md, 'Fire drill', says how to bring about a single fault and to follow its alert"
Fire = Mapping[str, Any]


def told_of(fire: Fire, told: Sequence[Told]) -> tuple[Told | None, Told | None]:
    """When the receiver was told of the fault, and when that it is over."""
    begun = first(told, fire["alert"], fire["instance"], "firing")
    over = first(told, fire["alert"], fire["instance"], "resolved", after=begun.at) if begun else None
    return begun, over


def is_over(fires: Sequence[Fire], told: Sequence[Told]) -> bool:
    """Whether nothing is to be waited for: what was not told yet will not be, since the fault has ended."""
    seen = [told_of(fire, told) for fire in fires if fire["drilled"]]
    return all(over for begun, over in seen if begun)


def judge_fire(fire: Fire, since: float, told: Sequence[Told]) -> Check:
    subject = f"{fire['fault']} on {fire['instance']}: {fire['alert']}"
    expected = f"told within {fire['seconds']} s, and that it is over"
    if not fire["drilled"]:
        return Check(subject, expected, "left out by monitoring_drill_faults", False)
    begun, over = told_of(fire, told)
    if not begun:
        return Check(subject, expected, "not told", False)
    seen = f"told after {begun.at - since:.0f} s, " + (f"over after {over.at - since:.0f} s" if over else "not over")
    return Check(subject, expected, seen, over is not None and begun.at - since <= fire["seconds"])


def judge(fires: Sequence[Fire], since: float, told: Sequence[Told]) -> Control:
    command = f"journalctl -u {UNIT} -o cat --since @{since:.0f}"
    checks = [judge_fire(fire, since, told) for fire in fires]
    observed = "; ".join(f"{check.subject} {check.observed}" for check in checks if check.ok)
    passed = all(check.ok for check in checks)
    return judged(
        "mon.alerts", "deep", checks, command=command, remediation=REMEDIATION, observed=observed if passed else ""
    )


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "fires": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "fault": {"type": "str", "required": True},
                    "alert": {"type": "str", "required": True},
                    "instance": {"type": "str", "required": True},
                    "seconds": {"type": "int", "required": True},
                    "drilled": {"type": "bool", "required": True},
                },
            },
            "since": {"type": "float"},
            "timeout": {"type": "int", "default": 540},
        },
        supports_check_mode=True,
    )
    fires, since = module.params["fires"], module.params["since"]

    def told() -> list[Told]:
        return history(since, module.run_command)

    def probe() -> Control:
        if module.check_mode:
            return not_run("mon.alerts", "deep", "In check mode nothing is set on fire.")
        if since is None:
            return error("mon.alerts", "deep", "The drill did not begin.", remediation=REMEDIATION)
        wait_for(lambda: is_over(fires, told()), module.params["timeout"], pause=PAUSE)
        return judge(fires, since, told())

    module.exit_json(changed=False, controls=run_probes("deep", {"mon.alerts": probe}))


if __name__ == "__main__":
    main()
