# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From a server as it is to the roles and databases that are wished, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.airworthy.stack.plugins.module_utils.postgresql import scram_verifier
from ansible_collections.airworthy.stack.plugins.modules.postgresql_objects import (
    LOOKUP_SETTINGS,
    LOOKUP_SOURCE,
    Found,
    Impossible,
    diff,
    plan,
    plan_database,
    plan_role,
)

SECRET = "correct horse"


def role_wish(**changes: Any) -> dict[str, Any]:
    wish = {
        "name": "app", "password": SECRET, "login": True, "createdb": False, "createrole": False,
        "replication": False, "bypassrls": False, "connection_limit": -1, "settings": {}, "member_of": [],
    }  # fmt: skip
    return {**wish, **changes}


def role_found(**changes: Any) -> dict[str, Any]:
    found = {
        "name": "app", "verifier": scram_verifier(SECRET), "login": True, "createdb": False, "createrole": False,
        "replication": False, "bypassrls": False, "superuser": False, "connection_limit": -1, "settings": [],
        "member_of": [],
    }  # fmt: skip
    return {**found, **changes}


def database_wish(**changes: Any) -> dict[str, Any]:
    wish = {
        "name": "app", "owner": "app", "encoding": "UTF8", "connect": ["exporter"], "extensions": [],
        "auth_query": None,
    }  # fmt: skip
    return {**wish, **changes}


def database_found(**changes: Any) -> dict[str, Any]:
    found = {
        "name": "app", "owner": "app", "encoding": "UTF8", "grants": ["exporter:CONNECT"],
        "extensions": ["plpgsql"], "public_creates": False, "lookup": None,
    }  # fmt: skip
    return {**found, **changes}


def test_a_role_as_wished_needs_no_step() -> None:
    assert plan_role(role_wish(), role_found()) is None


ROLE_CHANGES = [
    # wished, found, statement
    ({"login": False}, {}, 'ALTER ROLE "app" NOLOGIN'),
    ({}, {"createdb": True}, 'ALTER ROLE "app" NOCREATEDB'),
    ({}, {"bypassrls": True}, 'ALTER ROLE "app" NOBYPASSRLS'),
    ({"replication": True}, {}, 'ALTER ROLE "app" REPLICATION'),
    ({"connection_limit": 10}, {}, 'ALTER ROLE "app" CONNECTION LIMIT 10'),
    ({"settings": {"statement_timeout": "30s"}}, {}, "ALTER ROLE \"app\" SET statement_timeout TO '30s'"),
    ({}, {"settings": ["statement_timeout=5s"]}, 'ALTER ROLE "app" RESET statement_timeout'),
    ({"member_of": ["pg_monitor"]}, {}, 'GRANT "pg_monitor" TO "app"'),
    ({}, {"member_of": ["pg_write_all_data"]}, 'REVOKE "pg_write_all_data" FROM "app"'),
    ({"password": None}, {}, 'ALTER ROLE "app" PASSWORD NULL'),
]


@pytest.mark.parametrize(("wished", "found", "statement"), ROLE_CHANGES)
def test_each_difference_of_a_role_is_one_statement(
    wished: dict[str, Any], found: dict[str, Any], statement: str
) -> None:
    step = plan_role(role_wish(**wished), role_found(**found))
    assert step is not None
    assert step.sql == (statement,)


PASSWORDS = [
    ("changed", {"verifier": scram_verifier("another")}),
    ("still md5", {"verifier": "md5b1b2"}),
    ("without one so far", {"verifier": None}),
]


@pytest.mark.parametrize(("story", "found"), PASSWORDS, ids=[story for story, _ in PASSWORDS])
def test_a_password_is_set_as_a_verifier_and_never_shown(story: str, found: dict[str, Any]) -> None:
    step = plan_role(role_wish(), role_found(**found))
    assert step is not None
    (statement,) = step.sql
    assert statement.startswith("ALTER ROLE \"app\" PASSWORD 'SCRAM-SHA-256$4096:")
    assert SECRET not in statement
    shown = f"{step} {diff([step])}"
    assert "SCRAM-SHA-256" not in shown
    assert SECRET not in shown


def test_a_new_role_is_made_with_everything_it_needs() -> None:
    step = plan_role(role_wish(settings={"statement_timeout": "30s"}, member_of=["pg_monitor"]), None)
    assert step is not None
    assert step.sql[:2] == ('CREATE ROLE "app"', 'ALTER ROLE "app" LOGIN')
    assert step.before == ()
    assert step.after == (
        "login: True", "password: as configured", "statement_timeout: 30s", "member of pg_monitor: True",
    )  # fmt: skip


def test_a_superuser_is_never_taken_over() -> None:
    with pytest.raises(Impossible, match=r'role app is a superuser .* ALTER ROLE "app" NOSUPERUSER'):
        plan_role(role_wish(), role_found(superuser=True))


def test_a_database_as_wished_needs_no_step() -> None:
    assert plan_database(database_wish(), database_found()) == []


DATABASE_CHANGES = [
    ({}, {"owner": "someone"}, None, 'ALTER DATABASE "app" OWNER TO "app"'),
    ({}, {"grants": ["exporter:CONNECT", "PUBLIC:CONNECT"]}, None, 'REVOKE CONNECT ON DATABASE "app" FROM PUBLIC'),
    ({}, {"grants": ["exporter:CONNECT", "x:CREATE"]}, None, 'REVOKE CREATE ON DATABASE "app" FROM "x"'),
    ({"connect": ["exporter", "report"]}, {}, None, 'GRANT CONNECT ON DATABASE "app" TO "report"'),
    ({"extensions": ["citext"]}, {}, "app", 'CREATE EXTENSION IF NOT EXISTS "citext"'),
    ({}, {"public_creates": True}, "app", "REVOKE CREATE ON SCHEMA public FROM PUBLIC"),
]


@pytest.mark.parametrize(("wished", "found", "inside", "statement"), DATABASE_CHANGES)
def test_each_difference_of_a_database_is_one_statement(
    wished: dict[str, Any], found: dict[str, Any], inside: str | None, statement: str
) -> None:
    (step,) = plan_database(database_wish(**wished), database_found(**found))
    assert step.sql == (statement,)
    assert step.database == inside


def test_the_owner_needs_no_grant_and_loses_none() -> None:
    assert plan_database(database_wish(connect=["app", "exporter"]), database_found()) == []


def test_an_encoding_that_cannot_be_changed_says_what_to_do() -> None:
    with pytest.raises(Impossible, match="has encoding SQL_ASCII, wanted is UTF8: dump and reload"):
        plan_database(database_wish(), database_found(encoding="SQL_ASCII"))


SOUND_LOOKUP = {
    "source": LOOKUP_SOURCE, "trusted": True, "settings": LOOKUP_SETTINGS, "callers": ["pooler"],
    "visitors": ["pooler"],
}  # fmt: skip
LOOKUPS = [
    ("as wished", SOUND_LOOKUP, 0),
    ("not there", None, 1),
    ("another source", {**SOUND_LOOKUP, "source": "SELECT 1"}, 1),
    ("owned by somebody who is no superuser", {**SOUND_LOOKUP, "trusted": False}, 1),
    ("a search_path that can be bent", {**SOUND_LOOKUP, "settings": None}, 1),
    ("open to everybody", {**SOUND_LOOKUP, "callers": ["PUBLIC", "pooler"]}, 1),
]


@pytest.mark.parametrize(("story", "lookup", "steps"), LOOKUPS, ids=[story for story, _, _ in LOOKUPS])
def test_the_poolers_lookup_is_made_anew_unless_it_is_sound(story: str, lookup: Any, steps: int) -> None:
    found = database_found(lookup=lookup)
    assert len(plan_database(database_wish(auth_query="pooler"), found)) == steps


def test_the_lookup_finds_nobody_with_special_powers() -> None:
    for condition in ("NOT rolsuper", "NOT rolreplication", "NOT rolbypassrls", "rolvaliduntil > pg_catalog.now()"):
        assert condition in LOOKUP_SOURCE


def test_on_an_empty_server_everything_is_predicted_in_the_order_in_which_it_is_made() -> None:
    wishes = {
        "roles": [role_wish(), role_wish(name="exporter")],
        "databases": [database_wish(extensions=["citext"], auth_query="exporter")],
    }
    assert [step.subject for step in plan(wishes, Found())] == [
        "role app",
        "role exporter",
        "database app",
        "grants on database app",
        "extension citext in app",
        "function pooler.lookup in app",
    ]


def test_the_diff_of_a_new_database_begins_with_nothing() -> None:
    steps = plan({"roles": [], "databases": [database_wish()]}, Found())
    assert diff(steps) == {
        "before": "",
        "after": "database app: owner: app\ndatabase app: encoding: UTF8\ngrants on database app: exporter:CONNECT\n",
    }
