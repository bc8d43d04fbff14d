#!/usr/bin/python
# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host_audit
short_description: Examines whether a server is as large as its work needs
version_added: "0.1.0"
author: the airworthy.stack maintainers (@airworthy)
description:
  - Proves the control C(scale.host) from what the kernel reports.
extends_documentation_fragment: [airworthy.stack.attributes.reads_only]
options:
  minimum_memory_mb:
    description: The least total memory, in MiB as the kernel counts it (a 4 GB machine shows about 3900).
    type: int
    required: true
  minimum_cores:
    description: The least number of processors.
    type: int
    required: true
  storage:
    description: Kinds of storage that are accepted under C(/).
    type: list
    elements: str
    choices: [ssd, hdd, unknown]
    required: true
  policy:
    description: Whether a smaller server fails the control (V(enforce)) or is only reported (V(report)).
    type: str
    choices: [enforce, report]
    default: enforce
"""

EXAMPLES = r"""
- name: The server is large enough
  airworthy.stack.host_audit:
    minimum_memory_mb: 3700
    minimum_cores: 4
    storage: [ssd]
  register: __base_controls
"""

RETURN = r"""
controls:
  description: The control C(scale.host), as described in docs/certificate.md.
  returned: always
  type: list
  elements: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.airworthy.stack.plugins.module_utils.control import (
    Check,
    Control,
    judged,
    not_applicable,
    run_probes,
)
from ansible_collections.airworthy.stack.plugins.module_utils.server import observe_capacity

COMMAND = "grep MemTotal /proc/meminfo; nproc; lsblk --nodeps --output NAME,ROTA"
REMEDIATION = "Move the server to a larger machine, or set base_minimum_memory_mb, base_minimum_cores, base_storage."


def judge(capacity: dict[str, Any], wanted: dict[str, Any]) -> Control:
    memory, cores, storage = capacity["memory_mb"], capacity["cores"], capacity["storage"]
    least_memory, least_cores = wanted["minimum_memory_mb"], wanted["minimum_cores"]
    checks = [
        Check("memory", f"at least {least_memory} MiB", f"{memory} MiB", memory >= least_memory),
        Check("cores", f"at least {least_cores}", str(cores), cores >= least_cores),
        Check("storage", " or ".join(wanted["storage"]), storage, storage in wanted["storage"]),
    ]
    control = judged("scale.host", "quick", checks, command=COMMAND, remediation=REMEDIATION)
    if control.status == "fail" and wanted["policy"] == "report":
        reason = f"only reported, as base_scale_policy is set: {control.observed}"
        return not_applicable("scale.host", "quick", reason, expected=control.expected, command=COMMAND)
    return control


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "minimum_memory_mb": {"type": "int", "required": True},
            "minimum_cores": {"type": "int", "required": True},
            "storage": {"type": "list", "elements": "str", "choices": ["ssd", "hdd", "unknown"], "required": True},
            "policy": {"type": "str", "choices": ["enforce", "report"], "default": "enforce"},
        },
        supports_check_mode=True,
    )
    controls = run_probes("quick", {"scale.host": lambda: judge(observe_capacity(), module.params)})
    module.exit_json(changed=False, controls=controls)


if __name__ == "__main__":
    main()
