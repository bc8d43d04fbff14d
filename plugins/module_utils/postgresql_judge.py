# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is right and what is wrong about a Postgres server: pure functions from what was observed to checks."""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.airworthy.stack.plugins.module_utils.control import Check

Row = Mapping[str, Any]

FACTORS = {
    # bytes, and milliseconds
    **{"B": 1, "kB": 1024, "MB": 1024**2, "GB": 1024**3, "TB": 1024**4},
    **{"us": 0.001, "ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000},
}
TRUE = {"on", "true", "yes", "1"}
SOUND_METHODS = {"peer", "scram-sha-256", "cert", "reject"}
SOUND_PASSWORDS = {"scram-sha-256", "none"}  # none: no password lets this role in
P95_DEVIATIONS = 1.645  # of a normal distribution; statement times are skewed, so this is an estimate


def at_most(subject: str, names: Iterable[str], limit: int = 0) -> Check:
    """A list that should be empty, or short; the first few of it are named."""
    found = list(names)
    shown = ", ".join(found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
    return Check(subject, "none" if limit == 0 else f"at most {limit}", shown or "none", len(found) <= limit)


# --- db.settings


def written(value: Any) -> str:
    """A value as it stands in postgresql.conf."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value).strip()


def comparable(value: Any, unit: str | None, vartype: str) -> Any:
    """A setting as a value of its own type, whatever unit it was written in: 256MB equals 32768 of 8kB."""
    text = written(value)
    if vartype == "bool":
        return text.lower() in TRUE
    if vartype in ("integer", "real"):
        match = re.fullmatch(r"([-+]?[0-9.]+)\s*([A-Za-z]*)", text)
        if match is None:
            return text
        return float(match[1]) * factor(match[2] or unit or "")
    return re.sub(r"\s*,\s*", ",", text.lower() if vartype == "enum" else text)


def factor(unit: str) -> float:
    """Of a unit such as MB, or of one of Postgres' own such as 8kB."""
    match = re.fullmatch(r"(\d*)([A-Za-z]*)", unit)
    if match is None or (match[2] and match[2] not in FACTORS):
        raise ValueError(f"{unit!r} is no unit of Postgres")
    return float(match[1] or 1) * FACTORS.get(match[2], 1)


def same(wanted: Any, row: Row) -> bool:
    expected = comparable(wanted, row["unit"], row["vartype"])
    observed = comparable(row["setting"], row["unit"], row["vartype"])
    if isinstance(expected, float) and isinstance(observed, float):
        return math.isclose(expected, observed, rel_tol=1e-6)
    return bool(expected == observed)


def judge_settings(wanted: Mapping[str, Any], rows: Iterable[Row], file: str) -> list[Check]:
    """Every setting has its value, from our file, and nothing waits for a restart."""
    found = {row["name"]: row for row in rows}
    checks = []
    for name, value in sorted(wanted.items()):
        text = written(value)
        row = found.get(name)
        if row is None:
            checks.append(Check(name, text, "the server does not know it", False))
            continue
        source = row["sourcefile"] or "no file"
        ok = same(text, row) and source == file
        observed = row["shown"] if source == file else f"{row['shown']}, set by {source}"
        checks.append(Check(name, text, observed, ok))
    return [*checks, at_most("settings that wait for a restart", [n for n, r in found.items() if r["pending_restart"]])]


# --- db.indexes


def usable(index: Row, key: Row) -> bool:
    """Whether an index finds the rows of a foreign key: its leading columns are those of the key, in any order."""
    columns = list(key["columns"])
    if not index["valid"] or index["table"] != key["table"]:
        return False
    if index["method"] != "btree" and not (index["method"] == "hash" and len(columns) == 1):
        return False
    return set(index["columns"][: len(columns)]) == set(columns) and covers(index["predicate"], key["column_names"])


def covers(predicate: str | None, names: Iterable[str]) -> bool:
    """A partial index serves a foreign key only if all it leaves out are nulls of the key."""
    if predicate is None:
        return True
    conditions = predicate.replace("(", "").replace(")", "").split(" AND ")
    return set(conditions) <= {f"{name} IS NOT NULL" for name in names}


def duplicates(indexes: Iterable[Row]) -> list[str]:
    """Indexes that do nothing another one does not; of two alike, the one that enforces something stays."""
    kept: dict[tuple[str, str], str] = {}
    found = []
    for index in sorted(indexes, key=lambda row: (not row["constraint"], not row["unique"], row["name"])):
        shape = (index["table"], index["shape"])
        if shape in kept:
            found.append(f"{index['name']} (like {kept[shape]})")
        kept.setdefault(shape, index["name"])
    return found


def judge_indexes(observed: Mapping[str, Sequence[Row]], large_table_rows: int, hot_table_scans: int) -> list[Check]:
    keys, indexes = observed["foreign_keys"], observed["indexes"]
    bare = [key for key in keys if not any(usable(index, key) for index in indexes)]
    hot = [
        table
        for table in observed["tables"]
        if table["rows"] >= large_table_rows
        and table["seq_scan"] >= hot_table_scans
        and table["seq_scan"] > table["idx_scan"]
    ]
    named = [f"{key['table']}({', '.join(key['column_names'])})" for key in bare]
    return [
        at_most(f"foreign keys without a usable index, of {len(keys)}", named),
        at_most(f"invalid indexes, of {len(indexes)}", [index["name"] for index in indexes if not index["valid"]]),
        at_most("duplicate indexes", duplicates(indexes)),
        at_most(
            f"tables of {large_table_rows} rows or more that are mostly read in full",
            [f"{table['table']} ({table['seq_scan']} times)" for table in hot],
        ),
    ]


# --- db.queries


def p95(statement: Row) -> float:
    return float(statement["mean_ms"]) + P95_DEVIATIONS * float(statement["deviation_ms"])


def judge_queries(observed: Mapping[str, Any], limits: Mapping[str, Any]) -> list[Check]:
    judged = [row for row in observed["statements"] if row["calls"] >= limits["minimum_calls"]]
    slow = [row for row in judged if row["mean_ms"] > limits["mean_ms"]]
    slow_tail = [row for row in judged if p95(row) > limits["p95_ms"]]
    of = f"of {len(judged)} with {limits['minimum_calls']} calls or more"
    return [
        at_most(
            f"statements that take over {limits['mean_ms']:g} ms on average, {of}",
            [f"{row['query']} ({row['mean_ms']:.1f} ms)" for row in slow],
        ),
        at_most(
            f"statements with an estimated 95th percentile over {limits['p95_ms']:g} ms, {of}",
            [f"{row['query']} ({p95(row):.1f} ms)" for row in slow_tail],
        ),
        judge_hit_ratio(observed, limits),
    ]


def judge_hit_ratio(observed: Mapping[str, Any], limits: Mapping[str, Any]) -> Check:
    hits, reads = observed["blocks_hit"], observed["blocks_read"]
    total = hits + reads
    expected = f"at least {limits['hit_ratio']:.0%} once there were {limits['hit_ratio_minimum_reads']} reads"
    if total < limits["hit_ratio_minimum_reads"]:
        return Check("reads served by shared buffers", expected, f"{total} reads so far", True)
    ratio = hits / total
    return Check(
        "reads served by shared buffers", expected, f"{ratio:.1%} of {total} reads", ratio >= limits["hit_ratio"]
    )


# --- db.monitoring


def judge_monitoring(observed: Mapping[str, Any], slow_query_ms: int) -> list[Check]:
    before, after = observed["probe_calls"]
    logged = observed["log_min_duration_ms"]
    readable = observed["exporter_statements"]
    hidden = observed["exporter_hidden"]
    return [
        *(
            Check.equal(f"library {name}", "loaded", "loaded" if name in observed["libraries"] else "not loaded")
            for name in ("pg_stat_statements", "auto_explain")
        ),
        Check("a statement that was just run", "is counted", f"{after - before} calls more", after > before),
        Check.equal("track_io_timing", "on", observed["track_io_timing"]),
        Check(
            "log_min_duration_statement, in a session of the application",
            f"0 to {slow_query_ms} ms",
            f"{logged} ms" if logged >= 0 else "off",
            0 <= logged <= slow_query_ms,
        ),
        Check(
            "statements that the exporter sees",
            "more than 0, with their texts",
            f"{readable}, {hidden} of them without text",
            readable > 0 and hidden == 0,
        ),
    ]


# --- id.db_auth


def is_loopback(address: str | None, netmask: str | None) -> bool:
    """An address of pg_hba_file_rules; host names and the words all, samehost, samenet are not loopback."""
    try:
        prefix = int(ipaddress.ip_address(str(netmask))).bit_count()
        return ipaddress.ip_network((str(address), prefix), strict=False).is_loopback
    except ValueError:
        return False


def lets_in(rule: Row, role: str, groups: Iterable[str]) -> bool:
    names = {"all", role} | {f"+{group}" for group in groups}
    return rule["type"] != "local" and bool(names & set(rule["user_name"] or []))


def superusers_over_tcp(rules: Iterable[Row], superusers: Iterable[Row]) -> list[str]:
    """Superusers for whom a network rule other than reject comes before one that rejects all of them."""
    found = []
    for role in superusers:
        for rule in rules:
            if not lets_in(rule, role["name"], role["groups"]):
                continue
            everywhere = rule["address"] == "all" and "all" in rule["database"] and rule["type"] == "host"
            if rule["auth_method"] == "reject" and everywhere:
                break
            if rule["auth_method"] != "reject":
                found.append(f"{role['name']} (line {rule['line_number']})")
                break
    return found


def judge_rules(observed: Mapping[str, Any]) -> list[Check]:
    rules = [rule for rule in observed["rules"] if not rule["error"]]
    broken = [f"line {rule['line_number']}: {rule['error']}" for rule in observed["rules"] if rule["error"]]
    weak = [
        f"line {rule['line_number']}: {rule['auth_method']}"
        for rule in rules
        if rule["auth_method"] not in SOUND_METHODS
    ]
    plain = [
        f"line {rule['line_number']}"
        for rule in rules
        if rule["type"] in ("host", "hostnossl", "hostnogssenc")
        and rule["auth_method"] != "reject"
        and not is_loopback(rule["address"], rule["netmask"])
    ]
    superusers = [role for role in observed["roles"] if role["superuser"]]
    age = observed["rules_changed_at"] - observed["loaded_at"]
    return [
        at_most("mistakes in pg_hba.conf", broken),
        Check("pg_hba.conf", "loaded as on disk", "loaded" if age <= 0 else "changed since it was loaded", age <= 0),
        at_most("rules without a sound method (peer, scram-sha-256, cert)", weak),
        at_most("rules that let other hosts in without TLS", plain),
        at_most("superusers that may log in over TCP", superusers_over_tcp(rules, superusers)),
    ]


def judge_auth(observed: Mapping[str, Any]) -> list[Check]:
    weak = [f"{role['name']} ({role['kind']})" for role in observed["roles"] if role["kind"] not in SOUND_PASSWORDS]
    return [
        at_most(f"login roles whose password is not stored as scram-sha-256, of {len(observed['roles'])}", weak),
        Check.equal("ssl", "on", observed["ssl"]),
        Check.equal("password_encryption", "scram-sha-256", observed["password_encryption"]),
        *judge_rules(observed),
        *judge_attempts(observed["attempts"]),
    ]


def judge_attempts(attempts: Iterable[Row]) -> list[Check]:
    """Log-ins that were tried: refused for the reason that was meant, or let in where that was meant."""
    checks = []
    for attempt in attempts:
        wanted = attempt["wanted"]
        message = attempt["error"]
        ok = message is None if wanted == "let in" else any(reason in (message or "") for reason in attempt["reasons"])
        checks.append(Check(attempt["subject"], wanted, message or f"let in{attempt.get('detail', '')}", ok))
    return checks
