#!/usr/bin/python
# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: headroom_audit
short_description: Asks Prometheus how much of their processors and memory the hosts used while a load was on them
version_added: "0.1.0"
author: the airworthy.stack maintainers (@airworthy)
description:
  - Proves the control C(perf.headroom), at level V(deep). It runs on the server that carries Prometheus.
  - Looks back at the load that M(airworthy.stack.load_audit) has put on the edges, and puts none on anybody itself.
  - Of each host that is watched, the processors' use on average of the load, and the greatest use of memory during it.
  - Waits until Prometheus has scraped each host after the load, for two intervals at most.
  - What no data shows is not proved - a host that was not scraped, a load too short for two scrapes, or one that most
    requests did not survive.
extends_documentation_fragment: [airworthy.stack.prometheus, airworthy.stack.attributes.reads_only]
options:
  targets:
    description: The labels of each target that the inventory has; of those, the instances of job C(node) are judged.
    type: list
    elements: dict
    required: true
  loads:
    description: The load on each edge that is watched, as the filter P(airworthy.stack.edge_loads#filter) tells it.
    type: list
    elements: dict
    required: true
    suboptions:
      host:
        description: Name of the edge.
        type: str
        required: true
      examined:
        description: Whether it was part of this run.
        type: bool
        required: true
      asked:
        description: Requests of the load; 0 when there was none.
        type: int
        default: 0
      answered:
        description: Those of them that were answered.
        type: int
        default: 0
      began_ago:
        description: Seconds since it began.
        type: float
        default: 0
      ended_ago:
        description: Seconds since it ended.
        type: float
        default: 0
  maximum_percent:
    description: The use of processors and of memory must be less.
    type: float
    default: 80
"""

EXAMPLES = r"""
- name: Every host has headroom under load
  airworthy.stack.headroom_audit:
    hostname: mon1
    ca_file: /etc/airworthy/tls/ca.crt
    user: airworthy
    password: "{{ lookup('airworthy.stack.secret', 'monitoring') }}"
    targets: [{job: node, instance: mon1}, {job: node, instance: web1}]
    loads: "{{ hostvars | airworthy.stack.edge_loads(inventory_hostname, ansible_play_hosts_all) }}"
  register: __monitoring_headroom_controls
"""

RETURN = r"""
controls:
  description: The control C(perf.headroom), as described in docs/certificate.md.
  returned: always
  type: list
  elements: dict
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.airworthy.stack.plugins.module_utils.control import (
    Check,
    Control,
    judged,
    not_applicable,
    not_run,
    run_probes,
)
from ansible_collections.airworthy.stack.plugins.module_utils.prometheus import API_SPEC, Api, Silent
from ansible_collections.airworthy.stack.plugins.module_utils.waiting import wait_for

CONTROL = "perf.headroom"
REMEDIATION = (
    "See what takes them among the processes of the host (docs/monitoring.md); then more processors or memory, or less "
    "for the application (airworthy_app_instances, app_memory_max_mb)."
)

# During the load, of each instance of the node exporter.
PROCESSOR = '1 - avg by (instance) (rate(node_cpu_seconds_total{{job="node",mode="idle"}}[{seconds}s]))'
MEMORY = (
    '1 - min by (instance) (min_over_time(node_memory_MemAvailable_bytes{{job="node"}}[{seconds}s]))'
    ' / max by (instance) (max_over_time(node_memory_MemTotal_bytes{{job="node"}}[{seconds}s]))'
)
SCRAPES = 'sum by (instance) (sum_over_time(up{{job="node"}}[{seconds}s]))'
SCRAPED_AT = 'min by (instance) (timestamp(up{job="node"}))'


@dataclass(frozen=True)
class Load:
    """The load on an edge, in seconds before now."""

    host: str
    examined: bool
    asked: int
    answered: int
    began_ago: float
    ended_ago: float

    @property
    def seconds(self) -> float:
        return self.began_ago - self.ended_ago


@dataclass(frozen=True)
class Span:
    """From the beginning of the first load to the end of the last one, by the clock of this server."""

    seconds: int
    ended: float

    @classmethod
    def of(cls, loads: Sequence[Load], now: float) -> Span:
        began, ended = max(load.began_ago for load in loads), min(load.ended_ago for load in loads)
        return cls(math.ceil(began - ended), now - ended)

    def scrapes(self, interval: int) -> int:
        """How many a host must have had: one may be lost, two are needed for a rate."""
        return max(2, self.seconds // interval - 1)

    def path(self, expression: str) -> str:
        """What a person asks for to see the same."""
        return "/api/v1/query?" + urlencode({"query": expression.format(seconds=self.seconds), "time": self.time})

    @property
    def time(self) -> str:
        return f"{self.ended:.3f}"


@dataclass(frozen=True)
class Use:
    """By host, shares from 0 to 1, and scrapes."""

    processor: Mapping[str, float]
    memory: Mapping[str, float]
    scrapes: Mapping[str, float]


def by_host(prometheus: Api, expression: str, **parameters: str) -> dict[str, float]:
    samples = prometheus.query(expression, **parameters)
    return {sample.labels["instance"]: sample.value for sample in samples}


def wait_for_scrapes(
    prometheus: Api, hosts: Sequence[str], ended: float, seconds: float, sleep: Callable[[float], None]
) -> None:
    """Until each host was scraped after the load; then nothing of it is still on its way. Not longer than that."""

    def scraped() -> bool:
        at = by_host(prometheus, SCRAPED_AT)
        return all(at.get(host, 0) >= ended for host in hosts)

    wait_for(scraped, seconds, pause=1, sleep=sleep)


def observe(prometheus: Api, span: Span) -> Use:
    found = [
        by_host(prometheus, expression.format(seconds=span.seconds), time=span.time)
        for expression in (PROCESSOR, MEMORY, SCRAPES)
    ]
    return Use(*found)


def judge_loads(loads: Sequence[Load], interval: int) -> list[Check]:
    """Whether there was a load under which headroom means something."""
    expected = f"most requests answered, in {2 * interval} s or more"
    checks = []
    for load in loads:
        seen = f"{load.answered} of {load.asked} answered in {load.seconds:.0f} s" if load.asked else "there was none"
        if load.asked and load.seconds < 2 * interval:
            seen += ", too short for two scrapes; write a longer nginx_load_seconds"
        borne = 2 * load.answered > load.asked and load.seconds >= 2 * interval
        checks.append(Check(f"load on {load.host}", expected, seen, borne))
    return checks


def judge_use(hosts: Sequence[str], seen: Use, span: Span, maximum_percent: float, interval: int) -> list[Check]:
    checks, wanted = [], span.scrapes(interval)
    mean, most = f"on average of {span.seconds} s", f"at most in {span.seconds} s"
    for host in hosts:
        scrapes = seen.scrapes.get(host, 0)
        checks += [
            Check(f"scrapes of {host} under load", f"{wanted} or more", f"{scrapes:.0f}", scrapes >= wanted),
            _less(f"processors of {host}", maximum_percent, seen.processor.get(host), mean),
            _less(f"memory of {host}", maximum_percent, seen.memory.get(host), most),
        ]
    return checks


def _less(subject: str, maximum_percent: float, share: float | None, during: str) -> Check:
    known = share is not None and math.isfinite(share)
    percent = 100 * share if share is not None else math.nan
    seen = f"{percent:.1f} % {during}" if known else "no data"
    return Check(subject, f"less than {maximum_percent:g} %", seen, known and percent < maximum_percent)


def audit(params: Mapping[str, Any], now: float, sleep: Callable[[float], None] = time.sleep) -> Control:
    loads = [Load(**load) for load in params["loads"]]
    if not loads:
        return not_applicable(CONTROL, "deep", "No host of tier edge is watched from here.")
    if absent := [load.host for load in loads if not load.examined]:
        return not_run(CONTROL, "deep", f"No load was put on {', '.join(absent)}: not part of this run.")
    checks = judge_loads(loads, params["interval"])
    ran = [load for load in loads if load.asked]
    if not ran:
        return judged(CONTROL, "deep", checks, remediation=REMEDIATION)
    span = Span.of(ran, now)
    prometheus = Api.of(params, params["prometheus_port"])
    hosts = [labels["instance"] for labels in params["targets"] if labels["job"] == "node"]
    try:
        wait_for_scrapes(prometheus, hosts, span.ended, 2 * params["interval"] + params["timeout"], sleep)
        seen = observe(prometheus, span)
        checks += judge_use(hosts, seen, span, params["maximum_percent"], params["interval"])
    except Silent as silence:
        checks.append(Check("answer", "200", str(silence), False))
    # curl asks for the password, so that it stands in no history
    command = prometheus.target.curl(span.path(PROCESSOR), "-u", "admin")
    return judged(CONTROL, "deep", checks, command=command, remediation=REMEDIATION)


def main() -> None:
    started = time.time()
    module = AnsibleModule(
        argument_spec={
            **API_SPEC,
            "targets": {"type": "list", "elements": "dict", "required": True},
            "loads": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "host": {"type": "str", "required": True},
                    "examined": {"type": "bool", "required": True},
                    "asked": {"type": "int", "default": 0},
                    "answered": {"type": "int", "default": 0},
                    "began_ago": {"type": "float", "default": 0},
                    "ended_ago": {"type": "float", "default": 0},
                },
            },
            "maximum_percent": {"type": "float", "default": 80},
        },
        supports_check_mode=True,
    )
    module.exit_json(changed=False, controls=run_probes("deep", {CONTROL: lambda: audit(module.params, started)}))


if __name__ == "__main__":
    main()
