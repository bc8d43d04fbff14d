#!/usr/bin/python
# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_audit
short_description: Examines the running Postgres against the checklist
version_added: "0.1.0"
author: the airworthy.stack maintainers (@airworthy)
description:
  - Judges C(db.settings), C(db.indexes), C(db.queries), C(db.monitoring) and C(id.db_auth) by what the live server says
    and does. Run it as root on the server.
  - Changes nothing. It tries to log in with a wrong password, without one, as the superuser over TCP and without TLS,
    and expects to be refused; the server logs these attempts.
  - Never fails on account of what it finds.
extends_documentation_fragment: [airworthy.stack.attributes.reads_only]
options:
  port:
    description: The port of the server.
    type: int
    default: 5432
  database:
    description: The application's database.
    type: str
    required: true
  settings:
    description: Settings that must be in force, as they stand in postgresql.conf.
    type: dict
    required: true
  settings_file:
    description: The file that these settings must come from.
    type: path
    required: true
  tls_ca:
    description: The CA whose certificate the server must show.
    type: path
    required: true
  address:
    description: An address of this server that is not the loopback, for what is expected of other hosts.
    type: str
    required: true
  login:
    description: The application's role.
    type: dict
    required: true
    suboptions: &login
      user:
        description: Name of the role.
        type: str
        required: true
      password:
        description: Its password.
        type: str
        required: true
  exporter:
    description: The role that reads statistics.
    type: dict
    required: true
    suboptions: *login
  limits:
    description: Thresholds.
    type: dict
    required: true
    suboptions:
      mean_ms:
        description: The longest mean time of a statement.
        type: float
        required: true
      p95_ms:
        description: The longest estimated 95th percentile of a statement.
        type: float
        required: true
      minimum_calls:
        description: Statements with fewer calls are not judged.
        type: int
        required: true
      hit_ratio:
        description: The least part of block reads served by shared buffers.
        type: float
        required: true
      hit_ratio_minimum_reads:
        description: With fewer block reads the ratio is not judged.
        type: int
        required: true
      slow_query_ms:
        description: From here on a statement must be logged.
        type: int
        required: true
      large_table_rows:
        description: From this many rows on a table is large.
        type: int
        required: true
      hot_table_scans:
        description: From this many sequential scans on, when they are most of its scans, a large table lacks an index.
        type: int
        required: true
"""

EXAMPLES = r"""
- name: The database is as it shall be
  airworthy.stack.postgresql_audit:
    database: app
    settings: {shared_buffers: 256MB, max_connections: 100}
    settings_file: /etc/postgresql/17/main/conf.d/airworthy.conf
    tls_ca: /etc/airworthy/tls/ca.crt
    address: 192.0.2.10
    login: {user: app, password: "{{ lookup('airworthy.stack.secret', 'database_app') }}"}
    exporter: {user: exporter, password: "{{ lookup('airworthy.stack.secret', 'database_exporter') }}"}
    limits:
      mean_ms: 100
      p95_ms: 500
      minimum_calls: 20
      hit_ratio: 0.95
      hit_ratio_minimum_reads: 100000
      slow_query_ms: 500
      large_table_rows: 10000
      hot_table_scans: 100
  register: __database_controls
"""

RETURN = r"""
controls:
  description: One record for each line of the checklist.
  returned: always
  type: list
  elements: dict
  sample:
    - id: db.settings
      level: quick
      status: pass
"""

import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.airworthy.stack.plugins.module_utils.control import Control, judged, not_applicable, run_probes
from ansible_collections.airworthy.stack.plugins.module_utils.postgresql import (
    DECOY,
    SUPERUSER,
    attempt,
    client_session,
    rows,
    session,
    value,
)
from ansible_collections.airworthy.stack.plugins.module_utils.postgresql_judge import (
    judge_auth,
    judge_indexes,
    judge_monitoring,
    judge_queries,
    judge_settings,
)

SETTINGS = """
SELECT name, setting, unit, vartype, sourcefile, pending_restart, current_setting(name) AS shown
FROM pg_settings WHERE name = ANY(%s) OR pending_restart"""

SETTINGS_SEEN = "SELECT name, current_setting(name), sourcefile, pending_restart FROM pg_settings"

FOREIGN_KEYS = """
SELECT c.conrelid::regclass::text AS "table", c.conname AS name, c.conkey::int[] AS columns,
       ARRAY(SELECT quote_ident(attname) FROM unnest(c.conkey) k
             JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k) AS column_names
FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace
WHERE c.contype = 'f' AND c.conparentid = 0 AND n.nspname !~ '^(pg_|information_schema$)' ORDER BY 1, 2"""

INDEXES = """
SELECT i.indrelid::regclass::text AS "table", i.indexrelid::regclass::text AS name,
       (string_to_array(i.indkey::text, ' ')::int[])[1:i.indnkeyatts] AS columns,
       m.amname AS method, i.indisvalid AND i.indisready AS valid, i.indisunique AS unique,
       EXISTS (SELECT FROM pg_constraint k
               WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')) AS constraint,
       pg_get_expr(i.indpred, i.indrelid) AS predicate,
       concat_ws('|', m.amname, i.indkey, i.indclass, i.indcollation, i.indoption,
                 pg_get_expr(i.indexprs, i.indrelid), pg_get_expr(i.indpred, i.indrelid)) AS shape
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     JOIN pg_am m ON m.oid = c.relam
WHERE n.nspname !~ '^(pg_|information_schema$)' ORDER BY 1, 2"""

TABLES = """
SELECT relid::regclass::text AS "table", n_live_tup AS rows, coalesce(seq_scan, 0) AS seq_scan,
       coalesce(idx_scan, 0) AS idx_scan FROM pg_stat_user_tables"""

# Utility statements keep their literals, passwords among them, and are no queries.
STATEMENTS = """
SELECT left(regexp_replace(s.query, '\\s+', ' ', 'g'), 80) AS query, s.calls, s.mean_exec_time AS mean_ms,
       s.stddev_exec_time AS deviation_ms
FROM pg_stat_statements s JOIN pg_roles r ON r.oid = s.userid
WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND NOT r.rolsuper
  AND s.query ~* '^\\s*(select|insert|update|delete|merge|with)\\M' AND s.query NOT LIKE '%airworthy_probe%'
ORDER BY s.mean_exec_time DESC"""

BLOCKS = """
SELECT blks_hit AS blocks_hit, blks_read AS blocks_read FROM pg_stat_database WHERE datname = current_database()"""

PROBE = "SELECT 1 AS airworthy_probe"
PROBE_CALLS = "SELECT coalesce(sum(calls), 0)::int FROM pg_stat_statements WHERE query LIKE '%AS airworthy_probe'"
EXPORTED = """
SELECT count(*)::int AS seen, count(*) FILTER (WHERE query IS NULL OR query = '<insufficient privilege>')::int AS hidden
FROM pg_stat_statements"""

LOGIN_ROLES = """
SELECT rolname AS name, rolsuper AS superuser,
       CASE WHEN rolpassword IS NULL THEN 'none' WHEN rolpassword LIKE 'SCRAM-SHA-256$%' THEN 'scram-sha-256'
            WHEN rolpassword LIKE 'md5%' THEN 'md5' ELSE 'unknown' END AS kind,
       ARRAY(SELECT g.rolname::text FROM pg_roles g
             WHERE pg_has_role(r.oid, g.oid, 'MEMBER') AND NOT r.rolsuper) AS groups
FROM pg_authid r WHERE rolcanlogin ORDER BY 1"""

RULES = """
SELECT line_number, type, database, user_name, address, netmask, auth_method, error
FROM pg_hba_file_rules ORDER BY line_number"""


class Audit:
    """The probes of one server. Each observes what its control needs and hands it to the judge."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        self.port: int = options["port"]
        self.database: str = options["database"]

    def command(self, sql: str, database: str = "") -> str:
        """With which a person sees the same."""
        return f'sudo -u {SUPERUSER} psql -p {self.port} {database or self.database} -c "{sql}"'

    def settings(self) -> Control:
        wanted = self.options["settings"]
        with session(port=self.port) as connection:
            found = rows(connection, SETTINGS, [list(wanted)])
        names = ", ".join(f"'{name}'" for name in sorted(wanted)[:3])
        return judged(
            "db.settings",
            "quick",
            judge_settings(wanted, found, self.options["settings_file"]),
            expected=f"{len(wanted)} settings as configured, none waiting for a restart",
            command=self.command(f"{SETTINGS_SEEN} WHERE name IN ({names}, …)"),
            remediation="ansible-playbook site.yml --tags postgresql; for a setting that ALTER SYSTEM made: "
            "ALTER SYSTEM RESET name",
        )

    def indexes(self) -> Control:
        with session(self.database, self.port) as connection:
            observed = {
                "tables": rows(connection, TABLES),
                "foreign_keys": rows(connection, FOREIGN_KEYS),
                "indexes": rows(connection, INDEXES),
            }
        command = self.command("\\d *.*")
        if not observed["tables"]:
            return not_applicable("db.indexes", "quick", f"the database {self.database} has no tables", command=command)
        limits = self.options["limits"]
        return judged(
            "db.indexes",
            "quick",
            judge_indexes(observed, limits["large_table_rows"], limits["hot_table_scans"]),
            command=command,
            remediation="Create the missing indexes in a migration (CREATE INDEX CONCURRENTLY), drop invalid and "
            "duplicate ones (DROP INDEX CONCURRENTLY)",
        )

    def queries(self) -> Control:
        with session(self.database, self.port) as connection:
            observed = {"statements": rows(connection, STATEMENTS), **rows(connection, BLOCKS)[0]}
        return judged(
            "db.queries",
            "quick",
            judge_queries(observed, self.options["limits"]),
            command=self.command(
                "SELECT calls, mean_exec_time, stddev_exec_time, query FROM pg_stat_statements "
                "ORDER BY mean_exec_time DESC LIMIT 20"
            ),
            remediation="Look at the statement's plan in the server's log (auto_explain) or with EXPLAIN (ANALYZE, "
            "BUFFERS); after a fix: SELECT pg_stat_statements_reset()",
        )

    def monitoring(self) -> Control:
        with session(self.database, self.port, autocommit=True) as connection:
            before = value(connection, PROBE_CALLS)
            value(connection, PROBE)
            observed = {
                "probe_calls": (before, value(connection, PROBE_CALLS)),
                "libraries": value(connection, "SHOW shared_preload_libraries").replace(" ", "").split(","),
                "track_io_timing": value(connection, "SHOW track_io_timing"),
            }
        slow = "SELECT setting::int FROM pg_settings WHERE name = 'log_min_duration_statement'"
        with self.client(self.options["login"], self.database) as connection:
            observed["log_min_duration_ms"] = value(connection, slow)
        with self.client(self.options["exporter"], "postgres") as connection:
            seen = rows(connection, EXPORTED)[0]
            observed.update(exporter_statements=seen["seen"], exporter_hidden=seen["hidden"])
        return judged(
            "db.monitoring",
            "quick",
            judge_monitoring(observed, self.options["limits"]["slow_query_ms"]),
            command=self.command("SELECT count(*), sum(calls) FROM pg_stat_statements"),
            remediation="ansible-playbook site.yml --tags postgresql",
        )

    def client(self, login: dict[str, str], database: str) -> Any:
        return client_session(
            user=login["user"],
            password=login["password"],
            dbname=database,
            port=self.port,
            sslmode="verify-full",
            sslrootcert=self.options["tls_ca"],
        )

    def auth(self) -> Control:
        with session(port=self.port) as connection:
            observed = {
                "roles": rows(connection, LOGIN_ROLES),
                "rules": rows(connection, RULES),
                "ssl": value(connection, "SHOW ssl"),
                "password_encryption": value(connection, "SHOW password_encryption"),
                "loaded_at": value(connection, "SELECT extract(epoch FROM pg_conf_load_time())::float"),
                "rules_changed_at": os.stat(value(connection, "SHOW hba_file")).st_mtime,
            }
        observed["attempts"] = self.attempts()
        return judged(
            "id.db_auth",
            "quick",
            judge_auth(observed),
            command=self.command(
                "SELECT line_number, type, database, user_name, address, auth_method FROM pg_hba_file_rules"
            ),
            remediation="ansible-playbook site.yml --tags postgresql; set passwords of other roles anew with "
            "password_encryption = 'scram-sha-256'",
        )

    def attempts(self) -> list[dict[str, Any]]:
        """Ways in that must be closed, and the one that must be open, so that a server that is down proves nothing."""
        user, password = self.options["login"]["user"], self.options["login"]["password"]
        common = {"port": self.port, "dbname": self.database, "sslrootcert": self.options["tls_ca"]}
        tls: dict[str, Any] = {**common, "sslmode": "verify-full"}
        other = {**common, "host": self.options["address"], "hostaddr": "", "sslmode": "disable"}
        refused = "refused"
        return [
            attempt("the application over TLS", "let in", [], user=user, password=password, **tls),
            attempt("a wrong password", refused, ["password authentication failed"], user=user, password=DECOY, **tls),
            attempt("no password", refused, ["no password supplied"], user=user, password="", **tls),
            attempt(
                "the superuser over TCP",
                refused,
                ["pg_hba.conf rejects connection", "no pg_hba.conf entry"],
                user=SUPERUSER,
                password=DECOY,
                **tls,
            ),
            attempt(
                f"the right password without TLS, to {self.options['address']}",
                refused,
                ["no pg_hba.conf entry", "pg_hba.conf rejects connection", "Connection refused"],
                user=user,
                password=password,
                **other,
            ),
        ]


LOGIN = {
    "type": "dict",
    "required": True,
    "options": {
        "user": {"type": "str", "required": True},
        "password": {"type": "str", "required": True, "no_log": True},
    },
}
LIMITS = {
    "mean_ms": {"type": "float", "required": True},
    "p95_ms": {"type": "float", "required": True},
    "minimum_calls": {"type": "int", "required": True},
    "hit_ratio": {"type": "float", "required": True},
    "hit_ratio_minimum_reads": {"type": "int", "required": True},
    "slow_query_ms": {"type": "int", "required": True},
    "large_table_rows": {"type": "int", "required": True},
    "hot_table_scans": {"type": "int", "required": True},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "port": {"type": "int", "default": 5432},
            "database": {"type": "str", "required": True},
            "settings": {"type": "dict", "required": True},
            "settings_file": {"type": "path", "required": True},
            "tls_ca": {"type": "path", "required": True},
            "address": {"type": "str", "required": True},
            "login": LOGIN,
            "exporter": LOGIN,
            "limits": {"type": "dict", "required": True, "options": LIMITS},
        },
        supports_check_mode=True,
    )
    audit = Audit(module.params)
    probes = {
        "db.settings": audit.settings,
        "db.indexes": audit.indexes,
        "db.queries": audit.queries,
        "db.monitoring": audit.monitoring,
        "id.db_auth": audit.auth,
    }
    module.exit_json(changed=False, controls=run_probes("quick", probes))


if __name__ == "__main__":
    main()
