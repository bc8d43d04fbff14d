# Copyright (c) the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The checklist: one line for everything a production deployment must be, and who proves it. Ids never change."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

TIERS = ("edge", "app", "database", "cache", "monitoring", "logs", "backup")
EVERY_TIER = frozenset(TIERS)

# The inventory group whose hosts are in every tier.
ALL_IN_ONE_GROUP = "server"


@dataclass(frozen=True)
class Line:
    """One line of the checklist."""

    id: str
    section: str
    title: str
    wants: str
    tiers: frozenset[str]  # a host of any of them needs a record
    levels: frozenset[str]
    proved_by: str | None  # the role whose tasks/certify.yml proves it; None while there is no control


def tiers_of(groups: Iterable[str]) -> frozenset[str]:
    """The tiers of a host in these inventory groups."""
    groups = frozenset(groups)
    return EVERY_TIER if ALL_IN_ONE_GROUP in groups else groups & EVERY_TIER


def _section(section: str, *lines: tuple[str, str, str, str, str, str | None]) -> list[Line]:
    """Lines as (id, title, wants, tiers, levels, proved_by); tiers and levels are words, `*` is every tier."""
    return [
        Line(
            id=id_,
            section=section,
            title=title,
            wants=wants,
            tiers=EVERY_TIER if tiers == "*" else frozenset(tiers.split()),
            levels=frozenset(levels.split()),
            proved_by=proved_by,
        )
        for id_, title, wants, tiers, levels, proved_by in lines
    ]


# fmt: off
_DATABASE = _section(
    "Database",
    ("db.pool", "Connections are pooled",
     "20 server connections at most, 5 kept ready", "database", "quick deep", "pgbouncer"),
    ("db.settings", "Server settings are in force",
     "memory, connection and planner settings as sized for this host", "database", "quick", "postgresql"),
    ("db.indexes", "Foreign keys and hot columns are indexed",
     "a usable index for every foreign key, none invalid or duplicate", "database", "quick", "postgresql"),
    ("db.queries", "Queries are fast",
     "no statement over its time limit, reads served from memory", "database", "quick", "postgresql"),
    ("db.monitoring", "Query performance is monitored",
     "statement statistics collected and exported", "database", "quick", "postgresql"),
    ("db.backup", "The database is backed up daily",
     "a backup younger than 26 hours, the log archived within minutes", "database", "quick deep", "backup"),
    ("db.batching", "Large queries run in batches",
     "at most 100 rows a call", "database", "quick", None),
)

_PERFORMANCE = _section(
    "Performance",
    ("perf.cache", "Hot data is cached",
     "user, organisation and statistics data served from a shared cache", "edge cache", "quick", None),
    ("perf.parallel", "Work runs in parallel",
     "parallel queries and several instances of the application", "app database", "quick", None),
    ("perf.memory", "Memory is bounded and does not leak",
     "limits in force on every instance, level memory under load", "app", "quick", "app"),
    ("perf.response", "Responses are quick",
     "under 1000 ms on average with 100 users at once", "edge", "deep", "nginx"),
    ("perf.errors", "Errors are rare under load",
     "under 5 % of requests", "edge", "deep", "nginx"),
    ("perf.throughput", "Throughput is sufficient",
     "over 10 requests a second", "edge", "deep", "nginx"),
    ("perf.headroom", "Hosts have headroom under load",
     "processor and memory under 80 %", "monitoring", "deep", "monitoring"),
)

_EDGE = _section(
    "Edge and API security",
    ("edge.https", "All traffic is encrypted",
     "HTTPS only, modern protocols, a valid certificate, HSTS", "edge", "quick", "nginx"),
    ("edge.headers", "Security headers are on every answer",
     "Content-Security-Policy and its companions, on errors too", "edge", "quick", "nginx"),
    ("edge.cors", "Foreign origins are refused",
     "cross-origin access for the listed origins only", "edge", "quick", "nginx"),
    ("edge.csrf", "Forged cross-site requests are refused",
     "unsafe methods only from the application's own pages", "edge", "quick", "nginx"),
    ("edge.rate_auth", "Sign-in attempts are limited",
     "10 in 15 minutes for a client", "edge", "deep", "nginx"),
    ("edge.rate_api", "API requests are limited",
     "a limit on every endpoint", "edge", "deep", "nginx"),
    ("edge.input", "Attacks in requests are stopped",
     "injection refused, ordinary requests served", "edge", "quick", "nginx"),
    ("edge.errors", "Error pages give nothing away",
     "no stack trace and no version reaches a client", "edge", "quick", "nginx"),
    ("edge.sessions", "Sessions are secure",
     "Secure, HttpOnly, SameSite cookies; a closed session store", "edge", "quick", "nginx"),
    ("edge.lb", "Load is shared between instances",
     "one instance can die without a failed request", "edge", "deep", "nginx"),
    ("edge.cdn", "Static assets can be cached by a CDN",
     "immutable assets, the real client's address behind trusted proxies", "edge", "quick", "nginx"),
)

_IDENTITY = _section(
    "Identity",
    ("id.roles", "Each role can do only its part",
     "administrator, organisation and student kept apart by the database", "database", "quick", None),
    ("id.auth", "Sign-up is verified",
     "confirmed e-mail addresses, a password policy, keys of the right kind", "app", "quick", None),
    ("id.db_auth", "The database has no weak way in",
     "strong passwords only, encrypted off the host, no remote superuser", "database", "quick", "postgresql"),
)

_DATA = _section(
    "Data protection",
    ("data.at_rest", "Data at rest is encrypted",
     "backups and secrets unreadable without their key", "database backup", "quick", None),
    ("data.backup_encrypted", "Backups are encrypted",
     "no row readable in the repository", "backup", "deep", "backup"),
    ("data.pii", "Personal data stays out of the logs",
     "no address, token or query string in any of them", "edge", "deep", "nginx"),
    ("data.retention", "Old data is removed",
     "logs, backups and partitions no older than the policy", "backup logs", "quick", "backup"),
    ("data.access_log", "Access to data is recorded",
     "a read appears in the audit log", "database", "deep", "log_shipping"),
)

_MONITORING = _section(
    "Monitoring, logs, alerts",
    ("mon.exporters", "Every host and service exports metrics",
     "reachable over TLS, with authentication only", "*", "quick", "exporters"),
    ("mon.health", "Services are probed from outside",
     "database, application and edge answer their health checks", "monitoring", "quick", "monitoring"),
    ("mon.response", "Response time is tracked",
     "fresh series against the 1000 ms target", "monitoring", "quick", "monitoring"),
    ("mon.uptime", "Uptime is tracked",
     "fresh series against the 99.9 % target", "monitoring", "quick", "monitoring"),
    ("mon.errors", "The error rate is tracked",
     "fresh series against the 5 % limit", "monitoring", "quick", "monitoring"),
    ("mon.alerts", "Alerts reach a person",
     "errors, slowness, database, memory and disk watched, and a receiver told", "monitoring", "quick deep",
     "monitoring"),
    ("log.aggregation", "Logs are collected centrally",
     "a line of every host and service arrives, those of an outage, too", "*", "quick deep", "log_shipping"),
    ("log.errors", "Errors can be traced",
     "one request followed through edge, application and database logs", "edge", "quick", "log_shipping"),
)

_DEPLOYMENT = _section(
    "Environment and deployment",
    ("env.contract", "The application's environment is right",
     "every variable present, well-formed, and no secret public", "app", "quick", "app"),
    ("deploy.steps", "Releases are complete and healthy",
     "built, migrated, released and checked, and the release is what runs", "app", "quick", "app"),
    ("deploy.rollback", "A bad release can be undone",
     "the previous release is kept and can be started", "app", "quick", "app"),
)

_SCALING = _section(
    "Scaling",
    ("scale.host", "The host is big enough",
     "4 GB of memory, 4 cores, solid-state storage", "*", "quick", "base"),
    ("scale.replicas", "Reads can be served by replicas",
     "replicas stream and keep up", "database", "quick", None),
    ("scale.failover", "The database survives its primary",
     "a new primary within its limit, nothing acknowledged is lost", "database", "deep", None),
)

_MAINTENANCE = _section(
    "Maintenance and recovery",
    ("maint.daily", "Daily maintenance runs",
     "health, logs, performance, backups and security looked at", "*", "quick", None),
    ("maint.weekly", "Weekly maintenance runs",
     "database optimised, updates reviewed", "*", "quick", None),
    ("maint.monthly", "Monthly maintenance runs",
     "capacity, audit, restore and recovery tested", "*", "quick", None),
    ("maint.updates", "Security updates are installed",
     "none older than the limit", "*", "quick", None),
    ("maint.scan", "Hosts are scanned for weaknesses",
     "a recent scan, its findings listed", "*", "quick", None),
    ("dr.restore", "Backups can be restored",
     "restored, compared, and recovered to a point in time", "database", "quick deep", "backup"),
    ("dr.plan", "Recovery is documented and drilled",
     "a runbook whose commands are the ones the drills run", "database", "quick", "backup"),
)
# fmt: on

LINES: tuple[Line, ...] = (
    *_DATABASE,
    *_PERFORMANCE,
    *_EDGE,
    *_IDENTITY,
    *_DATA,
    *_MONITORING,
    *_DEPLOYMENT,
    *_SCALING,
    *_MAINTENANCE,
)

CATALOGUE: dict[str, Line] = {line.id: line for line in LINES}
SECTIONS: tuple[str, ...] = tuple(dict.fromkeys(line.section for line in LINES))
