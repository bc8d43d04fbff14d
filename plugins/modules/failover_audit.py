#!/usr/bin/python
# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: failover_audit
short_description: Kills an instance of an application under load, and looks whether its users notice
version_added: "0.1.0"
author: the airworthy.stack maintainers (@airworthy)
description:
  - Proves the control C(edge.lb), at level V(deep). Users ask from the controller, over TLS and through the edge, while
    the host of the task, one that runs the application (C(delegate_to)), loses an instance to SIGKILL. systemd starts
    it again.
  - Every request has to be answered with the status that its address had before. The instance has to have carried a
    part of the load, like the others of this host, must have died, and has to carry a part again.
  - The requests are C(GET). Of a request that changes something no server can know whether the instance that died had
    done it already, so none is sent twice; an instance may still lose one of those.
  - Nothing is killed when there is no other instance, or when the site fails already. Then the control fails.
extends_documentation_fragment:
  - airworthy.stack.edge
attributes:
  check_mode:
    support: none
    description: In check mode nothing is killed, and the control says that it was not run.
options:
  paths:
    description: What the users ask for, in turn, such as a page and an address of the API.
    type: list
    elements: str
    default: [/]
  instances:
    description: The instances on this host. The one that carries most of the load is killed.
    type: list
    elements: dict
    required: true
    suboptions:
      unit:
        description: Name of the unit.
        type: str
        required: true
      port:
        description: The port on which it listens.
        type: int
        required: true
  total:
    description: Instances on all hosts behind this edge. By default those of this host.
    type: int
  sticky:
    description: Whether the edge sends a client always to the same instance. Then the others need not carry any load.
    type: bool
    default: false
  users:
    description: Users at the same time.
    type: int
    default: 10
  time_limit:
    description: Seconds within which the instance has to carry a part of the load again.
    type: int
    default: 45
"""

EXAMPLES = r"""
- name: An instance of the application dies under load, and no request fails
  airworthy.stack.failover_audit:
    domain: app.example.org
    address: 203.0.113.10
    paths: [/, /api/me]
    instances:
      - {unit: app@3000.service, port: 3000}
      - {unit: app@3001.service, port: 3001}
    probe_key: "{{ lookup('airworthy.stack.secret', 'edge_probe') }}"
  delegate_to: app1
  throttle: 1
  register: __nginx_failover_controls
"""

RETURN = r"""
controls:
  description: The control C(edge.lb), as described in docs/certificate.md.
  returned: always
  type: list
  elements: dict
"""

# The action of this name runs on the controller: it makes the load, has this module kill an instance, and judges.

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.airworthy.stack.plugins.module_utils.web_client import TARGET_SPEC

RunCommand = Callable[..., tuple[int, str, str]]

INSTANCE = {"unit": {"type": "str", "required": True}, "port": {"type": "int", "required": True}}
ARGUMENTS: dict[str, dict[str, Any]] = {
    **TARGET_SPEC,
    "paths": {"type": "list", "elements": "str", "default": ["/"]},
    "instances": {"type": "list", "elements": "dict", "required": True, "options": INSTANCE},
    "total": {"type": "int"},
    "sticky": {"type": "bool", "default": False},
    "users": {"type": "int", "default": 10},
    "time_limit": {"type": "int", "default": 45},
}

PROPERTIES = "LoadState,ActiveState,MainPID,InvocationID,NRestarts"
ESTABLISHED = "01"
PAUSE = 0.1


@dataclass(frozen=True)
class Instance:
    """An instance as systemd and the kernel know it. Every start of a unit has an invocation of its own."""

    unit: str
    state: str
    pid: int
    invocation: str
    restarts: int
    connections: int


def parse_show(unit: str, text: str, connections: int) -> Instance:
    properties = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    if properties["LoadState"] != "loaded":
        raise RuntimeError(f"there is no unit {unit} on this host")
    return Instance(
        unit=unit,
        state=properties["ActiveState"],
        pid=int(properties["MainPID"]),
        invocation=properties["InvocationID"],
        restarts=int(properties["NRestarts"]),
        connections=connections,
    )


def count_connections(table: str, port: int) -> int:
    """Established connections to a port of this host, in the text of /proc/net/tcp."""
    rows = [line.split() for line in table.splitlines()[1:]]
    return sum(row[1].endswith(f":{port:04X}") and row[3] == ESTABLISHED for row in rows)


def connections_to(port: int) -> int:
    found = 0
    for name in ("tcp", "tcp6"):
        try:
            with open(f"/proc/net/{name}", encoding="ascii") as file:
                found += count_connections(file.read(), port)
        except FileNotFoundError:
            continue  # a host without IPv6
    return found


def observe(unit: str, port: int, run: RunCommand) -> Instance:
    out = run(["systemctl", "show", "--property", PROPERTIES, "--", unit], check_rc=True)[1]
    return parse_show(unit, out, connections_to(port))


def is_back(instance: Instance, before: Instance) -> bool:
    started = instance.state == "active" and instance.invocation != before.invocation
    return started and instance.connections > 0


def fell(instances: list[dict[str, Any]], time_limit: float, run: RunCommand) -> dict[str, Any]:
    """Kill the busiest instance, if it runs, and wait until it carries a part of the load again. It comes first."""
    ports = {each["unit"]: each["port"] for each in instances}
    seen = [observe(unit, port, run) for unit, port in ports.items()]
    before = sorted(seen, key=lambda instance: instance.connections, reverse=True)
    first, port = before[0], ports[before[0].unit]
    after, begun = first, time.monotonic()
    if first.pid:
        run(["systemctl", "kill", "--signal=KILL", "--", first.unit], check_rc=True)
        after = observe(first.unit, port, run)
        while not is_back(after, first) and time.monotonic() < begun + time_limit:
            time.sleep(PAUSE)
            after = observe(first.unit, port, run)
    seconds = time.monotonic() - begun
    return {"before": [asdict(instance) for instance in before], "after": asdict(after), "seconds": seconds}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS)
    seen = fell(module.params["instances"], module.params["time_limit"], module.run_command)
    module.exit_json(changed=seen["after"] != seen["before"][0], **seen)


if __name__ == "__main__":
    main()
