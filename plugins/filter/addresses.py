# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: addresses
author: the airworthy.stack maintainers (@airworthy)
version_added: "0.1.0"
short_description: The addresses at which the servers reach some hosts
description:
  - Takes C(airworthy_address) of each host where the inventory sets it, else the first address that
    M(airworthy.stack.server_facts) found.
  - A host of which neither is known is an error, since a guess would write a wrong address into a configuration.
positional: hostvars
options:
  _input:
    description: Names of hosts.
    type: list
    elements: str
    required: true
  hostvars:
    description: Ansible's variable of that name.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Where the application runs
  ansible.builtin.debug:
    msg: "{{ groups['app'] | airworthy.stack.addresses(hostvars) }}"
"""

RETURN = r"""
_value:
  description: The addresses, in the order of the hosts.
  type: list
  elements: str
"""


def address(host: str, variables: Mapping[str, Any]) -> str:
    if given := variables.get("airworthy_address"):
        return str(given)
    if found := variables.get("airworthy_server", {}).get("addresses"):
        return str(found[0])
    raise AnsibleFilterError(
        f"the address of {host} is unknown: it takes part in no play so far (--limit?); "
        f"run without --limit, or write airworthy_address in host_vars/{host}.yml"
    )


def addresses(hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [address(host, hostvars[host]) for host in hosts]


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"addresses": addresses}
