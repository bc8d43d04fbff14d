# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the edge's templates and its audits both have to know, calculated once.

Each filter is documented in the file of its name beside this one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.airworthy.stack.plugins.module_utils.web_probe import origin_expression
from ansible_collections.airworthy.stack.plugins.plugin_utils.cdn import NETWORKS

Entry = Mapping[str, Any]


def edge_locations(
    entries: Sequence[Entry], api: Iterable[str], auth: Iterable[str], static: Iterable[str], burst: int
) -> list[dict[str, Any]]:
    counted, files = tuple(auth), tuple(static)
    limited = (*api, *counted)
    locations = []
    for path in sorted({"/", *limited, *files, *(entry["path"] for entry in entries)}):
        number, entry = _entry_of(path, entries)
        limit = {"path": path, "burst": entry.get("rate_burst", burst), "probe_method": _probe_method(entry)}
        has_own_rate = "rate_per_second" in entry
        locations.append(
            {
                **entry,
                "path": path,
                "counted": path.startswith(counted),
                "static": path.startswith(files),
                "limit": limit if has_own_rate or path.startswith(limited) else None,
                "zone": f"edge_api_{number}" if has_own_rate else "edge_api",
            }
        )
    return locations


def _probe_method(entry: Entry) -> str:
    methods: list[str] = entry.get("methods", ["GET"])
    return "GET" if "GET" in methods else methods[0]


def _entry_of(path: str, entries: Sequence[Entry]) -> tuple[int, Entry]:
    """The entry with the longest path that this one begins with, and its number, as nginx finds it. 0 is none."""
    found = [(number, entry) for number, entry in enumerate(entries, 1) if path.startswith(entry["path"])]
    return max(found, key=lambda numbered: len(numbered[1]["path"]), default=(0, {}))


def edge_cors(entries: Sequence[Entry], default: Entry, page: str) -> list[dict[str, Any]]:
    own = [(number, entry) for number, entry in enumerate(entries, 1) if "cors" in entry]
    others = set(range(len(entries) + 1)) - {number for number, entry in own}
    policies: list[dict[str, Any]] = [{"entries": sorted(others), "policy": {**default, "path": page}}]
    for number, entry in own:
        policies.append({"entries": [number], "policy": {**default, **entry["cors"], "path": entry["path"]}})
    return policies


def origin_regex(origin: str) -> str:
    """Without its anchor it would find the origin at the beginning of a stranger's name."""
    return origin_expression(origin) + r"\z"


def content_security_policy(directives: Mapping[str, Any], *changes: Mapping[str, Any], report_to: str = "") -> str:
    policy = dict(directives)
    for change in changes:
        policy |= change
    if report_to:
        policy |= {"report-uri": [report_to], "report-to": ["edge"]}
    return "; ".join(
        name if sources is True else " ".join([name, *sources]).replace("'nonce'", "'nonce-$request_id'")
        for name, sources in policy.items()
        if sources
    )


def proxy_networks(proxies: Iterable[str]) -> list[str]:
    return [network for proxy in proxies for network in NETWORKS.get(proxy, [proxy])]


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "content_security_policy": content_security_policy,
            "edge_cors": edge_cors,
            "edge_locations": edge_locations,
            "origin_regex": origin_regex,
            "proxy_networks": proxy_networks,
        }
