"""Inventories as filters get them."""

from __future__ import annotations

from typing import Any


def inventory(groups: dict[str, list[str]], **variables: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What `hostvars` has of the hosts of these groups, with an address for each, and more variables by host."""
    hosts = dict.fromkeys(host for members in groups.values() for host in members)
    return {
        host: {
            "groups": groups,
            "group_names": [name for name, members in groups.items() if host in members],
            "airworthy_address": f"10.0.0.{number}",
            **variables.get(host, {}),
        }
        for number, host in enumerate(hosts, 1)
    }
