# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A pool of 5 to 20 connections: as it shall be, and wrong in one way at a time."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.airworthy.stack.plugins.modules.pgbouncer_audit import judge_load, judge_pool

WANTED = {"pool_mode": "transaction", "default_pool_size": 20, "min_pool_size": 5, "max_db_connections": 20}
SOUND = {
    "config": {name: str(value) for name, value in WANTED.items()}, "pool_size": 20, "server_connections": 5,
    "server_tls": True, "open_files": 648, "attempts": [],
}  # fmt: skip

POOLS = [
    ("as it shall be", {}, []),
    ("filled up", {"server_connections": 20}, []),
    ("another mode", {"config": {**SOUND["config"], "pool_mode": "session"}}, ["pool_mode: session"]),
    ("a setting the release does not know", {"config": {}}, [f"{name}: unknown" for name in sorted(WANTED)]),
    (
        "an entry with a size of its own",
        {"pool_size": 50},
        ["connections allowed by the database's own entry: 50"],
    ),
    (
        "the database is not served",
        {"pool_size": "no entry for app"},
        ["connections allowed by the database's own entry: no entry for app"],
    ),
    ("too few kept ready", {"server_connections": 4}, ["server connections while a client is connected: 4"]),
    ("too many open", {"server_connections": 21}, ["server connections while a client is connected: 21"]),
    ("plain text to Postgres", {"server_tls": False}, ["TLS between the pooler and Postgres: off"]),
    (
        "nobody is let in",
        {"server_tls": None, "server_connections": 0},
        ["server connections while a client is connected: 0", "TLS between the pooler and Postgres: not seen"],
    ),
    ("too few files", {"open_files": 256}, ["files that the process may open: 256"]),
]


@pytest.mark.parametrize(("story", "changes", "faults"), POOLS, ids=[row[0] for row in POOLS])
def test_pools(story: str, changes: dict[str, Any], faults: list[str]) -> None:
    checks = judge_pool({**SOUND, **changes}, WANTED, open_files=648)
    assert [f"{check.subject}: {check.observed}" for check in checks if not check.ok] == faults


SERVED = {"served": 100, "together": 100, "failures": [], "peak": 20}
LOADS = [
    ("everybody was served by twenty", {}, []),
    ("by more than twenty", {"peak": 21}, ["most server connections meanwhile: 21"]),
    ("none was seen", {"peak": 0}, ["most server connections meanwhile: 0"]),
    (
        "some were not served",
        {"served": 98, "failures": ["OperationalError: query_wait_timeout"] * 2},
        ["clients served, of 100 at once: 98; first failure: OperationalError: query_wait_timeout"],
    ),
    ("one after the other", {"together": "not all"}, ["clients connected at the same time: not all"]),
]


@pytest.mark.parametrize(("story", "changes", "faults"), LOADS, ids=[row[0] for row in LOADS])
def test_loads(story: str, changes: dict[str, Any], faults: list[str]) -> None:
    checks = judge_load({**SERVED, **changes}, clients=100, most=20)
    assert [f"{check.subject}: {check.observed}" for check in checks if not check.ok] == faults
