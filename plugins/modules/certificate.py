#!/usr/bin/python
# Copyright (c) the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# The code is the action plugin of the same name; it runs on the controller.
from __future__ import annotations

DOCUMENTATION = r"""
module: certificate
short_description: Write the certificate of all hosts and give the verdict
version_added: "0.1.0"
description:
  - Collects the controls that the verifying modules registered on the given hosts, in variables named like
    C(__nginx_controls), and compares them with the lines of the checklist.
  - A line that should have been proven on a host and was not is an error, so that silence never counts as a pass.
  - Writes C(certificate.json), C(certificate.xml) (JUnit), C(certificate.prom) (Prometheus) and C(certificate.html)
    and prints a summary.
  - Fails when the verdict is not C(pass), after everything has been written.
author: the airworthy.stack maintainers (@airworthy)
options:
  level:
    description:
      - How deep the run examined the servers.
      - With V(quick), the lines that only a deep run proves are listed as C(not_run).
    type: str
    choices: [quick, deep]
    default: quick
  hosts:
    description: The hosts whose controls are collected.
    type: list
    elements: str
    required: true
  unreachable:
    description: Those of them that could not be reached. Their lines become errors that say so.
    type: list
    elements: str
    default: []
  waivers:
    description:
      - Failing controls that somebody answers for.
      - Each is a mapping of C(id), C(reason), C(owner), C(expires) (the last day, as C(YYYY-MM-DD)) and,
        optionally, C(host).
      - A control that could not be examined can't be waived.
    type: list
    elements: raw
    default: []
  inventory:
    description: The name by which the certificate calls the inventory.
    type: str
    required: true
  dest:
    description: The directory on the controller that receives the four files. It is made if it is missing.
    type: path
    required: true
attributes:
  check_mode:
    description: Whether it runs in check mode.
    support: full
    details: Reports are written in check mode also, since they change no server.
  diff_mode:
    description: Whether it shows differences.
    support: none
notes:
  - Runs on the controller, in Ansible's own process; the host of the task only supplies variables.
  - RV(ignore:changed) is always false, since a report is no state.
"""

EXAMPLES = r"""
- name: The certificate is written
  airworthy.stack.certificate:
    level: deep
    hosts: "{{ groups['server'] }}"
    inventory: production
    dest: reports/production
    waivers:
      - id: scale.host
        host: web1
        reason: The staging server has two cores on purpose.
        owner: Maria Keller
        expires: "2027-01-31"
"""

RETURN = r"""
verdict:
  description: V(pass) when every control passes, does not apply or is waived, and at least one passes.
  returned: always
  type: str
  sample: pass
msg:
  description: The verdict and its headline in one sentence.
  returned: always
  type: str
  sample: "Verdict: pass. 19 of 54 lines of the checklist proven; 3 were not run, 32 have no control yet."
counts:
  description: Controls by status.
  returned: always
  type: dict
  sample: {pass: 21, fail: 0, error: 0, waived: 0, not_applicable: 0, not_run: 3, not_yet: 32}
lines:
  description: Lines of the checklist by the worst status among their controls, and their total.
  returned: always
  type: dict
  sample: {total: 54, pass: 19, fail: 0, error: 0, waived: 0, not_applicable: 0, not_run: 3, not_yet: 32}
path:
  description: The page.
  returned: always
  type: str
  sample: /home/maria/deployment/reports/production/certificate.html
"""
