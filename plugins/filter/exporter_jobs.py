# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ansible_collections.airworthy.stack.plugins.module_utils.catalogue import tiers_of
from ansible_collections.airworthy.stack.plugins.plugin_utils.exporters import jobs

DOCUMENTATION = r"""
name: exporter_jobs
author: the airworthy.stack maintainers (@airworthy)
version_added: "0.1.0"
short_description: The exporters that a host runs, by the names of Prometheus' jobs
description:
  - Each has its port in C(airworthy_exporter_ports).
  - For the host itself, C(airworthy_exporter_jobs) says the same.
options:
  _input:
    description: The host's C(group_names).
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: What db1 exports
  ansible.builtin.debug:
    msg: "{{ hostvars.db1.group_names | airworthy.stack.exporter_jobs }}"
"""

RETURN = r"""
_value:
  description: Names of jobs, always in the same order; none for a host that is in no tier.
  type: list
  elements: str
  sample: [node, process, postgres, pgbouncer]
"""


def exporter_jobs(groups: Iterable[str]) -> list[str]:
    return jobs(tiers_of(groups))


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"exporter_jobs": exporter_jobs}
