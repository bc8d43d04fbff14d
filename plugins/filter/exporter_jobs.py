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
positional: app_metrics_path
options:
  _input:
    description: The host's C(group_names).
    type: list
    elements: str
    required: true
  app_metrics_path:
    description: The host's C(airworthy_app_metrics_path). Empty where the application tells no figures.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: What db1 exports
  ansible.builtin.debug:
    msg: "{{ hostvars.db1.group_names | airworthy.stack.exporter_jobs(airworthy_app_metrics_path) }}"
"""

RETURN = r"""
_value:
  description: Names of jobs, always in the same order; none for a host that is in no tier.
  type: list
  elements: str
  sample: [node, process, postgres, pgbouncer]
"""


def exporter_jobs(groups: Iterable[str], app_metrics_path: str = "") -> list[str]:
    return jobs(tiers_of(groups), app_metrics_path)


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"exporter_jobs": exporter_jobs}
