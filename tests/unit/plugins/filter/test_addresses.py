"""An address is what the inventory or the server says, never a guess."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.airworthy.stack.plugins.filter.addresses import addresses

HOSTVARS = {
    "given": {"airworthy_address": "10.0.0.9", "airworthy_server": {"addresses": ["10.0.0.1"]}},
    "found": {"airworthy_server": {"addresses": ["10.0.0.2", "fd00::2"]}},
    "offline": {"airworthy_server": {"addresses": []}},
    "unknown": {"ansible_host": "192.0.2.1"},
}


def test_the_inventory_counts_first_and_the_order_stays() -> None:
    assert addresses(["found", "given"], HOSTVARS) == ["10.0.0.2", "10.0.0.9"]
    assert addresses([], HOSTVARS) == []


@pytest.mark.parametrize("host", ["unknown", "offline"])
def test_an_unknown_address_is_an_error(host: str) -> None:
    with pytest.raises(AnsibleFilterError, match=f"the address of {host} is unknown.*host_vars/{host}.yml"):
        addresses(["found", host], HOSTVARS)
