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
extends_documentation_fragment: [airworthy.stack.attributes.reads_only]
attributes:
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
        container: {description: Whether the server is a container., type: bool, returned: always, sample: false}
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

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.airworthy.stack.plugins.module_utils.server import observe, observe_system


def main() -> None:
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    system = observe_system()
    if system.get("ID") != "debian" or system.get("VERSION_ID") not in {"12", "13"}:
        module.fail_json(
            msg=f"this server runs {system.get('PRETTY_NAME', 'an unknown system')}; "
            "airworthy.stack supports Debian 12 (bookworm) and Debian 13 (trixie)"
        )
    module.exit_json(changed=False, ansible_facts={"airworthy_server": observe()})


if __name__ == "__main__":
    main()
