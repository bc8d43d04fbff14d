# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who watches whom, and whom alerts reach: documented in the YAML files beside this one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.airworthy.stack.plugins.filter.addresses import address
from ansible_collections.airworthy.stack.plugins.module_utils.catalogue import ALL_IN_ONE_GROUP, tiers_of
from ansible_collections.airworthy.stack.plugins.plugin_utils import exporters
from ansible_collections.airworthy.stack.plugins.plugin_utils.fires import FIRES
from ansible_collections.airworthy.stack.plugins.plugin_utils.rules_monitoring import LOOPBACK

Hostvars = Mapping[str, Mapping[str, Any]]
PROBES = ("probe_http", "probe_tls")
Group = dict[str, Any]  # targets and their labels, as Prometheus' file service discovery reads them


def monitoring_watchers(hostvars: Hostvars, host: str) -> list[str]:
    if given := hostvars[host].get("airworthy_watched_by"):
        return list(given)
    groups = hostvars[host]["groups"]
    servers, dedicated = groups.get(ALL_IN_ONE_GROUP, []), groups.get("monitoring", [])
    itself = [host] if host in servers else []
    return list(dict.fromkeys(itself + dedicated)) or list(servers)


def scrape_targets(
    hostvars: Hostvars, watcher: str, otherwise: Mapping[str, Any], paths: Iterable[str]
) -> dict[str, list[Group]]:
    """Job by job; `otherwise` has the values of variables that a host does not set itself."""
    found: dict[str, list[Group]] = {job: [] for job in (*exporters.JOB_TIERS, *PROBES)}
    for labels in scraped(hostvars, watcher, otherwise, paths):
        host, job = labels["instance"], labels.pop("job")
        values = _values(hostvars[host], otherwise)
        ports = values["airworthy_exporter_ports"]
        # A host watches itself over its loopback interface, and is probed where others reach it.
        place = "127.0.0.1" if host == watcher and job not in PROBES else _bracketed(address(host, hostvars[host]))
        if job == "probe_http":
            asked = {"__param_module": f"https_{_trust(values)}", "__param_hostname": values["airworthy_domain"]}
            group = {"targets": [f"https://{place}{labels['path']}"], "labels": labels | asked}
        elif job == "probe_tls":
            group = {"targets": [f"{place}:{ports['node']}"], "labels": labels | {"__param_module": "tls_internal"}}
        elif job == "app":
            where = {"__metrics_path__": f"/metrics/{labels['port']}"}
            group = {"targets": [f"{place}:{ports[job]}"], "labels": labels | where}
        else:
            group = {"targets": [f"{place}:{ports[job]}"], "labels": labels}
        found[job].append(group)
    return found


def scraped(
    hostvars: Hostvars, watcher: str, otherwise: Mapping[str, Any], paths: Iterable[str]
) -> list[dict[str, str]]:
    """For this no address need be known, and no host need answer."""
    found: list[dict[str, str]] = []
    for host in hostvars:
        tiers = tiers_of(hostvars[host]["group_names"])
        if not tiers or watcher not in monitoring_watchers(hostvars, host):
            continue
        values = _values(hostvars[host], otherwise)
        for job in (*exporters.jobs(tiers, values.get("airworthy_app_metrics_path", "")), "probe_tls"):
            each: list[dict[str, str]] = _instances(values) if job == "app" else [{}]
            found += [{"job": job, "instance": host, **which} for which in each]
        found += [{"job": "probe_http", "instance": host, "path": path} for path in paths if "edge" in tiers]
    return found


def fires(hostvars: Hostvars, watcher: str, faults: Iterable[str], interval: int) -> list[dict[str, Any]]:
    allowed = list(faults)
    found: dict[str, str] = {}
    for labels in scraped(hostvars, watcher, {}, ()):  # no fire needs the application's own figures
        found.setdefault(labels["job"], labels["instance"])
    return [
        {
            "fault": fault,
            "alert": fire.alert,
            "instance": found[fire.job],
            "seconds": fire.seconds(interval),
            "drilled": fault in allowed,
        }
        for fault, fire in FIRES.items()
        if fire.job in found
    ]


def alert_receivers(receivers: Iterable[Mapping[str, Any]], admin_email: str) -> list[dict[str, Any]]:
    return [
        {
            "name": f"{receiver['type']}_{number}",
            "severities": receiver.get("severities") or ["critical", "warning"],
            "settings": {f"{receiver['type']}_configs": [_SETTINGS[receiver["type"]](receiver, admin_email)]},
        }
        for number, receiver in enumerate(receivers, 1)
    ]


def edge_loads(hostvars: Hostvars, watcher: str, examined: Iterable[str]) -> list[dict[str, Any]]:
    """The controller's clock is another one than the watcher's, so the times are seconds before now."""
    now, examined = time.time(), list(examined)
    edges = [labels["instance"] for labels in scraped(hostvars, watcher, {}, ()) if labels["job"] == "nginx"]
    loads = []
    for edge in edges:
        load: dict[str, Any] = {"host": edge, "examined": edge in examined}
        if figures := (hostvars[edge].get("__nginx_load_controls") or {}).get("figures"):
            load |= {"asked": figures["asked"], "answered": figures["answered"]}
            load |= {"began_ago": now - figures["began"], "ended_ago": now - figures["ended"]}
        loads.append(load)
    return loads


def _values(variables: Mapping[str, Any], otherwise: Mapping[str, Any]) -> dict[str, Any]:
    return {name: variables.get(name, value) for name, value in otherwise.items()}


def _instances(values: Mapping[str, Any]) -> list[dict[str, str]]:
    """Of the application, by the ports on which they listen."""
    first = int(values["airworthy_app_port"])
    return [{"port": str(first + number)} for number in range(int(values["airworthy_app_instances"]))]


def _bracketed(where: str) -> str:
    return f"[{where}]" if ":" in where else where


def _trust(values: Mapping[str, Any]) -> str:
    """Who vouches for the certificate of the domain."""
    if values["airworthy_acme_ca_file"]:
        return "private"
    return "public" if values["airworthy_acme_directory"] or values["airworthy_edge_certificate_file"] else "internal"


def _email(receiver: Mapping[str, Any], admin_email: str) -> dict[str, Any]:
    settings = {
        "to": receiver.get("to") or admin_email,
        "from": receiver.get("from") or admin_email,
        "smarthost": receiver["smarthost"],
        "require_tls": urlsplit(f"//{receiver['smarthost']}").hostname not in LOOPBACK,
        "send_resolved": True,
    }
    if receiver.get("username"):
        settings |= {"auth_username": receiver["username"], "auth_password": receiver.get("password", "")}
    return settings


def _slack(receiver: Mapping[str, Any], admin_email: str) -> dict[str, Any]:
    settings = {"api_url": receiver["url"], "send_resolved": True}
    return settings | ({"channel": receiver["channel"]} if receiver.get("channel") else {})


def _pagerduty(receiver: Mapping[str, Any], admin_email: str) -> dict[str, Any]:
    return {"routing_key": receiver["routing_key"], "send_resolved": True}


def _webhook(receiver: Mapping[str, Any], admin_email: str) -> dict[str, Any]:
    settings: dict[str, Any] = {"url": receiver["url"], "send_resolved": True}
    if receiver.get("username"):
        name_and_password = {"username": receiver["username"], "password": receiver.get("password", "")}
        settings["http_config"] = {"basic_auth": name_and_password}
    return settings


_SETTINGS: dict[str, Callable[[Mapping[str, Any], str], dict[str, Any]]] = {
    "email": _email,
    "slack": _slack,
    "pagerduty": _pagerduty,
    "webhook": _webhook,
}


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "alert_receivers": alert_receivers,
            "edge_loads": edge_loads,
            "fires": fires,
            "monitoring_watchers": monitoring_watchers,
            "scrape_targets": scrape_targets,
            "scraped": scraped,
        }
