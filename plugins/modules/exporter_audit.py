#!/usr/bin/python
# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: exporter_audit
short_description: Examines whether Prometheus' exporters tell the truth, and only to those who may know it
version_added: "0.1.0"
author: the airworthy.stack maintainers (@airworthy)
description:
  - Proves the control C(mon.exporters), and on a server with a database what concerns exporters in C(db.monitoring). It
    runs on the server itself and scrapes its exporters as Prometheus would.
  - The certificate must be valid for the server's name. Without TLS, without a password and with a wrong one there must
    be no figures. With the password, the essential series must be there, with values that agree with what the kernel,
    systemd, PostgreSQL and PgBouncer say themselves. Of the edge one request is made, which must be counted.
extends_documentation_fragment: [airworthy.stack.attributes.reads_only]
options:
  hostname:
    description: The name for which the certificate must be valid.
    type: str
    required: true
  exporters:
    description: The exporters that must be there.
    type: list
    elements: dict
    required: true
    suboptions:
      kind:
        description: What it exports.
        type: str
        choices: [node, process, postgres, pgbouncer, nginx, app]
        required: true
      port:
        description: Its port.
        type: int
        required: true
  instances:
    description: For V(app), the ports of the application's instances. Each has its figures at a path that ends so.
    type: list
    elements: int
    default: []
  processes:
    description:
      - For V(process), the groups of processes and the names of the programs in them, as the kernel keeps them.
      - Of those that run there must be figures.
    type: dict
    default: {}
  database:
    description: For V(postgres) and V(pgbouncer), the database with which figures are compared.
    type: str
    default: app
  role:
    description: For V(postgres), the role whose statements are counted.
    type: str
    default: app
  database_port:
    description: Port of PostgreSQL.
    type: int
    default: 5432
  pooler_port:
    description: Port of PgBouncer.
    type: int
    default: 6432
  domain:
    description: For V(nginx), the name under which the request is made, on port 80.
    type: str
  address:
    description: Where they are reached.
    type: str
    default: 127.0.0.1
  ca_file:
    description: The CA that issued the certificate, on the server.
    type: path
    required: true
  user:
    description: The user who may read the figures.
    type: str
    default: prometheus
  password:
    description: The password of O(user).
    type: str
    required: true
  timeout:
    description: Seconds to wait for an exporter at each step.
    type: int
    default: 10
"""

EXAMPLES = r"""
- name: The exporters tell those who may know, and nobody else
  airworthy.stack.exporter_audit:
    hostname: db1
    exporters:
      - {kind: node, port: 9100}
      - {kind: process, port: 9256}
      - {kind: postgres, port: 9187}
    processes: {postgres: [postgres]}
    ca_file: /etc/airworthy/tls/ca.crt
    password: "{{ lookup('airworthy.stack.secret', 'exporters') }}"
  register: __exporters_controls
"""

RETURN = r"""
controls:
  description:
    - The controls C(mon.exporters) and, with V(postgres) among the exporters, C(db.monitoring).
    - They are described in docs/certificate.md.
  returned: always
  type: list
  elements: dict
"""

import re
import subprocess
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.airworthy.stack.plugins.module_utils.control import Check, Control, judged, run_probes
from ansible_collections.airworthy.stack.plugins.module_utils.exporter_figures import (
    JUDGES,
    Figures,
    Server,
    judge_statements,
)
from ansible_collections.airworthy.stack.plugins.module_utils.postgresql import (
    PostgresUnavailable,
    rows,
    session,
    value,
)
from ansible_collections.airworthy.stack.plugins.module_utils.web_client import (
    Answer,
    Strangers,
    Target,
    ask,
    ask_as_strangers,
    basic_auth,
)

REMEDIATION = "ansible-playbook site.yml --tags exporters"
PATH = "/metrics"
COUNTED = "nginx_http_requests_total"
HTTP = 80
FAILED_UNITS = ("systemctl", "list-units", "--all", "--state=failed", "--plain", "--no-legend", "--no-pager")
STATEMENT_CALLS = """
SELECT coalesce(sum(s.calls), 0)::bigint FROM pg_stat_statements s
JOIN pg_roles r ON r.oid = s.userid JOIN pg_database d ON d.oid = s.dbid WHERE r.rolname = %s AND d.datname = %s"""


@dataclass(frozen=True)
class Scrape(Strangers):
    """What one exporter says to strangers, and to Prometheus."""

    kind: str
    known: Answer
    path: str = PATH

    @property
    def name(self) -> str:
        return " ".join([self.kind, *self.path.removeprefix(PATH).split("/")[1:]])


def judge_access(seen: Scrape) -> list[Check]:
    strangers = {"without TLS": seen.plain, "without a password": seen.anonymous, "with a wrong password": seen.wrong}
    wanted = {"without TLS": "no figures", "without a password": "401", "with a wrong password": "401"}
    checks = []
    for who, answer in strangers.items():
        refused = answer.status == 401 if wanted[who] == "401" else answer.status != 200
        tells = bool(Figures.of(answer.body).samples)
        checks.append(Check(f"{seen.name} {who}", wanted[who], str(answer), refused and not tells))
    checks.append(Check(f"{seen.name} with the password", "200", str(seen.known), seen.known.status == 200))
    return checks


def judge(scrapes: list[Scrape], server: Server, command: str) -> Control:
    checks = []
    for seen in scrapes:
        checks += judge_access(seen)
        found = JUDGES[seen.kind](Figures.of(seen.known.body), server) if seen.known.status == 200 else []
        several = seen.path != PATH
        checks += [replace(check, subject=f"{seen.name}: {check.subject}") if several else check for check in found]
    return judged("mon.exporters", "quick", checks, command=command, remediation=REMEDIATION)


class Audit:
    """One look at everything, on which all of its controls are judged."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        self.ports: dict[str, int] = {exporter["kind"]: exporter["port"] for exporter in options["exporters"]}
        self.credentials = basic_auth(options["user"], options["password"])

    def target(self, kind: str) -> Target:
        port = self.ports[kind]
        options = self.options
        return Target(options["hostname"], options["address"], port, port, options["ca_file"], options["timeout"])

    def known(self, kind: str, path: str = PATH) -> Answer:
        return ask(self.target(kind), path, headers=self.credentials)

    def paths(self, kind: str) -> list[str]:
        return [f"{PATH}/{port}" for port in self.options["instances"]] if kind == "app" else [PATH]

    def scrape(self, kind: str, path: str) -> Scrape:
        strangers = ask_as_strangers(self.target(kind), path, self.options["user"], self.options["password"])
        return Scrape(**vars(strangers), kind=kind, known=self.known(kind, path), path=path)

    def exporters(self) -> Control:
        server = self.before()
        scrapes = [self.scrape(kind, path) for kind in self.ports for path in self.paths(kind)]
        # curl asks for the password, so that it stands in no history
        command = self.target(next(iter(self.ports))).curl(PATH, "-u", self.options["user"])
        return judge(scrapes, self.after(server), command)

    def statements(self) -> Control:
        before = self.statement_calls()
        answer = self.known("postgres")
        after = self.statement_calls()
        server = Server(
            database=self.options["database"],
            role=self.options["role"],
            statement_calls=None if before is None or after is None else (before, after),
        )
        checks = [
            Check("the database's exporter", "200", str(answer), answer.status == 200),
            *judge_statements(Figures.of(answer.body), server),
        ]
        command = self.target("postgres").curl(PATH, "-u", self.options["user"]) + " | grep ^pg_stat_statements"
        return judged("db.monitoring", "quick", checks, command=command, remediation=REMEDIATION)

    def before(self) -> Server:
        counted = self.count_a_request() if "nginx" in self.ports else (0.0, 0.0)
        return Server(oom_kills=(oom_kills(), 0), requests=counted)

    def after(self, server: Server) -> Server:
        clients, connections = self.pooler() if "pgbouncer" in self.ports else (None, None)
        return replace(
            server,
            memory_bytes=kernel_figure("/proc/meminfo", r"^MemTotal:\s+(\d+) kB") * 1024,
            time=time.time(),
            oom_kills=(server.oom_kills[0], oom_kills()),
            failed_units=failed_units(),
            processes=running(self.options["processes"]),
            database=self.options["database"],
            role=self.options["role"],
            max_connections=self.max_connections() if "postgres" in self.ports else None,
            pooler_clients=clients,
            pooler_connections=connections,
        )

    def count_a_request(self) -> tuple[float, float]:
        """How many were counted before one was made, and after it was, within the time to wait."""
        domain, deadline = self.options["domain"], time.monotonic() + self.options["timeout"]
        before = self.counted()
        ask(Target(domain, self.options["address"], http_port=HTTP, timeout=self.options["timeout"]), secure=False)
        while (after := self.counted()) <= before and time.monotonic() < deadline:
            time.sleep(0.2)
        return before, after

    def counted(self) -> float:
        return Figures.of(self.known("nginx").body).total(COUNTED)

    def max_connections(self) -> int | None:
        try:
            with session(port=self.options["database_port"]) as connection:
                return int(value(connection, "SHOW max_connections"))
        except PostgresUnavailable:
            return None  # the exporter says so as well: that is a finding, not an error

    def statement_calls(self) -> int | None:
        try:
            with session(port=self.options["database_port"], silent=True) as connection:
                return int(value(connection, STATEMENT_CALLS, [self.options["role"], self.options["database"]]))
        except PostgresUnavailable:
            return None

    def pooler(self) -> tuple[int | None, int | None]:
        """The most clients, and the most connections to the database."""
        try:
            with session("pgbouncer", self.options["pooler_port"], autocommit=True, user="pgbouncer") as console:
                settings = {row["key"]: row["value"] for row in rows(console, "SHOW CONFIG")}
                databases = {row["name"]: row["max_connections"] for row in rows(console, "SHOW DATABASES")}
        except PostgresUnavailable:
            return None, None
        return int(settings["max_client_conn"]), databases.get(self.options["database"])


def kernel_figure(path: str, pattern: str) -> int:
    found = re.search(pattern, Path(path).read_text(encoding="ascii"), re.MULTILINE)
    if found is None:
        raise RuntimeError(f"{path} has no line like {pattern}")
    return int(found[1])


def oom_kills() -> int:
    return kernel_figure("/proc/vmstat", r"^oom_kill (\d+)")


def failed_units() -> int:
    listed = subprocess.run(FAILED_UNITS, check=True, capture_output=True, text=True)
    return len(listed.stdout.splitlines())


def running(groups: Mapping[str, list[str]]) -> dict[str, int]:
    """How many processes of each group run, of those groups that do."""
    programs: Counter[str] = Counter()
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            programs[(directory / "comm").read_text(encoding="utf-8", errors="replace").rstrip("\n")] += 1
        except OSError:
            continue  # it has just ended
    counts = {group: sum(programs[name] for name in names) for group, names in groups.items()}
    return {group: count for group, count in counts.items() if count}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "hostname": {"type": "str", "required": True},
            "exporters": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "kind": {"type": "str", "choices": list(JUDGES), "required": True},
                    "port": {"type": "int", "required": True},
                },
            },
            "instances": {"type": "list", "elements": "int", "default": []},
            "processes": {"type": "dict", "default": {}},
            "database": {"type": "str", "default": "app"},
            "role": {"type": "str", "default": "app"},
            "database_port": {"type": "int", "default": 5432},
            "pooler_port": {"type": "int", "default": 6432},
            "domain": {"type": "str"},
            "address": {"type": "str", "default": "127.0.0.1"},
            "ca_file": {"type": "path", "required": True},
            "user": {"type": "str", "default": "prometheus"},
            "password": {"type": "str", "required": True, "no_log": True},
            "timeout": {"type": "int", "default": 10},
        },
        supports_check_mode=True,
    )
    audit = Audit(module.params)
    if not audit.ports:
        module.fail_json(msg="exporters is empty: name at least the node exporter, as {kind: node, port: 9100}")
    if "nginx" in audit.ports and not module.params["domain"]:
        module.fail_json(msg="domain is missing: write the name under which a request to the edge is counted")
    if "app" in audit.ports and not module.params["instances"]:
        module.fail_json(msg="instances is empty: name the ports of the application's instances, as in [3000, 3001]")
    probes = {"mon.exporters": audit.exporters}
    if "postgres" in audit.ports:
        probes["db.monitoring"] = audit.statements
    module.exit_json(changed=False, controls=run_probes("quick", probes))


if __name__ == "__main__":
    main()
