#!/usr/bin/python
# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_objects
short_description: Converges login roles, databases, extensions and grants of the local Postgres in one execution
version_added: "0.1.0"
author: the airworthy.stack maintainers (@airworthy)
description:
  - Connects over the socket as C(postgres) by peer authentication; run it as root.
  - Compares each password with the SCRAM verifier that the server stores, so that a changed one is seen. Only verifiers
    are sent, and neither passwords nor verifiers are logged, by Ansible or by Postgres.
  - Roles are one transaction, and so is what belongs inside each database.
  - Roles and databases that are not listed are left alone.
attributes:
  check_mode:
    support: full
    description: Where no Postgres runs yet, everything is predicted to be created.
  diff_mode:
    support: full
    description: Passwords appear as the word C(password) only.
options:
  port:
    description: The port of the server, which names its socket.
    type: int
    default: 5432
  roles:
    description: Roles as they shall be. None of them is a superuser.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the role.
        type: str
        required: true
      password:
        description: Its password, in ASCII. Without one the role cannot log in with a password.
        type: str
      login:
        description: Whether it may log in.
        type: bool
        default: true
      createdb:
        description: Whether it may create databases.
        type: bool
        default: false
      createrole:
        description: Whether it may create roles.
        type: bool
        default: false
      replication:
        description: Whether it may replicate.
        type: bool
        default: false
      bypassrls:
        description: Whether row-level security is without effect on it.
        type: bool
        default: false
      connection_limit:
        description: The most connections at a time; -1 for no limit.
        type: int
        default: -1
      settings:
        description: Settings of its sessions, such as C(statement_timeout). Others are reset.
        type: dict
        default: {}
      member_of:
        description: The roles whose privileges it has. Other memberships are revoked.
        type: list
        elements: str
        default: []
  databases:
    description: Databases as they shall be.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the database.
        type: str
        required: true
      owner:
        description: The role that owns it.
        type: str
        required: true
      encoding:
        description: Its encoding. That of an existing database cannot be changed, and a different one is an error.
        type: str
        default: UTF8
      connect:
        description: Roles that may connect besides the owner. Everybody else, and PUBLIC, may not.
        type: list
        elements: str
        default: []
      extensions:
        description: Extensions that are installed in it.
        type: list
        elements: str
        default: []
      auth_query:
        description:
          - A role that may look up the verifiers of login roles here with C(pooler.lookup(name)), for a connection
            pooler. Superusers, replication roles, expired roles and those that bypass row-level security are not found.
        type: str
"""

EXAMPLES = r"""
- name: The application has its database
  airworthy.stack.postgresql_objects:
    roles:
      - name: shop
        password: "{{ lookup('airworthy.stack.secret', 'database_app') }}"
        settings: {statement_timeout: 30s}
      - name: report
        password: "{{ lookup('airworthy.stack.secret', 'database_report') }}"
        member_of: [pg_read_all_data]
    databases:
      - name: shop
        owner: shop
        connect: [report]
        extensions: [pg_stat_statements]
"""

RETURN = r"""
actions:
  description: What was changed, or would be in check mode, in order.
  returned: always
  type: list
  elements: str
  sample: [role shop, database shop, extension pg_stat_statements in shop]
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.airworthy.stack.plugins.module_utils.postgresql import (
    SUPERUSER,
    PostgresUnavailable,
    identifier,
    literal,
    psycopg2,
    rows,
    scram_matches,
    scram_verifier,
    session,
    socket_exists,
)

ATTRIBUTES = ("login", "createdb", "createrole", "replication", "bypassrls")

ROLES = """
SELECT rolname AS name, rolcanlogin AS login, rolcreatedb AS createdb, rolcreaterole AS createrole,
       rolreplication AS replication, rolbypassrls AS bypassrls, rolsuper AS superuser,
       rolconnlimit AS connection_limit, rolpassword AS verifier,
       coalesce((SELECT setconfig FROM pg_db_role_setting WHERE setrole = r.oid AND setdatabase = 0), '{}') AS settings,
       ARRAY(SELECT DISTINCT g.rolname::text FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid
             WHERE m.member = r.oid ORDER BY 1) AS member_of
FROM pg_authid r"""

DATABASES = """
SELECT datname AS name, pg_get_userbyid(datdba) AS owner, pg_encoding_to_char(encoding) AS encoding,
       ARRAY(SELECT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(grantee) END || ':' || privilege_type
             FROM aclexplode(coalesce(datacl, acldefault('d', datdba))) WHERE grantee <> datdba) AS grants
FROM pg_database WHERE datallowconn"""

EXTENSIONS = "SELECT extname AS name FROM pg_extension"

PUBLIC_CREATES = """
SELECT has_schema_privilege('public', oid, 'CREATE') AS granted FROM pg_namespace WHERE nspname = 'public'"""

LOOKUP = """
SELECT p.prosrc AS source, p.prosecdef AND o.rolsuper AND s.rolsuper AS trusted, p.proconfig AS settings,
       ARRAY(SELECT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(grantee) END
             FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) WHERE grantee <> p.proowner) AS callers,
       ARRAY(SELECT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(grantee) END
             FROM aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) WHERE grantee <> n.nspowner) AS visitors
FROM pg_proc p JOIN pg_roles o ON o.oid = p.proowner
     JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_roles s ON s.oid = n.nspowner
WHERE p.oid = to_regprocedure('pooler.lookup(text)')"""

# No superuser can log in through a pooler, whatever its password.
LOOKUP_SOURCE = """
SELECT rolname::text, rolpassword FROM pg_catalog.pg_authid
WHERE rolname = wanted AND rolcanlogin AND NOT rolsuper AND NOT rolreplication AND NOT rolbypassrls
  AND (rolvaliduntil IS NULL OR rolvaliduntil > pg_catalog.now())
"""
LOOKUP_SETTINGS = ["search_path=pg_catalog, pg_temp"]


@dataclass(frozen=True)
class Step:
    """One change: what it is about, the lines of the diff, and the statements. No statement is ever shown."""

    subject: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    sql: tuple[str, ...] = field(repr=False)
    database: str | None = None  # inside this database, or of the whole server


@dataclass(frozen=True)
class Found:
    """The server as it is."""

    roles: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    databases: dict[str, dict[str, Any]] = field(default_factory=dict)


class Impossible(Exception):
    """What was asked for cannot be reached from what is there."""


def observe(port: int, names: Iterable[str]) -> Found:
    with session(port=port, silent=True) as connection:
        roles = {row["name"]: row for row in rows(connection, ROLES)}
        databases = {row["name"]: row for row in rows(connection, DATABASES)}
    for name in names:
        if name in databases:
            with session(name, port, silent=True) as connection:
                databases[name]["extensions"] = [row["name"] for row in rows(connection, EXTENSIONS)]
                databases[name]["public_creates"] = any(row["granted"] for row in rows(connection, PUBLIC_CREATES))
                databases[name]["lookup"] = next(iter(rows(connection, LOOKUP)), None)
    return Found(roles, databases)


def plan_role(wish: dict[str, Any], found: dict[str, Any] | None) -> Step | None:
    """One step for everything about a role."""
    name = identifier(wish["name"])
    if found and found["superuser"]:
        raise Impossible(
            f"role {wish['name']} is a superuser on this server; postgresql_objects manages none. Choose another name, "
            f"or demote it: ALTER ROLE {name} NOSUPERUSER"
        )
    before: list[str] = []
    after: list[str] = []
    sql: list[str] = [] if found else [f"CREATE ROLE {name}"]

    def compare(label: str, wanted: Any, seen: Any, *statements: str) -> None:
        if wanted != seen:
            if found:
                before.append(f"{label}: {seen}")
            after.append(f"{label}: {wanted}")
            sql.extend(statements)

    seen = found or {}
    for attribute in ATTRIBUTES:
        word = attribute.upper() if wish[attribute] else f"NO{attribute.upper()}"
        compare(attribute, wish[attribute], seen.get(attribute, False), f"ALTER ROLE {name} {word}")
    limit = wish["connection_limit"]
    compare("connection_limit", limit, seen.get("connection_limit", -1), f"ALTER ROLE {name} CONNECTION LIMIT {limit}")

    if wish["password"] is None:
        if seen.get("verifier") is not None:
            before.append("password")
            sql.append(f"ALTER ROLE {name} PASSWORD NULL")
    elif not scram_matches(wish["password"], seen.get("verifier")):
        before.extend(["password: another"] if found else [])
        after.append("password: as configured")
        sql.append(f"ALTER ROLE {name} PASSWORD {literal(scram_verifier(wish['password']))}")

    wanted = {key: str(setting) for key, setting in wish["settings"].items()}
    stored = dict(item.split("=", 1) for item in seen.get("settings", []))
    for key in sorted(wanted.keys() | stored.keys()):
        statement = f"SET {key} TO {literal(wanted[key])}" if key in wanted else f"RESET {key}"
        compare(key, wanted.get(key), stored.get(key), f"ALTER ROLE {name} {statement}")

    groups, joined = set(wish["member_of"]), set(seen.get("member_of", []))
    for group in sorted(groups | joined):
        verb = f"GRANT {identifier(group)} TO" if group in groups else f"REVOKE {identifier(group)} FROM"
        compare(f"member of {group}", group in groups, group in joined, f"{verb} {name}")

    return Step(f"role {wish['name']}", tuple(before), tuple(after), tuple(sql)) if sql else None


def plan_database(wish: dict[str, Any], found: dict[str, Any] | None) -> list[Step]:
    """Steps of the server (create, owner, who may connect), then those inside the database."""
    name, owner = identifier(wish["name"]), identifier(wish["owner"])
    subject = f"database {wish['name']}"
    steps = []
    new = found is None
    if found is None:
        create = f"CREATE DATABASE {name} OWNER {owner} ENCODING {literal(wish['encoding'])} TEMPLATE template0"
        made = (f"owner: {wish['owner']}", f"encoding: {wish['encoding']}")
        steps.append(Step(subject, (), made, (create,)))
        found = {"owner": wish["owner"], "grants": ["PUBLIC:CONNECT", "PUBLIC:TEMPORARY"]}
    elif found["encoding"] != wish["encoding"]:
        raise Impossible(
            f"database {wish['name']} has encoding {found['encoding']}, wanted is {wish['encoding']}: dump and reload "
            "it into a new database, or set its encoding to what it is"
        )
    if found["owner"] != wish["owner"]:
        alter = f"ALTER DATABASE {name} OWNER TO {owner}"
        was, becomes = (f"owner: {found['owner']}",), (f"owner: {wish['owner']}",)
        steps.append(Step(f"owner of {subject}", was, becomes, (alter,)))

    wanted = {f"{role}:CONNECT" for role in wish["connect"] if role != wish["owner"]}
    granted = {grant for grant in found["grants"] if grant.partition(":")[0] != wish["owner"]}
    if wanted != granted:
        sql = [f"REVOKE {grant_sql(grant, name, 'FROM')}" for grant in sorted(granted - wanted)]
        sql += [f"GRANT {grant_sql(grant, name, 'TO')}" for grant in sorted(wanted - granted)]
        before = [] if new else sorted(granted)
        steps.append(Step(f"grants on {subject}", tuple(before), tuple(sorted(wanted)), tuple(sql)))

    return steps + plan_inside(wish, found)


def grant_sql(grant: str, database: str, preposition: str) -> str:
    role, _colon, privilege = grant.partition(":")
    return f"{privilege} ON DATABASE {database} {preposition} {role if role == 'PUBLIC' else identifier(role)}"


def plan_inside(wish: dict[str, Any], found: dict[str, Any]) -> list[Step]:
    database = wish["name"]
    steps = []
    # Postgres 15 and later do so for new databases; one that was upgraded keeps the old grant.
    if found.get("public_creates"):
        revoke = "REVOKE CREATE ON SCHEMA public FROM PUBLIC"
        steps.append(Step(f"schema public in {database}", ("PUBLIC: CREATE",), (), (revoke,), database))
    for extension in wish["extensions"]:
        if extension not in found.get("extensions", []):
            create = f"CREATE EXTENSION IF NOT EXISTS {identifier(extension)}"
            steps.append(Step(f"extension {extension} in {database}", (), (extension,), (create,), database))
    role = wish["auth_query"]
    if role:
        lookup = {
            "source": LOOKUP_SOURCE,
            "trusted": True,
            "settings": LOOKUP_SETTINGS,
            "callers": [role],
            "visitors": [role],
        }
        seen = found.get("lookup")
        if seen != lookup:
            before = ("another definition or other grants",) if seen else ()
            after = (f"pooler.lookup(text), for {role} only",)
            steps.append(Step(f"function pooler.lookup in {database}", before, after, lookup_sql(seen, role), database))
    return steps


def lookup_sql(seen: dict[str, Any] | None, role: str) -> tuple[str, ...]:
    """Drop and create: replacing would keep a foreign owner, and grants that nobody asked for."""
    return (
        "DROP SCHEMA IF EXISTS pooler CASCADE",
        f"CREATE SCHEMA pooler AUTHORIZATION {SUPERUSER}",
        "CREATE FUNCTION pooler.lookup(wanted text) RETURNS TABLE (name text, verifier text) LANGUAGE sql STABLE "
        f"SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $lookup${LOOKUP_SOURCE}$lookup$",
        "REVOKE ALL ON FUNCTION pooler.lookup(text) FROM PUBLIC",
        f"GRANT USAGE ON SCHEMA pooler TO {identifier(role)}",
        f"GRANT EXECUTE ON FUNCTION pooler.lookup(text) TO {identifier(role)}",
    )


def plan(wishes: dict[str, list[dict[str, Any]]], found: Found) -> list[Step]:
    """Everything that leads from what was found to what is wished, in order."""
    role_steps = [plan_role(wish, found.roles.get(wish["name"])) for wish in wishes["roles"]]
    steps = [step for step in role_steps if step]
    for wish in wishes["databases"]:
        steps += plan_database(wish, found.databases.get(wish["name"]))
    return steps


def apply(steps: list[Step], port: int) -> None:
    """Roles in one transaction; databases one by one, as Postgres requires; inside each database one transaction."""
    server = [step for step in steps if step.database is None]
    execute([step for step in server if step.subject.startswith("role ")], "postgres", port)
    execute([step for step in server if not step.subject.startswith("role ")], "postgres", port, autocommit=True)
    for database in dict.fromkeys(step.database for step in steps if step.database):
        execute([step for step in steps if step.database == database], database, port)


def execute(steps: list[Step], database: str, port: int, autocommit: bool = False) -> None:
    if not steps:
        return
    with session(database, port, silent=True, autocommit=autocommit) as connection, connection.cursor() as cursor:
        for step in steps:
            try:
                for statement in step.sql:
                    cursor.execute(statement)
            except psycopg2.Error as error:
                # the rest of the message quotes the statement, which may hold a verifier
                raise Impossible(f"{step.subject}: {error.diag.message_primary}") from None


def diff(steps: list[Step]) -> dict[str, str]:
    def text(side: str) -> str:
        return "".join(f"{step.subject}: {line}\n" for step in steps for line in getattr(step, side))

    return {"before": text("before"), "after": text("after")}


ROLE_SPEC = {
    "name": {"type": "str", "required": True},
    "password": {"type": "str", "no_log": True},
    "login": {"type": "bool", "default": True},
    "createdb": {"type": "bool", "default": False},
    "createrole": {"type": "bool", "default": False},
    "replication": {"type": "bool", "default": False},
    "bypassrls": {"type": "bool", "default": False},
    "connection_limit": {"type": "int", "default": -1},
    "settings": {"type": "dict", "default": {}},
    "member_of": {"type": "list", "elements": "str", "default": []},
}
DATABASE_SPEC = {
    "name": {"type": "str", "required": True},
    "owner": {"type": "str", "required": True},
    "encoding": {"type": "str", "default": "UTF8"},
    "connect": {"type": "list", "elements": "str", "default": []},
    "extensions": {"type": "list", "elements": "str", "default": []},
    "auth_query": {"type": "str"},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "port": {"type": "int", "default": 5432},
            "roles": {"type": "list", "elements": "dict", "default": [], "options": ROLE_SPEC},
            "databases": {"type": "list", "elements": "dict", "default": [], "options": DATABASE_SPEC},
        },
        supports_check_mode=True,
    )
    port = module.params["port"]
    wishes = {kind: module.params[kind] for kind in ("roles", "databases")}
    try:
        unborn = module.check_mode and (psycopg2 is None or not socket_exists(port))
        found = Found() if unborn else observe(port, [wish["name"] for wish in wishes["databases"]])
        steps = plan(wishes, found)
        if not module.check_mode:
            apply(steps, port)
    except (PostgresUnavailable, Impossible, ValueError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(steps), actions=[step.subject for step in steps], diff=diff(steps))


if __name__ == "__main__":
    main()
