# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Rules about PostgreSQL and its pooler. See rules.py for what a rule is."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Any

from . import shapes

Values = Mapping[str, Any]

# PostgreSQL keeps three for superusers; roles/postgresql grants ten to the pooler's look-ups and five to the exporter.
CONNECTIONS_RESERVED = 3 + 10 + 5
RESERVED_ROLES = {"postgres", "exporter", "pooler_auth", "public"}
RESERVED_DATABASES = {"postgres", "template0", "template1"}
SETTING = re.compile(r"[a-z_]+(\.[a-z_]+)?")
NUMBER_AND_UNIT = re.compile(r"([0-9.]+)\s*([A-Za-z]+)")
UNITS = ("B", "kB", "MB", "GB", "TB", "us", "ms", "s", "min", "h", "d")

# Settings that other roles have to know, too.
SETTINGS_WITH_A_VARIABLE = {
    "postgresql_settings": {
        "max_connections": "postgresql_max_connections",
        "port": "airworthy_database_port",
        "archive_timeout": "backup_archive_timeout",
    },
    "pgbouncer_settings": {
        "default_pool_size": "pgbouncer_default_pool_size",
        "max_db_connections": "pgbouncer_default_pool_size",
        "min_pool_size": "pgbouncer_min_pool_size",
        "max_client_conn": "pgbouncer_max_client_connections",
        "listen_port": "airworthy_pooler_port",
    },
}


def pool_fits_the_database(values: Values) -> Iterator[str]:
    """Every connection of the pool has to find a place in PostgreSQL, and some stay for others."""
    pool, limit = values.get("pgbouncer_default_pool_size"), values.get("postgresql_max_connections")
    if pool and limit and pool > (most := limit - CONNECTIONS_RESERVED):
        yield (
            f"pgbouncer_default_pool_size is {pool}, but postgresql_max_connections is {limit}, and "
            f"{CONNECTIONS_RESERVED} of them stay for others; write at most {most}, or raise postgresql_max_connections"
        )


def pool_minimum_is_the_lesser(values: Values) -> Iterator[str]:
    """A pool that keeps more connections open than it may have."""
    least, most = values.get("pgbouncer_min_pool_size"), values.get("pgbouncer_default_pool_size")
    if least and most and least > most:
        yield f"pgbouncer_min_pool_size is {least}, over pgbouncer_default_pool_size, {most}; write at most {most}"


def clients_outnumber_the_pool(values: Values) -> Iterator[str]:
    """A pooler that admits fewer clients than it has connections can't use them."""
    clients, pool = values.get("pgbouncer_max_client_connections"), values.get("pgbouncer_default_pool_size")
    if clients and pool and clients < pool:
        yield (
            f"pgbouncer_max_client_connections is {clients}, but pgbouncer_default_pool_size is {pool}; "
            f"write at least {pool}"
        )


def mean_is_below_p95(values: Values) -> Iterator[str]:
    """The limit of the average would never be the one that counts."""
    mean, p95 = values.get("postgresql_query_mean_limit_ms"), values.get("postgresql_query_p95_limit_ms")
    if mean and p95 and mean > p95:
        yield f"postgresql_query_mean_limit_ms is {mean}, over postgresql_query_p95_limit_ms; write at most {p95}"


def names_are_free(values: Values) -> Iterator[str]:
    """Superusers, login roles of the collection, and PostgreSQL's own databases are not the application's."""
    user, database = values.get("airworthy_database_user"), values.get("airworthy_database_name")
    if user in RESERVED_ROLES:
        yield f"airworthy_database_user is {user!r}, which is taken; write a role of the application's own, as in app"
    if database in RESERVED_DATABASES:
        yield f"airworthy_database_name is {database!r}, which is PostgreSQL's own; write another one, as in app"


def objects_are_named_once(values: Values) -> Iterator[str]:
    """Names of roles and databases are identifiers, and each is declared in one place."""
    taken = {
        "postgresql_roles": {*RESERVED_ROLES, values.get("airworthy_database_user")},
        "postgresql_databases": {*RESERVED_DATABASES, values.get("airworthy_database_name")},
    }
    for variable, names in taken.items():
        for position, entry in enumerate(values.get(variable) or []):
            where = f"{variable}[{position}].name"
            if wrong := shapes.identifier(entry["name"]):
                yield f"{where} is {entry['name']!r}; {wrong}"
            elif entry["name"] in names:
                yield f"{where} is {entry['name']!r}, which is declared already; write another name"
            names.add(entry["name"])


def databases_have_owners(values: Values) -> Iterator[str]:
    """The owner of a database is a role that exists."""
    roles = {entry["name"] for entry in values.get("postgresql_roles") or []}
    known = roles | {values.get("airworthy_database_user")}
    for position, entry in enumerate(values.get("postgresql_databases") or []):
        if entry["owner"] not in known:
            yield (
                f"postgresql_databases[{position}].owner is {entry['owner']!r}, which is no role; "
                "declare it in postgresql_roles"
            )


def the_world_stays_out(values: Values) -> Iterator[str]:
    """Who is let in over the network has an address, and is no superuser."""
    for position, entry in enumerate(values.get("postgresql_hba") or []):
        where = f"postgresql_hba[{position}]"
        if wrong := shapes.network(entry["address"]):
            yield f"{where}.address is {entry['address']!r}; {wrong}"
        elif "/" not in entry["address"]:
            yield f"{where}.address is {entry['address']!r}; write a network, as in {entry['address']}/32"
        elif ipaddress.ip_network(entry["address"]).prefixlen == 0:
            yield f"{where}.address is {entry['address']!r}, which is the world; write the network of the clients"
        if "postgres" in entry["users"]:
            yield f"{where}.users has 'postgres', a superuser, who logs in on the server only; write other roles"


def settings_are_well_formed(values: Values) -> Iterator[str]:
    """A misspelt unit keeps a server from starting."""
    for name, value in (values.get("postgresql_settings") or {}).items():
        where = f"postgresql_settings.{name}"
        if not SETTING.fullmatch(str(name)):
            yield f"postgresql_settings has {name!r}; write names as in postgresql.conf, as in work_mem"
        elif value is None or isinstance(value, list | Mapping):
            yield f"{where} is {value!r}; write one value, as in postgresql.conf"
        elif (parts := NUMBER_AND_UNIT.fullmatch(str(value))) and (
            parts[2] not in UNITS or f"{parts[1]}{parts[2]}" != str(value)
        ):
            unit = next((unit for unit in UNITS if unit.lower() == parts[2].lower()), "MB")
            yield f"{where} is {str(value)!r}; write the number and PostgreSQL's unit, as in {parts[1]}{unit}"


def settings_go_by_their_variables(values: Values) -> Iterator[str]:
    """What more than one place has to know is set by the variable that all of them read."""
    for variable, names in SETTINGS_WITH_A_VARIABLE.items():
        for name in values.get(variable) or {}:
            if name in names:
                yield f"{variable} has {name}; write it as {names[name]}, which other settings follow"


RULES = (
    pool_fits_the_database,
    pool_minimum_is_the_lesser,
    clients_outnumber_the_pool,
    mean_is_below_p95,
    names_are_free,
    objects_are_named_once,
    databases_have_owners,
    the_world_stays_out,
    settings_are_well_formed,
    settings_go_by_their_variables,
)
