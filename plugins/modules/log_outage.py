#!/usr/bin/python
# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: log_outage
short_description: Cuts a host off from the collector of its logs, and has it log meanwhile
version_added: "0.1.0"
author: the airworthy.stack maintainers (@airworthy)
description:
  - A rule of the host's firewall resets its connections to the collector, and nobody else's, for some seconds.
    Meanwhile the host logs numbered lines. M(airworthy.stack.log_delivery_audit) examines whether all of them arrive.
  - The rule ends with the module. If that is killed, a timer of systemd ends it.
extends_documentation_fragment: [airworthy.stack.logs.collector]
options:
  lines:
    description: Lines that are logged.
    type: int
    default: 1000
  seconds:
    description: Seconds for which the host is cut off.
    type: int
    default: 5
attributes:
  check_mode:
    support: none
    description: In check mode the host is not cut off, and nothing is logged.
  diff_mode:
    support: none
    description: Has no diff.
"""

EXAMPLES = r"""
- name: The host is cut off from the collector, and logs meanwhile
  airworthy.stack.log_outage:
    collector: {address: 192.0.2.7, port: 2514, name: log1}
  register: __log_shipping_outage
"""

RETURN = r"""
outage:
  description: What was logged meanwhile.
  returned: when the host was cut off
  type: dict
  contains:
    program:
      description: Under this name the collector keeps it.
      type: str
    text:
      description: What stands in each line, and nowhere else, before its number.
      type: str
    lines:
      description: How many there are, from 1 on.
      type: int
    reached:
      description: Whether the collector could be reached all the same.
      type: bool
"""

import ipaddress
import secrets
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.airworthy.stack.plugins.module_utils.logs import COLLECTOR_SPEC

PROGRAM = "airworthy-outage"
TABLE = "airworthy_log_outage"
PATIENCE = 60  # seconds after which the timer makes an end, beside those of the outage
TIMEOUT = 2  # seconds for a connection that is not refused

RunCommand = Callable[..., tuple[int, str, str]]


def ruleset(address: str, port: int) -> str:
    family = "ip6" if ipaddress.ip_address(address).version == 6 else "ip"
    rule = f"{family} daddr {address} tcp dport {port} reject with tcp reset"
    return f"table inet {TABLE} {{\n chain output {{\n  type filter hook output priority -10;\n  {rule}\n }}\n}}"


def is_reached(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), TIMEOUT).close()
    except OSError:
        return False
    return True


def outage(run: RunCommand, collector: Mapping[str, Any], lines: int, seconds: int) -> dict[str, Any]:
    """The timer comes before the rule, so that there is never one without an end."""
    place, text = (collector["address"], collector["port"]), f"outage-{secrets.token_hex(8)}"
    unit, end = f"airworthy-log-outage-{secrets.token_hex(4)}", ["nft", "delete", "table", "inet", TABLE]
    timer = ["systemd-run", "--quiet", "--collect", f"--unit={unit}", f"--on-active={seconds + PATIENCE}s"]
    run([*timer, *end], check_rc=True)
    try:
        run(["nft", "--file", "-"], data=ruleset(*place), check_rc=True)
        over = time.monotonic() + seconds
        reached = is_reached(*place)
        numbered = "\n".join(f"{text} {number}" for number in range(1, lines + 1))
        run(["logger", "--tag", PROGRAM], data=numbered, check_rc=True)
        time.sleep(max(0.0, over - time.monotonic()))
        reached = is_reached(*place) or reached
    finally:
        ended_before = run(end)[0] != 0  # a reload of the firewall may have done so
        run(["systemctl", "stop", f"{unit}.timer"])
    return {"program": PROGRAM, "text": text, "lines": lines, "reached": reached or ended_before}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "collector": COLLECTOR_SPEC,
            "lines": {"type": "int", "default": 1000},
            "seconds": {"type": "int", "default": 5},
        },
        supports_check_mode=False,
    )
    params = module.params
    found = outage(module.run_command, params["collector"], params["lines"], params["seconds"])
    module.exit_json(changed=False, outage=found)


if __name__ == "__main__":
    main()
