#!/usr/bin/python
# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: exporter_audit
short_description: Examines whether Prometheus' exporters tell the truth, and only to those who may know it
version_added: "0.1.0"
author: the airworthy.stack maintainers (@airworthy)
description:
  - Proves the control C(mon.exporters). It runs on the server itself and scrapes its exporters as Prometheus would.
  - The certificate must be valid for the server's name. Without TLS, without a password and with a wrong one there must
    be no figures. With the password, the essential series must be there, with values that agree with the server's own.
extends_documentation_fragment: [airworthy.stack.attributes.reads_only]
options:
  hostname:
    description: The name for which the certificate must be valid.
    type: str
    required: true
  exporters:
    description: The exporters that must be there.
    type: list
    elements: dict
    required: true
    suboptions:
      kind:
        description: What it exports.
        type: str
        choices: [node, postgres]
        required: true
      port:
        description: Its port.
        type: int
        required: true
  address:
    description: Where they are reached.
    type: str
    default: 127.0.0.1
  ca_file:
    description: The CA that issued the certificate, on the server.
    type: path
    required: true
  user:
    description: The user who may read the figures.
    type: str
    default: prometheus
  password:
    description: The password of O(user).
    type: str
    required: true
  timeout:
    description: Seconds to wait for an exporter at each step.
    type: int
    default: 10
"""

EXAMPLES = r"""
- name: The exporters tell those who may know, and nobody else
  airworthy.stack.exporter_audit:
    hostname: db1
    exporters:
      - {kind: node, port: 9100}
      - {kind: postgres, port: 9187}
    ca_file: /etc/airworthy/tls/ca.crt
    password: "{{ lookup('airworthy.stack.secret', 'exporters') }}"
  register: __exporters_controls
"""

RETURN = r"""
controls:
  description: The control C(mon.exporters), as described in docs/certificate.md.
  returned: always
  type: list
  elements: dict
"""

import base64
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.airworthy.stack.plugins.module_utils.control import Check, Control, judged, run_probes
from ansible_collections.airworthy.stack.plugins.module_utils.web_client import Answer, Target, ask

REMEDIATION = "ansible-playbook site.yml --tags exporters"
PATH = "/metrics"
CLOCK_TOLERANCE = 30


@dataclass(frozen=True)
class Scrape:
    """What one exporter says to a stranger, and to Prometheus."""

    kind: str
    plain: Answer
    anonymous: Answer
    wrong: Answer
    known: Answer


@dataclass(frozen=True)
class Server:
    """What the exporters' figures are compared with."""

    memory_bytes: int
    time: float


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def scrape(kind: str, target: Target, user: str, password: str) -> Scrape:
    return Scrape(
        kind=kind,
        plain=ask(target, PATH, headers=basic(user, password), secure=False),
        anonymous=ask(target, PATH),
        wrong=ask(target, PATH, headers=basic(user, password[::-1] + "-")),
        known=ask(target, PATH, headers=basic(user, password)),
    )


def observe_server() -> Server:
    meminfo = Path("/proc/meminfo").read_text(encoding="ascii")
    total = re.search(r"^MemTotal:\s+(\d+) kB", meminfo, re.MULTILINE)
    if total is None:
        raise RuntimeError("/proc/meminfo has no MemTotal")
    return Server(int(total[1]) * 1024, time.time())


def series(text: str) -> dict[str, list[float]]:
    """The values of each metric in Prometheus' text format, whatever their labels."""
    found: dict[str, list[float]] = {}
    for name, value in re.findall(r"^([a-zA-Z_:][\w:]*)(?:\{.*\})? (\S+)(?: -?\d+)?$", text, re.MULTILINE):
        found.setdefault(name, []).append(float(value))
    return found


def judge_access(seen: Scrape) -> list[Check]:
    strangers = {"without TLS": seen.plain, "without a password": seen.anonymous, "with a wrong password": seen.wrong}
    wanted = {"without TLS": "no figures", "without a password": "401", "with a wrong password": "401"}
    checks = []
    for who, answer in strangers.items():
        refused = answer.status == 401 if wanted[who] == "401" else answer.status != 200
        checks.append(Check(f"{seen.kind} {who}", wanted[who], str(answer), refused and not series(answer.body)))
    checks.append(Check(f"{seen.kind} with the password", "200", str(seen.known), seen.known.status == 200))
    return checks


def judge_node(values: Mapping[str, list[float]], server: Server) -> list[Check]:
    memory, clock = values.get("node_memory_MemTotal_bytes", []), values.get("node_time_seconds", [])
    late = f"{abs(clock[0] - server.time):.0f} s off" if clock else "missing"
    free, cpu = values.get("node_filesystem_avail_bytes", []), values.get("node_cpu_seconds_total", [])
    return [
        Check("node_memory_MemTotal_bytes", str(server.memory_bytes), _shown(memory), memory == [server.memory_bytes]),
        Check(
            "node_time_seconds",
            f"now, within {CLOCK_TOLERANCE} s",
            late,
            bool(clock) and abs(clock[0] - server.time) <= CLOCK_TOLERANCE,
        ),
        Check("node_filesystem_avail_bytes", "some", f"{len(free)} file systems", any(value > 0 for value in free)),
        Check("node_cpu_seconds_total", "some", f"{len(cpu)} series", bool(cpu)),
    ]


def judge_postgres(values: Mapping[str, list[float]], server: Server) -> list[Check]:
    up, failed = values.get("pg_up", []), values.get("pg_exporter_last_scrape_error", [])
    connections = values.get("pg_settings_max_connections", [])
    commits = values.get("pg_stat_database_xact_commit", [])
    return [
        Check("pg_up", "1", _shown(up), up == [1.0]),
        Check("pg_exporter_last_scrape_error", "0", _shown(failed), failed == [0.0]),
        Check("pg_settings_max_connections", "1 or more", _shown(connections), max(connections, default=0) >= 1),
        Check("pg_stat_database_xact_commit", "some", f"{len(commits)} series", max(commits, default=0) >= 1),
    ]


JUDGES = {"node": judge_node, "postgres": judge_postgres}


def _shown(values: list[float]) -> str:
    return ", ".join(f"{value:.0f}" for value in values) or "missing"


def judge(scrapes: list[Scrape], server: Server, command: str) -> Control:
    checks = []
    for seen in scrapes:
        checks += judge_access(seen)
        checks += JUDGES[seen.kind](series(seen.known.body), server) if seen.known.status == 200 else []
    return judged("mon.exporters", "quick", checks, command=command, remediation=REMEDIATION)


def examine(params: dict[str, Any]) -> Control:
    scrapes = []
    for exporter in params["exporters"]:
        port = exporter["port"]
        target = Target(params["hostname"], params["address"], port, port, params["ca_file"], params["timeout"])
        scrapes.append(scrape(exporter["kind"], target, params["user"], params["password"]))
    # curl asks for the password, so that it stands in no history
    command = target.curl(PATH, "-u", params["user"])
    return judge(scrapes, observe_server(), command)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "hostname": {"type": "str", "required": True},
            "exporters": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "kind": {"type": "str", "choices": ["node", "postgres"], "required": True},
                    "port": {"type": "int", "required": True},
                },
            },
            "address": {"type": "str", "default": "127.0.0.1"},
            "ca_file": {"type": "path", "required": True},
            "user": {"type": "str", "default": "prometheus"},
            "password": {"type": "str", "required": True, "no_log": True},
            "timeout": {"type": "int", "default": 10},
        },
        supports_check_mode=True,
    )
    if not module.params["exporters"]:
        module.fail_json(msg="exporters is empty: name at least the node exporter, as {kind: node, port: 9100}")
    module.exit_json(changed=False, controls=run_probes("quick", {"mon.exporters": lambda: examine(module.params)}))


if __name__ == "__main__":
    main()
