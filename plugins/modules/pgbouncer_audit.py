#!/usr/bin/python
# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pgbouncer_audit
short_description: Examines the running PgBouncer against the checklist
version_added: "0.1.0"
author: the airworthy.stack maintainers (@airworthy)
description:
  - Judges C(db.pool) by what the running process says on its console and does for a client. Run it as root.
  - At level C(quick) one client connects and is served, and three that must not be let in try.
  - At level C(deep) as many clients as O(clients) says run short transactions at once, and the server connections are
    counted in Postgres meanwhile.
  - Never fails on account of what it finds.
extends_documentation_fragment: [airworthy.stack.attributes.reads_only]
options:
  level:
    description: With V(deep), the load is added to what V(quick) looks at.
    type: str
    choices: [quick, deep]
    default: quick
  port:
    description: The port of the pooler.
    type: int
    default: 6432
  database_port:
    description: The port of Postgres on this server, in which the connections are counted.
    type: int
    default: 5432
  database:
    description: The application's database.
    type: str
    required: true
  settings:
    description: Settings that must be in force, as in pgbouncer.ini. They include the limits of the pool.
    type: dict
    required: true
  open_files:
    description: The files that the process must be allowed to open at least.
    type: int
    required: true
  tls_ca:
    description: The CA whose certificate the pooler must show.
    type: path
    required: true
  login:
    description: The application's role.
    type: dict
    required: true
    suboptions:
      user:
        description: Name of the role.
        type: str
        required: true
      password:
        description: Its password.
        type: str
        required: true
  clients:
    description: The clients that come at once at level V(deep).
    type: int
    default: 100
"""

EXAMPLES = r"""
- name: The pool is as it shall be
  airworthy.stack.pgbouncer_audit:
    level: deep
    database: app
    settings: {pool_mode: transaction, default_pool_size: 20, min_pool_size: 5, max_db_connections: 20}
    open_files: 648
    tls_ca: /etc/airworthy/tls/ca.crt
    login: {user: app, password: "{{ lookup('airworthy.stack.secret', 'database_app') }}"}
  register: __pool_controls
"""

RETURN = r"""
controls:
  description: The record of C(db.pool) at the level asked for.
  returned: always
  type: list
  elements: dict
  sample:
    - id: db.pool
      level: quick
      status: pass
"""

import socket
import struct
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.airworthy.stack.plugins.module_utils.control import Check, Control, judged, run_probes
from ansible_collections.airworthy.stack.plugins.module_utils.postgresql import (
    DECOY,
    attempt,
    client_session,
    psycopg2,
    rows,
    session,
    socket_path,
    value,
)
from ansible_collections.airworthy.stack.plugins.module_utils.postgresql_judge import judge_attempts

FILL_SECONDS = 15  # PgBouncer opens the connections that are kept ready one by one, three in a second
SECONDS_OF_WORK = 0.1
WORK = "SELECT 1 AS airworthy_probe FROM pg_sleep(%s)"  # by this name db.queries does not judge it

OWN_SERVER_TLS = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
TLS = {True: "on", False: "off", None: "not seen"}
UNSEEN = {"server_tls": None, "server_connections": 0}  # nobody is let in: that is a finding, not an error
SERVER_CONNECTIONS = """
SELECT count(*)::int FROM pg_stat_activity WHERE datname = %s AND usename = %s AND backend_type = 'client backend'"""


def judge_settings(wanted: Mapping[str, Any], found: Mapping[str, str]) -> list[Check]:
    """What the process has in force; a setting that this release does not know is a mistake, too."""
    return [
        Check(name, str(setting), found.get(name, "unknown"), plain(setting) == plain(found.get(name)))
        for name, setting in sorted(wanted.items())
    ]


def plain(setting: Any) -> str:
    """PgBouncer shows numbers and words as they were written, but booleans as 0 and 1, and lists without spaces."""
    text = {True: "1", False: "0"}[setting] if isinstance(setting, bool) else str(setting)
    return text.replace(", ", ",")


def judge_pool(observed: Mapping[str, Any], wanted: Mapping[str, Any], open_files: int) -> list[Check]:
    most, least = int(wanted["default_pool_size"]), int(wanted["min_pool_size"])
    connections = observed["server_connections"]
    return [
        *judge_settings(wanted, observed["config"]),
        Check.equal("connections allowed by the database's own entry", str(most), str(observed["pool_size"])),
        Check(
            "server connections while a client is connected",
            f"{least} to {most}",
            str(connections),
            least <= connections <= most,
        ),
        Check.equal("TLS between the pooler and Postgres", "on", TLS[observed["server_tls"]]),
        Check(
            "files that the process may open", f"{open_files} or more", str(observed["open_files"]),
            observed["open_files"] >= open_files,
        ),
        *judge_attempts(observed["attempts"]),
    ]


def judge_load(observed: Mapping[str, Any], clients: int, most: int) -> list[Check]:
    """Everybody was served, by few connections; one connection at the most would mean that nothing was pooled."""
    failures = observed["failures"]
    peak, together = observed["peak"], observed["together"]
    served = observed["served"] if not failures else f"{observed['served']}; first failure: {failures[0]}"
    return [
        Check(f"clients served, of {clients} at once", str(clients), str(served), observed["served"] == clients),
        Check.equal("clients connected at the same time", str(clients), str(together)),
        Check("most server connections meanwhile", f"1 to {most}", str(peak), 1 <= peak <= most),
    ]


def owner_of_socket(path: str) -> int:
    """The process that listens on it, from the kernel."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[0])


def allowed_open_files(pid: int) -> int:
    line = next(row for row in Path(f"/proc/{pid}/limits").read_text().splitlines() if row.startswith("Max open files"))
    return int(line.split()[3])


class Audit:
    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        self.database: str = options["database"]
        self.user: str = options["login"]["user"]
        self.common = {"port": options["port"], "dbname": self.database, "sslrootcert": options["tls_ca"]}
        self.tls = {**self.common, "sslmode": "verify-full"}

    def client(self) -> Any:
        return client_session(user=self.user, password=self.options["login"]["password"], **self.tls)

    def console(self) -> Any:
        return session("pgbouncer", self.options["port"], autocommit=True, user="pgbouncer")

    def quick(self) -> Control:
        attempts = self.attempts()
        with self.console() as console:
            observed = {
                "config": {row["key"]: row["value"] for row in rows(console, "SHOW CONFIG")},
                "pool_size": self.pool_size(rows(console, "SHOW DATABASES")),
                "open_files": allowed_open_files(owner_of_socket(socket_path(self.options["port"]))),
                "attempts": attempts,
                **(UNSEEN if attempts[0]["error"] else self.served_client(console)),
            }
        settings = self.options["settings"]
        return judged(
            "db.pool",
            "quick",
            judge_pool(observed, settings, self.options["open_files"]),
            expected=f"{settings['default_pool_size']} server connections at most, {settings['min_pool_size']} kept "
            f"ready, {len(settings)} settings in force, TLS on both sides",
            command=self.command("SHOW CONFIG") + "; the same with SHOW POOLS, SHOW SERVERS",
            remediation="ansible-playbook site.yml --tags pgbouncer",
        )

    def served_client(self, console: Any) -> dict[str, Any]:
        with self.client() as connection:
            return {
                "server_tls": value(connection, OWN_SERVER_TLS),
                "server_connections": self.server_connections(console),
            }

    def command(self, sql: str) -> str:
        return f'sudo -u postgres psql -p {self.options["port"]} -U pgbouncer pgbouncer -c "{sql}"'

    def pool_size(self, databases: list[dict[str, Any]]) -> Any:
        entry = next((row for row in databases if row["name"] == self.database), None)
        return entry["pool_size"] if entry else f"no entry for {self.database}"

    def server_connections(self, console: Any) -> int:
        """Once the connections that are kept ready have been opened, or the time for it is over."""
        deadline = time.monotonic() + FILL_SECONDS
        while True:
            servers = rows(console, "SHOW SERVERS")
            count = sum(row["database"] == self.database and row["user"] == self.user for row in servers)
            if count >= int(self.options["settings"]["min_pool_size"]) or time.monotonic() > deadline:
                return count
            time.sleep(0.1)

    def attempts(self) -> list[dict[str, Any]]:
        user, password = self.user, self.options["login"]["password"]
        wrong = ["authentication failed", "SASL"]
        return [
            attempt("the application over TLS", "let in", [], user=user, password=password, **self.tls),
            attempt("a wrong password", "refused", wrong, user=user, password=DECOY, **self.tls),
            attempt("no password", "refused", ["no password supplied"], user=user, password="", **self.tls),
            attempt("the superuser", "refused", ["no such user", *wrong], user="postgres", password=DECOY, **self.tls),
            attempt(
                "the right password without TLS", "refused", ["SSL required"],
                user=user, password=password, sslmode="disable", **self.common,
            ),
        ]

    def deep(self) -> Control:
        clients = self.options["clients"]
        most = int(self.options["settings"]["max_db_connections"])
        return judged(
            "db.pool",
            "deep",
            judge_load(self.load(clients), clients, most),
            expected=f"{clients} clients at once are all served by at most {most} server connections",
            command=f"pgbench -n -S -c {clients} -j 2 -T 5 -h localhost -p {self.options['port']} -U {self.user} "
            f"{self.database}, and meanwhile {self.command('SHOW POOLS')}",
            remediation="ansible-playbook site.yml --tags pgbouncer; look for clients that go past the pool",
        )

    def load(self, clients: int) -> dict[str, Any]:
        """Everybody connects, and once all are there, everybody works."""
        together = threading.Barrier(clients)
        finished = threading.Event()
        peaks: list[int] = []

        def watch(connection: Any) -> None:
            while not finished.is_set():
                peaks.append(value(connection, SERVER_CONNECTIONS, [self.database, self.user]))
                finished.wait(0.02)

        def work(_number: int) -> str | None:
            try:
                with self.client() as connection:
                    together.wait(timeout=60)
                    connection.autocommit = False
                    value(connection, WORK, [SECONDS_OF_WORK])
                    connection.commit()
            except (psycopg2.Error, threading.BrokenBarrierError) as error:
                together.abort()
                return f"{type(error).__name__}: {' '.join(str(error).split())}"
            return None

        # connected before there are threads: for this, the whole process acts as another user
        with session(port=self.options["database_port"], autocommit=True) as connection:
            watcher = threading.Thread(target=watch, args=[connection])
            watcher.start()
            try:
                with ThreadPoolExecutor(clients) as pool:
                    failures = [failure for failure in pool.map(work, range(clients)) if failure]
            finally:
                finished.set()
                watcher.join()
        return {
            "served": clients - len(failures),
            "together": clients if not together.broken else "not all",
            "failures": failures,
            "peak": max(peaks, default=0),
        }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "level": {"type": "str", "choices": ["quick", "deep"], "default": "quick"},
            "port": {"type": "int", "default": 6432},
            "database_port": {"type": "int", "default": 5432},
            "database": {"type": "str", "required": True},
            "settings": {"type": "dict", "required": True},
            "open_files": {"type": "int", "required": True},
            "tls_ca": {"type": "path", "required": True},
            "login": {
                "type": "dict",
                "required": True,
                "options": {
                    "user": {"type": "str", "required": True},
                    "password": {"type": "str", "required": True, "no_log": True},
                },
            },
            "clients": {"type": "int", "default": 100},
        },
        supports_check_mode=True,
    )
    audit = Audit(module.params)
    controls = run_probes("quick", {"db.pool": audit.quick})
    if module.params["level"] == "deep":
        controls += run_probes("deep", {"db.pool": audit.deep})
    module.exit_json(changed=False, controls=controls)


if __name__ == "__main__":
    main()
