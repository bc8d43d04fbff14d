#!/usr/bin/python
# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: server_facts
short_description: What the roles need to know of a server, in one execution
version_added: "0.1.0"
author: the airworthy.stack maintainers (@airworthy)
description:
  - Reads release, memory, cores, kind of storage, addresses and installed packages.
  - Replaces M(ansible.builtin.setup) and M(ansible.builtin.package_facts), which cost several times as much, in the
    roles of this collection.
attributes:
  check_mode:
    support: full
    description: Reads only.
  diff_mode:
    support: none
    description: Changes nothing.
  facts:
    support: full
    description: Returns the fact C(airworthy_server).
"""

EXAMPLES = r"""
- name: The server's facts are known
  airworthy.stack.server_facts:
  when: airworthy_server is not defined
"""

RETURN = r"""
ansible_facts:
  description: The facts.
  returned: always
  type: dict
  contains:
    airworthy_server:
      description: What was read.
      returned: always
      type: dict
      contains:
        release: {description: Debian's code name., type: str, returned: always, sample: trixie}
        debian: {description: Debian's version., type: int, returned: always, sample: 13}
        hostname: {description: The host name., type: str, returned: always, sample: web1}
        memory_mb: {description: Total memory in MiB., type: int, returned: always, sample: 3928}
        cores: {description: Processors online., type: int, returned: always, sample: 4}
        storage:
          description: The kind of the device under C(/), C(ssd), C(hdd) or C(unknown).
          type: str
          returned: always
          sample: ssd
        addresses:
          description: Addresses of global scope, IPv4 before IPv6.
          type: list
          elements: str
          returned: always
          sample: [192.0.2.10]
        packages:
          description: Version of each installed package by its name.
          type: dict
          returned: always
          sample: {nginx: 1.26.3-3+deb13u1}
"""

import json
import os
import platform
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule


def parse_os_release(text: str) -> dict[str, str]:
    """The variables of os-release(5)."""
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {name: value.strip("\"'") for name, value in pairs}


def parse_memory_mb(meminfo: str) -> int:
    """MemTotal of proc_meminfo(5), in MiB."""
    return next(int(line.split()[1]) // 1024 for line in meminfo.splitlines() if line.startswith("MemTotal:"))


def parse_packages(listing: str) -> dict[str, str]:
    """Installed packages of ``dpkg-query -W -f '${db:Status-Abbrev} ${Package} ${Version}\\n'``."""
    rows = (line.split() for line in listing.splitlines())
    return {name: version for status, name, version in (row for row in rows if len(row) == 3) if status[1] == "i"}


def parse_addresses(interfaces: list[dict[str, Any]]) -> list[str]:
    """Addresses of global scope of ``ip -json address``, IPv4 before IPv6, each once."""
    found = [
        (info["family"] != "inet", info["local"])
        for interface in interfaces
        for info in interface.get("addr_info", [])
        if info.get("scope") == "global" and not info.get("temporary") and "local" in info
    ]
    return list(dict.fromkeys(address for _, address in sorted(found, key=lambda row: row[0])))


def storage_kind(device: int, sys: Path = Path("/sys/dev/block")) -> str:
    """What the kernel says of the device with that number: ssd, hdd, or unknown (virtual file systems)."""
    link = sys / f"{os.major(device)}:{os.minor(device)}"
    for directory in (link, link.resolve().parent):  # a partition has no queue of its own
        rotational = directory / "queue" / "rotational"
        if rotational.exists():
            return "hdd" if rotational.read_text().strip() == "1" else "ssd"
    return "unknown"


def observe(module: AnsibleModule) -> dict[str, Any]:
    system = parse_os_release(Path("/etc/os-release").read_text())
    packages = module.run_command(
        ["dpkg-query", "-W", "-f", "${db:Status-Abbrev} ${Package} ${Version}\n"], check_rc=True
    )
    addresses = module.run_command(["ip", "-json", "address", "show", "up"], check_rc=True)
    return {
        "release": system["VERSION_CODENAME"],
        "debian": int(system["VERSION_ID"]),
        "hostname": platform.node(),
        "memory_mb": parse_memory_mb(Path("/proc/meminfo").read_text()),
        "cores": len(os.sched_getaffinity(0)),
        "storage": storage_kind(os.stat("/").st_dev),
        "addresses": parse_addresses(json.loads(addresses[1])),
        "packages": parse_packages(packages[1]),
    }


def main() -> None:
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    system = parse_os_release(Path("/etc/os-release").read_text())
    if system.get("ID") != "debian" or system.get("VERSION_ID") not in {"12", "13"}:
        module.fail_json(
            msg=f"this server runs {system.get('PRETTY_NAME', 'an unknown system')}; "
            "airworthy.stack supports Debian 12 (bookworm) and Debian 13 (trixie)"
        )
    module.exit_json(changed=False, ansible_facts={"airworthy_server": observe(module)})


if __name__ == "__main__":
    main()
