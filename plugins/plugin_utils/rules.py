# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What argument specifications can't say: the shape of texts, and rules between variables.

Each rule takes the variables of a host and yields its errors: the variable, what was found, what to write. A variable
whose value is not known yet, or has the wrong type, is not there, and a rule keeps silent about it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ansible_collections.airworthy.stack.plugins.module_utils.catalogue import ALL_IN_ONE_GROUP, TIERS, tiers_of

from . import (
    exporters,
    ranges,
    rules_acme,
    rules_backup,
    rules_database,
    rules_edge,
    rules_environment,
    rules_logs,
    rules_monitoring,
    rules_waf,
    shapes,
    waivers,
)

Values = Mapping[str, Any]
Rule = Callable[[Values], Iterable[str]]

GROUPS = (ALL_IN_ONE_GROUP, *TIERS)

# Of tier monitoring.
MONITORING_PORTS = (("Prometheus", 9090), ("Alertmanager", 9093), ("the history of alerts", 9095), ("the prober", 9115))

# Where a role that has required variables runs; others, and roles not listed, run everywhere.
ROLE_TIERS = {"app": "app", "nginx": "edge", "postgresql": "database", "pgbouncer": "database"}

# What to write for a variable that has no default.
REQUIRED_EXAMPLES = {"airworthy_domain": "app.example.org", "airworthy_admin_email": "admin@example.org"}

SHAPES: dict[str, Callable[[str], str | None]] = {
    "airworthy_acme_ca_file": shapes.absolute_path,
    "airworthy_acme_directory": shapes.https_address,
    "airworthy_address": shapes.address,
    "airworthy_admin_email": shapes.email,
    "airworthy_app_error_path": shapes.plain_path,
    "airworthy_app_metrics_path": shapes.plain_path,
    "airworthy_database_name": shapes.identifier,
    "airworthy_database_user": shapes.identifier,
    "airworthy_domain": shapes.domain,
    "airworthy_domain_aliases": shapes.domain,
    "airworthy_report_dir": shapes.absolute_path,
    "airworthy_secrets_dir": shapes.absolute_path,
    "airworthy_tls_ca": shapes.absolute_path,
    "airworthy_tls_certificate": shapes.absolute_path,
    "airworthy_tls_private_key": shapes.absolute_path,
    "app_health_path": shapes.url_path,
    "backup_differential_schedule": shapes.schedule,
    "backup_directory": shapes.absolute_path,
    "backup_files_check_schedule": shapes.schedule,
    "backup_files_paths": shapes.absolute_path,
    "backup_files_prune_schedule": shapes.schedule,
    "backup_files_schedule": shapes.schedule,
    "backup_drill_directory": shapes.absolute_path,
    "backup_drill_schedule": shapes.schedule,
    "backup_drill_tables": shapes.table,
    "backup_full_schedule": shapes.schedule,
    "backup_incremental_schedule": shapes.schedule,
    "backup_stanza": shapes.stanza,
    "backup_verify_schedule": shapes.schedule,
    "base_journal_max_retention": shapes.systemd_span,
    "base_journal_max_use": shapes.systemd_size,
    "base_packages": shapes.package,
    "log_collector_admin_networks": shapes.network,
    "monitoring_admin_networks": shapes.network,
    "monitoring_probe_paths": shapes.url_path,
    "nginx_api_prefixes": shapes.path_prefix,
    "nginx_auth_prefixes": shapes.path_prefix,
    "nginx_cors_allowed_headers": shapes.token,
    "nginx_cors_allowed_origins": shapes.allowed_origin,
    "nginx_cors_exposed_headers": shapes.token,
    "nginx_csrf_exempt_prefixes": shapes.path_prefix,
    "nginx_hashed_assets": shapes.regular_expression,
    "nginx_headers_from_app": shapes.token,
    "nginx_load_paths": shapes.url_path,
    "nginx_probe_api": shapes.url_path,
    "nginx_probe_auth": shapes.url_path,
    "nginx_probe_page": shapes.url_path,
    "nginx_rate_exempt": shapes.network,
    "nginx_readable_cookies": shapes.token,
    "nginx_static_prefixes": shapes.path_prefix,
    "nginx_strict_cookies": shapes.token,
    "nginx_trusted_proxies": shapes.proxy_network,
    "postgresql_extensions": shapes.extension,
    "postgresql_idle_in_transaction_timeout": shapes.duration,
    "postgresql_statement_timeout": shapes.duration,
}


def tiers(values: Values) -> frozenset[str]:
    return tiers_of(values.get("group_names") or ())


def applies(role: str, values: Values) -> bool:
    """Whether the role runs on the host, so that its required variables have to be there."""
    return role not in ROLE_TIERS or ROLE_TIERS[role] in tiers(values)


def texts_have_their_shape(values: Values) -> Iterator[str]:
    """Domains, addresses, origins, identifiers, sizes, time spans: as their readers understand them."""
    for name, shape in SHAPES.items():
        value = values.get(name)
        for text in value if isinstance(value, list) else [value] if value else []:
            if wrong := shape(str(text)):
                yield f"{name} has {text!r}; {wrong}" if isinstance(value, list) else f"{name} is {text!r}; {wrong}"


def numbers_are_in_range(values: Values) -> Iterator[str]:
    """Ports, shares, days, connections: nothing that no server could run with."""
    for name, value in values.items():
        has_entries = isinstance(value, Mapping) and name in ranges.BY_NAME
        entries = {f"{name}.{key}": item for key, item in value.items()} if has_entries else {name: value}
        for path, entry in entries.items():
            if isinstance(entry, int | float) and not isinstance(entry, bool) and (wrong := ranges.error(path, entry)):
                yield wrong


def host_has_a_tier(values: Values) -> Iterator[str]:
    """A host in none of the groups would silently get nothing."""
    groups = [name for name in values.get("group_names") or () if name not in ("all", "ungrouped")]
    if tiers(values):
        return
    near = [close[0] for name in groups if (close := difflib.get_close_matches(name.lower(), GROUPS, 1, 0.7))]
    hint = f"did you mean {' or '.join(near)}?" if near else f"put it into server, or into some of {', '.join(TIERS)}"
    found = f"is in {', '.join(groups)}" if groups else "is in no group"
    yield f"inventory: host {values['inventory_hostname']} {found}; {hint}"


def edge_has_the_application_beside_it(values: Values) -> Iterator[str]:
    """The application listens on the loopback, since nothing encrypts the way to it: no other host reaches it."""
    if "edge" in tiers(values) and "app" not in tiers(values):
        yield (
            f"inventory: host {values['inventory_hostname']} is in edge and not in app, so there would be "
            "nothing to serve; put it into both"
        )


def groups_are_spelt_right(values: Values) -> Iterator[str]:
    """The playbooks never see the hosts of a group whose name is nearly one of theirs, so another host reports them."""
    groups: Mapping[str, list[str]] = values.get("groups") or {}
    placed = {host for name in GROUPS for host in groups.get(name, ())}
    placed.update(values.get("ansible_play_hosts_all") or ())
    for name, hosts in groups.items():
        lost = [host for host in hosts if host not in placed]
        if lost and name not in GROUPS and (near := difflib.get_close_matches(name.lower(), GROUPS, 1, 0.7)):
            yield f"inventory: group {name} is unknown, so {', '.join(lost)} would get nothing; did you mean {near[0]}?"


def ports_differ(values: Values) -> Iterator[str]:
    """Two services on one port: the second one does not start."""
    taken: dict[int, str] = {}
    for name, port in _ports(values):
        if port in taken and taken[port] != name:
            yield f"{name} is {port}, which {taken[port]} has on the same server; write another port"
        taken.setdefault(port, name)


def _ports(values: Values) -> Iterator[tuple[str, int]]:
    here = tiers(values)
    if "edge" in here:
        yield from (("the edge", 80), ("the edge", 443))
    if "monitoring" in here:
        yield from MONITORING_PORTS
    by_tier = {
        "backup_files_port": "",
        "backup_port": "",
        "base_ssh_port": "",
        "airworthy_database_port": "database",
        "airworthy_log_port": "logs",
        "airworthy_pooler_port": "database",
        "log_collector_web_port": "logs",
    }
    for name, tier in by_tier.items():
        if (not tier or tier in here) and isinstance(values.get(name), int):
            yield name, values[name]
    for job in exporters.jobs(here, values.get("airworthy_app_metrics_path") or ""):
        if port := (values.get("airworthy_exporter_ports") or {}).get(job):
            yield f"airworthy_exporter_ports.{job}", port
    first, instances = values.get("airworthy_app_port"), values.get("airworthy_app_instances")
    if "app" in here and first and instances and not ranges.error("airworthy_app_instances", instances):
        last = first + instances - 1
        span = f"airworthy_app_port ({instances} instances, {first} to {last})"
        yield from ((span, port) for port in range(first, last + 1))


def instances_end_below_the_last_port(values: Values) -> Iterator[str]:
    """The last instance needs a port, too."""
    first, instances = values.get("airworthy_app_port"), values.get("airworthy_app_instances")
    if first and instances and first <= 65535 < (last := first + instances - 1):
        yield f"airworthy_app_port is {first}, and the last of {instances} instances has {last}; write a lower port"


def secrets_stay_out_of_the_inventory(values: Values) -> Iterator[str]:
    """Ansible reads every file beneath an inventory directory as inventory: it would print secrets as hosts."""
    directory = str(values.get("airworthy_secrets_dir") or "").rstrip("/") + "/"
    for source in values.get("ansible_inventory_sources") or ():
        inside = directory.removeprefix(str(source).rstrip("/") + "/")
        if inside == directory or re.match(r"\.|group_vars/|host_vars/|vars_plugins/", inside):
            continue
        if not re.search(r"/\.", "/" + inside):
            yield (
                f"airworthy_secrets_dir is {directory.rstrip('/')!r}, and Ansible takes every file beneath {source} "
                "for a list of hosts; write one whose name begins with a dot, as in {{ inventory_dir }}/.secrets"
            )


def waivers_are_complete(values: Values) -> Iterator[str]:
    """A waiver of an unknown control, without an end, or for an unknown host waives nothing."""
    hosts = (values.get("groups") or {}).get("all", [values["inventory_hostname"]])
    yield from waivers.parse(values.get("airworthy_waivers") or [], hosts)[1]


RULES: tuple[Rule, ...] = (
    host_has_a_tier,
    edge_has_the_application_beside_it,
    groups_are_spelt_right,
    texts_have_their_shape,
    numbers_are_in_range,
    ports_differ,
    instances_end_below_the_last_port,
    secrets_stay_out_of_the_inventory,
    waivers_are_complete,
    *rules_acme.RULES,
    *rules_backup.RULES,
    *rules_database.RULES,
    *rules_edge.RULES,
    *rules_logs.RULES,
    *rules_monitoring.RULES,
    *rules_waf.RULES,
)


def errors(values: Values) -> list[str]:
    # Only the application's own servers need its environment.
    rules = RULES + rules_environment.RULES if "app" in tiers(values) else RULES
    return [error for rule in rules for error in rule(values)]


def unknown_variables(names: Iterable[str], known: set[str], roles: Iterable[str]) -> list[str]:
    """Misspelt variables, which Ansible ignores. Others that begin like a role's are left to the user."""
    prefixes = tuple(f"{role}_" for role in (*roles, "airworthy"))
    found = []
    for name in sorted(set(names) - known):
        if near := _nearest(name, known, prefixes):
            found.append(f"{name} is unknown; did you mean {near}?")
    return found


def _nearest(name: str, known: set[str], prefixes: tuple[str, ...]) -> str | None:
    if name.startswith(prefixes):
        close = difflib.get_close_matches(name, known, 1, 0.85)
        return close[0] if close else None
    # A misspelt prefix: the rest is exact, else each user's own variable would have to differ from all of ours.
    prefix, _underscore, rest = name.partition("_")
    close = difflib.get_close_matches(f"{prefix}_", prefixes, 1, 0.7)
    return close[0] + rest if close and len(rest) > 5 and close[0] + rest in known else None
