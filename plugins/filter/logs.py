# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who sends logs to whom: documented in the YAML files beside this one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.airworthy.stack.plugins.filter.addresses import address
from ansible_collections.airworthy.stack.plugins.module_utils.catalogue import ALL_IN_ONE_GROUP, tiers_of

Hostvars = Mapping[str, Mapping[str, Any]]


def log_collector(hostvars: Hostvars, host: str) -> str:
    if given := hostvars[host].get("airworthy_log_collector"):
        return str(given)
    groups = hostvars[host]["groups"]
    servers, dedicated = groups.get(ALL_IN_ONE_GROUP, []), groups.get("logs", [])
    itself = [host] if host in servers else []
    return next(iter([*dedicated, *itself, *servers]), "")


def log_clients(hostvars: Hostvars, collector: str) -> list[str]:
    servers = [host for host in hostvars if tiers_of(hostvars[host]["group_names"])]
    return [host for host in servers if log_collector(hostvars, host) == collector]


def log_addresses(hostvars: Hostvars, collector: str) -> dict[str, list[str]]:
    found: dict[str, str] = {}
    for host in log_clients(hostvars, collector):
        known = hostvars[host].get("airworthy_server", {}).get("addresses", [])
        own = ["127.0.0.1", "::1"] if host == collector else []
        for each in (address(host, hostvars[host]), *known, *own):
            found.setdefault(each, host)
    return {host: sorted(each for each in found if found[each] == host) for host in found.values()}


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"log_collector": log_collector, "log_clients": log_clients, "log_addresses": log_addresses}
