# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# The work is done on the controller, by plugins/action/preflight.py.

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight
short_description: Refuses bad input before any server is touched
version_added: "0.1.0"
author: the airworthy.stack maintainers (@airworthy)
description:
  - Validates the host's variables against the C(meta/argument_specs.yml) of every role of this collection, and by the
    rules between them.
  - Examines the files that the variables name on the controller, secrets and certificates.
  - Reports all mistakes of the host at once. Each names the variable, what was found, and what to write.
  - Runs on the controller only; the host is not contacted, and nothing is written.
extends_documentation_fragment: [airworthy.stack.attributes.reads_only]
attributes:
  action:
    support: full
    description: Runs on the controller only.
"""

EXAMPLES = r"""
- name: The input is sound
  hosts: all
  gather_facts: false
  any_errors_fatal: true
  tasks:
    - name: Every variable is valid
      airworthy.stack.preflight:
"""

RETURN = r"""
msg:
  description: The mistakes, a line each, or how much was found to be valid.
  returned: always
  type: str
  sample: 112 variables of 8 roles are valid
"""
