# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who keeps whose backups: documented in the YAML files beside this one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible_collections.airworthy.stack.plugins.module_utils.catalogue import tiers_of


def backup_clients(hostvars: Mapping[str, Mapping[str, Any]], keeper: str) -> list[str]:
    dedicated = hostvars[keeper]["groups"].get("backup", [])

    def kept_by(host: str) -> str:
        return hostvars[host].get("backup_host") or (dedicated[0] if dedicated else host)

    of_a_tier = [host for host in hostvars if tiers_of(hostvars[host]["group_names"])]
    return [host for host in of_a_tier if kept_by(host) == keeper]


def backup_stanzas(
    hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]], otherwise: str
) -> dict[str, list[str]]:
    stanzas: dict[str, list[str]] = {}
    for host in hosts:
        stanzas.setdefault(hostvars[host].get("backup_stanza") or otherwise, []).append(host)
    return stanzas


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"backup_clients": backup_clients, "backup_stanzas": backup_stanzas}
