# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tells Prometheus what PgBouncer's console shows: GET /metrics on a unix socket, whose path is the argument.

Debian 12's own exporter is another program than Debian 13's, and reads a column that PgBouncer no longer has. The names
of the figures are those of Debian 13's. Where the pooler is, and who asks, libpq reads from the environment.
"""

from __future__ import annotations

import os
import socketserver
import sys
from collections.abc import Iterable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler
from typing import Any

import psycopg2
import psycopg2.extras

Row = Mapping[str, Any]
Figure = tuple[str, Mapping[str, str], float]  # name, labels, value

CONNECT_SECONDS = 5
QUERIES = ("STATS_TOTALS", "POOLS", "DATABASES", "LISTS", "CONFIG")
MILLIONTH = 1e-6

# A column of the console, and the name of its figure; some columns have another name in another release.
STATS = {
    "query_count": ("queries_pooled_total", 1),
    "query_time": ("queries_duration_seconds_total", MILLIONTH),
    "bytes_received": ("received_bytes_total", 1),
    "bytes_sent": ("sent_bytes_total", 1),
    "wait_time": ("client_wait_seconds_total", MILLIONTH),
    "xact_count": ("sql_transactions_pooled_total", 1),
    "xact_time": ("server_in_transaction_seconds_total", MILLIONTH),
}
POOLS = {
    "cl_active": "client_active_connections",
    "cl_waiting": "client_waiting_connections",
    "sv_active": "server_active_connections",
    "sv_idle": "server_idle_connections",
    "sv_used": "server_used_connections",
    "sv_tested": "server_testing_connections",
    "sv_login": "server_login_connections",
    "maxwait": "client_maxwait_seconds",
}
DATABASES = {
    "pool_size": "pool_size",
    "max_connections": "max_connections",
    "current_connections": "current_connections",
    "paused": "paused",
    "disabled": "disabled",
}
LISTS = {
    "databases": "databases",
    "users": "users",
    "pools": "pools",
    "used_clients": "used_clients",
    "free_clients": "free_clients",
    "login_clients": "login_clients",
    "used_servers": "used_servers",
    "free_servers": "free_servers",
}
CONFIG = {"max_client_conn": "config_max_client_connections"}
CONSOLE = "pgbouncer"  # its own database, whose pool is not one


def figures(shown: Mapping[str, Iterable[Row]]) -> Iterator[Figure]:
    """What each SHOW said, as figures."""
    yield "pgbouncer_up", {}, 1
    for row in of_databases(shown["STATS_TOTALS"], "database"):
        for column, (name, factor) in STATS.items():
            yield f"pgbouncer_stats_totals_{name}", {"database": row["database"]}, float(row[column]) * factor
    for row in of_databases(shown["POOLS"], "database"):
        for column, name in POOLS.items():
            yield f"pgbouncer_pools_{name}", {"database": row["database"], "user": row["user"]}, float(row[column])
    for row in of_databases(shown["DATABASES"], "name"):
        for column, name in DATABASES.items():
            yield f"pgbouncer_databases_{name}", {"database": row["name"]}, float(row[column])
    lists = {row["list"]: row["items"] for row in shown["LISTS"]}
    for column, name in LISTS.items():
        yield f"pgbouncer_{name}", {}, float(lists[column])
    settings = {row["key"]: row["value"] for row in shown["CONFIG"]}
    for key, name in CONFIG.items():
        yield f"pgbouncer_{name}", {}, float(settings[key])


def of_databases(rows: Iterable[Row], column: str) -> list[Row]:
    return [row for row in rows if row[column] != CONSOLE]


def written(found: Iterable[Figure]) -> str:
    """In Prometheus' text format, in which all series of a name stand together."""
    by_name: dict[str, list[str]] = {}
    for name, labels, value in found:
        inner = ",".join(f'{label}="{escaped(text)}"' for label, text in labels.items())
        by_name.setdefault(name, []).append(f"{name}{{{inner}}} {value:.17g}" if inner else f"{name} {value:.17g}")
    lines = []
    for name, series in by_name.items():
        lines += [f"# TYPE {name} {'counter' if name.endswith('_total') else 'gauge'}", *series]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def ask() -> dict[str, list[Row]]:
    connection = psycopg2.connect(connect_timeout=CONNECT_SECONDS)
    try:
        connection.autocommit = True
        shown = {}
        for query in QUERIES:
            with connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
                cursor.execute(f"SHOW {query}")
                shown[query] = cursor.fetchall()
        return shown
    finally:
        connection.close()


def scrape() -> str:
    """A pooler that cannot be asked is a figure as well."""
    try:
        return written(figures(ask()))
    except psycopg2.Error as error:
        print("PgBouncer does not answer:", " ".join(str(error).split()), file=sys.stderr)
        return written([("pgbouncer_up", {}, 0)])


class Handler(BaseHTTPRequestHandler):
    timeout = 10

    def do_GET(self) -> None:
        found = self.path == "/metrics"
        body = scrape().encode() if found else b""
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: Any) -> None:
        """Scrapes are no news."""


class Server(socketserver.UnixStreamServer):
    def handle_error(self, *_arguments: Any) -> None:
        print("A scrape ended early:", " ".join(str(sys.exc_info()[1]).split()), file=sys.stderr)


def main() -> None:
    path = sys.argv[1]
    if os.path.exists(path):
        os.unlink(path)
    with Server(path, Handler) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
