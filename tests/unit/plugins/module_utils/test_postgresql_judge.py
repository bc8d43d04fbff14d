# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the checks make of a Postgres server: each row of these tables is one that is right, or wrong in one way."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.airworthy.stack.plugins.module_utils import postgresql_judge as judge
from ansible_collections.airworthy.stack.plugins.module_utils.control import Check

FILE = "/etc/postgresql/17/main/conf.d/airworthy.conf"


def failing(checks: list[Check]) -> list[str]:
    return [f"{check.subject}: {check.observed}" for check in checks if not check.ok]


# --- db.settings

SAME = [
    # as configured, as in pg_settings, its unit, its type
    ("256MB", "32768", "8kB", "integer"),
    ("1GB", "131072", "8kB", "integer"),
    ("16MB", "2048", "8kB", "integer"),
    ("4096kB", "4096", "kB", "integer"),
    ("30s", "30000", "ms", "integer"),
    (500, "500", "ms", "integer"),
    (-1, "-1", "ms", "integer"),
    (0.9, "0.9", None, "real"),
    (4.0, "4", None, "real"),
    (100, "100", None, "integer"),
    (True, "on", None, "bool"),
    ("yes", "on", None, "bool"),
    (False, "off", None, "bool"),
    (True, "on", None, "enum"),
    ("try", "try", None, "enum"),
    ("TLSv1.2", "TLSv1.2", None, "enum"),
    ("pg_stat_statements, auto_explain", "pg_stat_statements,auto_explain", None, "string"),
]
DIFFERENT = [
    ("256MB", "16384", "8kB", "integer"),
    ("30s", "30", "ms", "integer"),
    (0.9, "0.5", None, "real"),
    (True, "off", None, "bool"),
    ("scram-sha-256", "md5", None, "enum"),
    ("app", "App", None, "string"),
]


@pytest.mark.parametrize(("wanted", "setting", "unit", "vartype"), SAME)
def test_a_setting_is_the_same_in_whatever_unit_it_is_written(
    wanted: Any, setting: str, unit: str | None, vartype: str
) -> None:
    assert judge.same(wanted, {"setting": setting, "unit": unit, "vartype": vartype})


@pytest.mark.parametrize(("wanted", "setting", "unit", "vartype"), DIFFERENT)
def test_another_value_is_not_the_same(wanted: Any, setting: str, unit: str | None, vartype: str) -> None:
    assert not judge.same(wanted, {"setting": setting, "unit": unit, "vartype": vartype})


def test_a_unit_that_postgres_does_not_know_is_not_guessed() -> None:
    with pytest.raises(ValueError, match="'XB' is no unit"):
        judge.same("12XB", {"setting": "1", "unit": "kB", "vartype": "integer"})


def setting(**changes: Any) -> dict[str, Any]:
    row = {
        "name": "work_mem", "setting": "4096", "unit": "kB", "vartype": "integer", "sourcefile": FILE,
        "pending_restart": False, "shown": "4MB",
    }  # fmt: skip
    return {**row, **changes}


SETTINGS = [
    ("as configured", [setting()], []),
    ("another value", [setting(setting="1024", shown="1MB")], ["work_mem: 1MB"]),
    (
        "by ALTER SYSTEM",
        [setting(sourcefile="/var/lib/postgresql/17/main/postgresql.auto.conf")],
        ["work_mem: 4MB, set by /var/lib/postgresql/17/main/postgresql.auto.conf"],
    ),
    ("by default only", [setting(sourcefile=None)], ["work_mem: 4MB, set by no file"]),
    ("of a library that is not loaded", [], ["work_mem: the server does not know it"]),
    (
        "not in force before a restart",
        [setting(), setting(name="port", pending_restart=True)],
        ["settings that wait for a restart: port"],
    ),
]


@pytest.mark.parametrize(("story", "rows", "faults"), SETTINGS, ids=[row[0] for row in SETTINGS])
def test_settings(story: str, rows: list[dict[str, Any]], faults: list[str]) -> None:
    assert failing(judge.judge_settings({"work_mem": "4MB"}, rows, FILE)) == faults


# --- db.indexes

KEY = {"table": "child", "name": "child_a_b_fkey", "columns": [2, 3], "column_names": ["a", "b"]}
SINGLE = {**KEY, "columns": [2], "column_names": ["a"]}


def index(**changes: Any) -> dict[str, Any]:
    row = {
        "table": "child", "name": "child_idx", "columns": [2, 3], "method": "btree", "valid": True, "unique": False,
        "constraint": False, "predicate": None, "shape": "btree|2 3",
    }  # fmt: skip
    return {**row, **changes}


USABLE = [
    ("the same columns", KEY, index(), True),
    ("the same columns in another order", KEY, index(columns=[3, 2]), True),
    ("more columns behind", KEY, index(columns=[3, 2, 7]), True),
    ("another column in front", KEY, index(columns=[7, 2, 3]), False),
    ("another column between", KEY, index(columns=[2, 7, 3]), False),
    ("only one of its columns", KEY, index(columns=[2]), False),
    ("an expression", SINGLE, index(columns=[0]), False),
    ("of another table", KEY, index(table="other"), False),
    ("invalid", KEY, index(valid=False), False),
    ("a hash of the one column", SINGLE, index(columns=[2], method="hash"), True),
    ("a GIN index", SINGLE, index(columns=[2], method="gin"), False),
    ("without the nulls", SINGLE, index(columns=[2], predicate="(a IS NOT NULL)"), True),
    ("without the nulls of both", KEY, index(predicate="((a IS NOT NULL) AND (b IS NOT NULL))"), True),
    ("of a part of the rows", SINGLE, index(columns=[2], predicate="(deleted IS NULL)"), False),
    ("of a part, and without nulls", SINGLE, index(columns=[2], predicate="((a IS NOT NULL) AND (b > 0))"), False),
]


@pytest.mark.parametrize(("story", "key", "candidate", "usable"), USABLE, ids=[row[0] for row in USABLE])
def test_an_index_serves_a_foreign_key(story: str, key: Any, candidate: Any, usable: bool) -> None:
    assert judge.usable(candidate, key) is usable


DUPLICATES = [
    ("all different", [index(), index(name="other", shape="btree|3")], []),
    ("two alike", [index(name="a"), index(name="b")], ["b (like a)"]),
    ("the primary key stays", [index(name="a"), index(name="z", constraint=True, unique=True)], ["a (like z)"]),
    ("the unique one stays", [index(name="a"), index(name="z", unique=True)], ["a (like z)"]),
    ("alike, of two tables", [index(name="a"), index(name="b", table="other")], []),
]


@pytest.mark.parametrize(("story", "indexes", "found"), DUPLICATES, ids=[row[0] for row in DUPLICATES])
def test_duplicates(story: str, indexes: list[Any], found: list[str]) -> None:
    assert judge.duplicates(indexes) == found


def table(**changes: Any) -> dict[str, Any]:
    return {"table": "child", "rows": 50_000, "seq_scan": 500, "idx_scan": 100, **changes}


HOT = [
    ("large and mostly read in full", table(), ["child (500 times)"]),
    ("small", table(rows=500), []),
    ("rarely", table(seq_scan=20, idx_scan=0), []),
    ("mostly by index", table(idx_scan=5000), []),
]


@pytest.mark.parametrize(("story", "row", "found"), HOT, ids=[row[0] for row in HOT])
def test_hot_sequential_scans(story: str, row: Any, found: list[str]) -> None:
    checks = judge.judge_indexes({"foreign_keys": [], "indexes": [], "tables": [row]}, 10_000, 100)
    assert [check.observed for check in checks if not check.ok] == found


def test_foreign_keys_without_an_index_are_named() -> None:
    observed = {"foreign_keys": [KEY], "indexes": [index(columns=[3])], "tables": []}
    (fault,) = failing(judge.judge_indexes(observed, 10_000, 100))
    assert fault == "foreign keys without a usable index, of 1: child(a, b)"


# --- db.queries

LIMITS = {"mean_ms": 100, "p95_ms": 500, "minimum_calls": 20, "hit_ratio": 0.95, "hit_ratio_minimum_reads": 1000}


def statement(**changes: Any) -> dict[str, Any]:
    return {"query": "SELECT $1", "calls": 50, "mean_ms": 10.0, "deviation_ms": 5.0, **changes}


QUERIES = [
    ("quick", statement(), 9500, 500, 0),
    ("slow on average", statement(mean_ms=101.0), 9500, 500, 1),
    ("slow at times", statement(mean_ms=99.0, deviation_ms=250.0), 9500, 500, 1),
    ("just within", statement(mean_ms=88.7, deviation_ms=250.0), 9500, 500, 0),
    ("slow, but rare", statement(mean_ms=9000.0, calls=19), 9500, 500, 0),
    ("read from disk too often", statement(), 9400, 600, 1),
    ("read from disk, but hardly at all", statement(), 10, 600, 0),
]


@pytest.mark.parametrize(("story", "row", "hit", "read", "faults"), QUERIES, ids=[row[0] for row in QUERIES])
def test_queries(story: str, row: Any, hit: int, read: int, faults: int) -> None:
    observed = {"statements": [row], "blocks_hit": hit, "blocks_read": read}
    assert len(failing(judge.judge_queries(observed, LIMITS))) == faults


# --- db.monitoring

MONITORED = {
    "probe_calls": (3, 4), "libraries": ["pg_stat_statements", "auto_explain"], "track_io_timing": "on",
    "log_min_duration_ms": 500, "exporter_statements": 40, "exporter_hidden": 0,
}  # fmt: skip
MONITORING = [
    ("as it shall be", {}, []),
    ("a library is not loaded", {"libraries": ["pg_stat_statements"]}, ["library auto_explain: not loaded"]),
    ("nothing is counted", {"probe_calls": (4, 4)}, ["a statement that was just run: 0 calls more"]),
    ("no timing of reads", {"track_io_timing": "off"}, ["track_io_timing: off"]),
    (
        "slow statements are not logged",
        {"log_min_duration_ms": -1},
        ["log_min_duration_statement, in a session of the application: off"],
    ),
    (
        "only very slow ones are",
        {"log_min_duration_ms": 9000},
        ["log_min_duration_statement, in a session of the application: 9000 ms"],
    ),
    (
        "the exporter sees no texts",
        {"exporter_hidden": 12},
        ["statements that the exporter sees: 40, 12 of them without text"],
    ),
    (
        "the exporter sees nothing",
        {"exporter_statements": 0},
        ["statements that the exporter sees: 0, 0 of them without text"],
    ),
]


@pytest.mark.parametrize(("story", "changes", "faults"), MONITORING, ids=[row[0] for row in MONITORING])
def test_monitoring(story: str, changes: dict[str, Any], faults: list[str]) -> None:
    assert failing(judge.judge_monitoring({**MONITORED, **changes}, 500)) == faults


# --- id.db_auth


def rule(number: int, **changes: Any) -> dict[str, Any]:
    row = {
        "line_number": number, "type": "hostssl", "database": ["all"], "user_name": ["all"], "address": "127.0.0.1",
        "netmask": "255.255.255.255", "auth_method": "scram-sha-256", "error": None,
    }  # fmt: skip
    return {**row, **changes}


SOCKET = rule(1, type="local", user_name=["postgres"], address=None, netmask=None, auth_method="peer")
NO_SUPERUSER = rule(2, type="host", user_name=["postgres"], address="all", netmask=None, auth_method="reject")
LOOPBACK = rule(3)
OURS = [SOCKET, NO_SUPERUSER, LOOPBACK]
POSTGRES = {"name": "postgres", "superuser": True, "kind": "none", "groups": []}
APP = {"name": "app", "superuser": False, "kind": "scram-sha-256", "groups": []}

RULES = [
    ("ours", OURS, [POSTGRES, APP], []),
    (
        "trust",
        [*OURS, rule(4, auth_method="trust")],
        [POSTGRES],
        ["rules without a sound method (peer, scram-sha-256, cert): line 4: trust"],
    ),
    (
        "md5 on the socket",
        [*OURS, rule(4, type="local", address=None, netmask=None, auth_method="md5")],
        [POSTGRES],
        ["rules without a sound method (peer, scram-sha-256, cert): line 4: md5"],
    ),
    (
        "plain text from elsewhere",
        [*OURS, rule(4, type="host", address="10.0.0.0", netmask="255.0.0.0")],
        [POSTGRES],
        ["rules that let other hosts in without TLS: line 4"],
    ),
    ("plain text on the loopback", [*OURS, rule(4, type="host")], [POSTGRES], []),
    ("plain text on IPv6's", [*OURS, rule(4, type="host", address="::1", netmask=":".join(["ffff"] * 8))], [], []),
    (
        "the loopback's address, but everybody's mask",
        [*OURS, rule(4, type="host", netmask="0.0.0.0")],  # noqa: S104
        [POSTGRES],
        ["rules that let other hosts in without TLS: line 4"],
    ),
    (
        "plain text by host name",
        [*OURS, rule(4, type="host", address="web1.example.org", netmask=None)],
        [POSTGRES],
        ["rules that let other hosts in without TLS: line 4"],
    ),
    ("plain text refused", [rule(0, type="hostnossl", address="all", auth_method="reject"), *OURS], [], []),
    (
        "a superuser may come over TCP",
        [SOCKET, LOOPBACK, NO_SUPERUSER],
        [POSTGRES],
        ["superusers that may log in over TCP: postgres (line 3)"],
    ),
    (
        "another superuser",
        OURS,
        [POSTGRES, {**POSTGRES, "name": "root"}],
        ["superusers that may log in over TCP: root (line 3)"],
    ),
    (
        "a superuser as a member of a group",
        [NO_SUPERUSER, rule(4, user_name=["+admins"])],
        [{**POSTGRES, "name": "kim", "groups": ["admins"]}],
        ["superusers that may log in over TCP: kim (line 4)"],
    ),
    (
        "a reject of some addresses only",
        [{**NO_SUPERUSER, "address": "10.0.0.0", "netmask": "255.0.0.0"}, LOOPBACK],
        [POSTGRES],
        ["superusers that may log in over TCP: postgres (line 3)"],
    ),
    ("a mistake", [*OURS, rule(9, error="invalid mask")], [], ["mistakes in pg_hba.conf: line 9: invalid mask"]),
]


@pytest.mark.parametrize(("story", "rules", "roles", "faults"), RULES, ids=[row[0] for row in RULES])
def test_rules(story: str, rules: list[Any], roles: list[Any], faults: list[str]) -> None:
    observed = {"rules": rules, "roles": roles, "rules_changed_at": 100.0, "loaded_at": 200.0}
    assert failing(judge.judge_rules(observed)) == faults


def test_rules_that_are_not_loaded_yet_prove_nothing() -> None:
    observed = {"rules": OURS, "roles": [POSTGRES], "rules_changed_at": 300.0, "loaded_at": 200.0}
    assert failing(judge.judge_rules(observed)) == ["pg_hba.conf: changed since it was loaded"]


AUTH = {
    "roles": [POSTGRES, APP], "rules": OURS, "rules_changed_at": 1.0, "loaded_at": 2.0, "ssl": "on",
    "password_encryption": "scram-sha-256", "attempts": [],
}  # fmt: skip
SERVERS = [
    ("sound", {}, []),
    ("without TLS", {"ssl": "off"}, ["ssl: off"]),
    ("new passwords as md5", {"password_encryption": "md5"}, ["password_encryption: md5"]),
    (
        "an old password as md5",
        {"roles": [POSTGRES, {**APP, "kind": "md5"}]},
        ["login roles whose password is not stored as scram-sha-256, of 2: app (md5)"],
    ),
]


@pytest.mark.parametrize(("story", "changes", "faults"), SERVERS, ids=[row[0] for row in SERVERS])
def test_servers(story: str, changes: dict[str, Any], faults: list[str]) -> None:
    assert failing(judge.judge_auth({**AUTH, **changes})) == faults


ATTEMPTS = [
    ("let in, as meant", "let in", None, True),
    ("refused, though it is right", "let in", "FATAL: password authentication failed", False),
    ("refused, for the reason that was meant", "refused", "FATAL: password authentication failed", True),
    ("not refused, but unreachable", "refused", "connection refused: is the server running?", False),
    ("let in with the wrong password", "refused", None, False),
]


@pytest.mark.parametrize(("story", "wanted", "error", "ok"), ATTEMPTS, ids=[row[0] for row in ATTEMPTS])
def test_attempts_to_log_in(story: str, wanted: str, error: str | None, ok: bool) -> None:
    attempt = {"subject": "a client", "wanted": wanted, "error": error, "reasons": ["password authentication failed"]}
    (check,) = judge.judge_attempts([attempt])
    assert check.ok is ok
