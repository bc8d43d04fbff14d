# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prometheus' text format, and what the figures of each exporter have to agree with."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ansible_collections.airworthy.stack.plugins.module_utils.control import Check

CLOCK_TOLERANCE = 30
UPDATES_HOURS = 3  # they are counted hourly
NUMBER = r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|Inf|NaN)"
SAMPLE = re.compile(
    rf"^([a-zA-Z_:][\w:]*)[ \t]*(?:\{{(.*)\}})?[ \t]+({NUMBER})(?:[ \t]+-?\d+)?[ \t]*$", re.MULTILINE | re.ASCII
)
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Figures:
    """The samples of one scrape: name, labels, value."""

    samples: tuple[tuple[str, Mapping[str, str], float], ...] = ()
    unread: int = 0  # lines that are neither samples nor comments

    @classmethod
    def of(cls, text: str) -> Figures:
        samples = [(name, dict(LABEL.findall(labels)), float(value)) for name, labels, value in SAMPLE.findall(text)]
        lines = [line for line in text.split("\n") if line.strip() and not line.startswith("#")]
        return cls(tuple(samples), len(lines) - len(samples))

    def values(self, name: str, **labels: str) -> list[float]:
        """Those of all series of that name with these labels, whatever others they have."""
        return [
            value
            for found, its_labels, value in self.samples
            if found == name and all(its_labels.get(label) == wanted for label, wanted in labels.items())
        ]

    def total(self, name: str, **labels: str) -> float:
        return sum(self.values(name, **labels))


@dataclass(frozen=True)
class Server:
    """What the server itself says, before and after it was scraped; None is what it could not be asked."""

    memory_bytes: int = 0
    time: float = 0.0
    oom_kills: tuple[int, int] = (0, 0)
    failed_units: int = 0
    processes: Mapping[str, int] = field(default_factory=dict)  # the groups' processes
    database: str = ""
    role: str = ""
    max_connections: int | None = None
    statement_calls: tuple[int, int] | None = None  # of the role
    pooler_clients: int | None = None
    pooler_connections: int | None = None  # to the database
    requests: tuple[float, float] = (0.0, 0.0)  # as counted before and after one was made


def shown(values: list[float]) -> str:
    return ", ".join(f"{value:.0f}" for value in values) or "missing"


def same(figures: Figures, name: str, wanted: float | None, **labels: str) -> Check:
    """A single series with the server's own value."""
    values = figures.values(name, **labels)
    expected = "what the server says, which does not answer" if wanted is None else f"{wanted:.0f}"
    return Check(name, expected, shown(values), wanted is not None and values == [wanted])


def between(name: str, values: list[float], bounds: tuple[float, float] | None) -> Check:
    """A single series that lies between the server's values before and after the scrape."""
    if bounds is None:
        return Check(name, "what the server says, which does not answer", shown(values), False)
    low, high = bounds
    expected = f"{low:.0f}" if low == high else f"{low:.0f} to {high:.0f}"
    return Check(name, expected, shown(values), len(values) == 1 and low <= values[0] <= high)


def present(figures: Figures, name: str, **labels: str) -> Check:
    values = figures.values(name, **labels)
    return Check(name, "some", f"{len(values)} series", bool(values))


def some(figures: Figures, name: str, **labels: str) -> Check:
    values = figures.values(name, **labels)
    return Check(name, "some above 0", f"{len(values)} series", any(value > 0 for value in values))


def node(figures: Figures, server: Server) -> list[Check]:
    clock = figures.values("node_time_seconds")
    written = figures.values("airworthy_updates_timestamp_seconds")
    age = (server.time - written[0]) / 3600 if written else None
    kinds = [len(figures.values("airworthy_updates_pending", kind=kind)) for kind in ("security", "other")]
    return [
        same(figures, "node_memory_MemTotal_bytes", server.memory_bytes),
        Check(
            "node_time_seconds",
            f"now, within {CLOCK_TOLERANCE} s",
            f"{abs(clock[0] - server.time):.0f} s off" if clock else "missing",
            bool(clock) and abs(clock[0] - server.time) <= CLOCK_TOLERANCE,
        ),
        between("node_vmstat_oom_kill", figures.values("node_vmstat_oom_kill"), server.oom_kills),
        same(figures, "node_systemd_units", server.failed_units, state="failed"),
        some(figures, "node_systemd_unit_state", state="active"),
        some(figures, "node_filesystem_avail_bytes"),
        some(figures, "node_cpu_seconds_total"),
        present(figures, "node_timex_sync_status"),
        same(figures, "node_textfile_scrape_error", 0),
        Check(
            "airworthy_updates_pending",
            f"counted within {UPDATES_HOURS} hours",
            "missing" if age is None else f"{age:.1f} hours ago",
            kinds == [1, 1] and age is not None and age <= UPDATES_HOURS,
        ),
    ]


def process(figures: Figures, server: Server) -> list[Check]:
    checks = []
    for group, running in server.processes.items():
        seen = figures.values("namedprocess_namegroup_num_procs", groupname=group)
        memory = figures.total("namedprocess_namegroup_memory_bytes", groupname=group, memtype="resident")
        told = f"{shown(seen)}, {memory / 2**20:.0f} MiB"
        # Processes come and go between two looks, and their children count as well.
        checks.append(Check(f"processes of {group}", f"some, as {running} run", told, sum(seen) >= 1 and memory > 0))
    return checks


def postgres(figures: Figures, server: Server) -> list[Check]:
    return [
        same(figures, "pg_up", 1),
        same(figures, "pg_exporter_last_scrape_error", 0),
        same(figures, "pg_settings_max_connections", server.max_connections),
        some(figures, "pg_stat_database_xact_commit", datname=server.database),
        some(figures, "pg_database_frozenxid_age", datname=server.database),
        present(figures, "pg_stat_activity_max_tx_duration", datname=server.database),
        present(figures, "pg_replication_lag_seconds"),
    ]


def pgbouncer(figures: Figures, server: Server) -> list[Check]:
    its = {"database": server.database}
    return [
        same(figures, "pgbouncer_up", 1),
        same(figures, "pgbouncer_config_max_client_connections", server.pooler_clients),
        same(figures, "pgbouncer_databases_max_connections", server.pooler_connections, **its),
        # Pools have figures from their first client on.
        present(figures, "pgbouncer_databases_current_connections", **its),
    ]


def nginx(figures: Figures, server: Server) -> list[Check]:
    before, after = server.requests
    counted, unread = figures.total("nginx_http_requests_total"), figures.total("nginx_log_lines_unread_total")
    return [
        Check("a request that was just made", "is counted", f"{after - before:.0f} requests more", after > before),
        some(figures, "nginx_http_request_duration_seconds_bucket", le="2"),
        some(figures, "nginx_connections_active"),
        Check("lines of the log that are not understood", "at most 1 %", f"{unread:.0f}", unread * 100 <= counted),
    ]


def app(figures: Figures, server: Server) -> list[Check]:
    seen = f"{len(figures.samples)} series, {figures.unread} lines that are none"
    well = bool(figures.samples) and not figures.unread
    return [Check("Prometheus' text format", "some series, nothing else", seen, well)]


JUDGES: dict[str, Callable[[Figures, Server], list[Check]]] = {
    "node": node,
    "process": process,
    "postgres": postgres,
    "pgbouncer": pgbouncer,
    "nginx": nginx,
    "app": app,
}


def judge_statements(figures: Figures, server: Server) -> list[Check]:
    """db.monitoring: what Prometheus is told of the application's statements."""
    name = "pg_stat_statements_calls_total"
    # Before the first statement there is no series.
    calls = figures.values(name, usename=server.role, datname=server.database) or [0.0]
    return [
        same(figures, "pg_up", 1),
        between(f"{name} of {server.role}", calls, server.statement_calls),
        some(figures, "pg_stat_statements_seconds_total"),
        present(figures, "pg_stat_statements_slowest_mean_seconds"),
    ]
