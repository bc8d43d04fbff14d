# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who sends logs to whom: documented in the YAML files beside this one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

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


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"log_collector": log_collector, "log_clients": log_clients}
