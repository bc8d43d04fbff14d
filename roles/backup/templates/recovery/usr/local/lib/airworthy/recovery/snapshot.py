# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tables contain at one moment that recovery can go to: their rows counted and hashed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from process import Failed, Server, Session, identifier, literal

MEGABYTE = 1_048_576
TRIES = 40
PAUSE_SECONDS = 2

TABLES = """
SELECT n.nspname, c.relname, pg_table_size(c.oid) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND n.nspname !~ '^(pg_|information_schema$)' ORDER BY 3, 1, 2"""

# The text of a row must not depend on who asks.
SAME_TEXT = (
    "-c DateStyle=ISO,YMD -c IntervalStyle=postgres -c TimeZone=UTC -c bytea_output=hex -c extra_float_digits=1 "
    "-c lc_monetary=C -c xmlbinary=base64 -c row_security=off"
)

# Whoever waits for these locks lets nobody else in, so they are given up soon, and asked for again. An autovacuum that
# is in the way gives way once deadlocks are looked for; whoever looks first is the one who gives up.
LOCKS = """
BEGIN ISOLATION LEVEL REPEATABLE READ;
SET LOCAL deadlock_timeout = '100ms';
SET LOCAL lock_timeout = '500ms';
SET LOCAL statement_timeout = '1s';
SET LOCAL idle_in_transaction_session_timeout = '10s'"""


@dataclass(frozen=True)
class Table:
    schema: str
    name: str
    size: int

    @property
    def quoted(self) -> str:
        return f"{identifier(self.schema)}.{identifier(self.name)}"

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True)
class Content:
    rows: int
    digest: str

    def __str__(self) -> str:
        return f"{self.rows} rows, {self.digest}"


def choose(tables: Sequence[Table], wanted: Sequence[str], limit: int) -> list[Table]:
    """Those that are named, or, from the smallest on, as many as stay within the limit together."""
    if wanted:
        known = {str(table): table for table in tables}
        if missing := [name for name in wanted if name not in known]:
            raise Failed(f"the database has no table {', '.join(missing)}; correct backup_drill_tables")
        return [known[name] for name in dict.fromkeys(wanted)]
    chosen, total = [], 0
    for table in sorted(tables, key=lambda table: table.size):
        total += table.size
        if total > limit:
            break
        chosen.append(table)
    return chosen


def tables(session: Session) -> list[Table]:
    return [Table(schema, name, int(size)) for schema, name, size in session.rows(TABLES)]


def content(session: Session, table: Table) -> Content:
    """Independent of the order of rows, in constant memory."""
    rows, digest = session.rows(
        "SELECT count(*), coalesce(sum(hashtextextended(airworthy_row::text, 0)::numeric), 0) "
        f"FROM ONLY {table.quoted} AS airworthy_row"
    )[0]
    return Content(int(rows), digest)


def contents(session: Session, chosen: Sequence[Table]) -> dict[str, Content]:
    settle(session)
    return {str(table): content(session, table) for table in chosen}


def settle(session: Session) -> None:
    for setting in SAME_TEXT.replace("-c ", "").split():
        name, _equals, value = setting.partition("=")
        session.rows(f"SET {name} = {literal(value)}" if "," not in value else f"SET {name} = {value}")
    session.rows("SET max_parallel_workers_per_gather = 0")


@dataclass
class Moment:
    """The restore point, and a session that still sees the tables as they were at it."""

    restore_point: str
    reader: Session
    locked_seconds: float


@contextmanager
def moment(server: Server, database: str, chosen: Sequence[Table], name: str) -> Iterator[Moment]:
    """Writers wait while the restore point is made, for milliseconds; readers never do."""
    with Session(server, database) as reader:
        settle(reader)
        reader.rows("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        locked = at_rest(server, database, chosen, name, reader)
        yield Moment(name, reader, locked)
        reader.rows("COMMIT")


def at_rest(server: Server, database: str, chosen: Sequence[Table], name: str, reader: Session) -> float:
    order = list(chosen)
    for attempt in range(1, TRIES + 1):
        with Session(server, database) as writer:
            writer.rows(LOCKS)
            begun = time.monotonic()
            if refused := lock(writer, order):
                table, failure = refused
                if attempt == TRIES:
                    raise Failed(
                        f"somebody held a lock on {table} each of {TRIES} times that the drill wanted to see it "
                        f"({failure}); look for long transactions in pg_stat_activity"
                    )
                # Who writes to it first and to the others later must be kept out here, or each waits for the other.
                order.remove(table)
                order.insert(0, table)
                time.sleep(PAUSE_SECONDS)
                continue
            exported = writer.value("SELECT pg_export_snapshot()")
            writer.value(f"SELECT pg_create_restore_point({literal(name)})")
            reader.rows(f"SET TRANSACTION SNAPSHOT {literal(exported)}")
            writer.rows("COMMIT")
            return time.monotonic() - begun
    raise AssertionError("unreachable")


def lock(writer: Session, order: Sequence[Table]) -> tuple[Table, Failed] | None:
    """Keep writers out of all of them; else the table at which that failed, and why."""
    for table in order:
        try:
            writer.rows(f"LOCK TABLE ONLY {table.quoted} IN SHARE MODE")
        except Failed as failure:
            return table, failure
    return None
