"""With `-n 2 --dist each`, as .config/molecule/config.yml has it, each process tests a host of its own.

CI has less time than all tests take: there, those that are marked as long run on one of the two hosts, in turn.
"""

from __future__ import annotations

import os

import pytest
from testinfra.host import Host


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker:
        hosts = sorted({under_test(item) for item in items})
        mine = int(worker.removeprefix("gw"))
        turns = in_turn(items) if os.environ.get("CI") else {}
        items[:] = [item for item in items if under_test(item) == hosts[mine] and turns.get(name(item), mine) == mine]


def in_turn(items: list[pytest.Item]) -> dict[str, int]:
    """Of each long test, the host that has it."""
    long = dict.fromkeys(name(item) for item in items if item.get_closest_marker("long"))
    return {each: number % 2 for number, each in enumerate(long)}


def name(item: pytest.Item) -> str:
    """The same on each host: that of the function, with all its cases."""
    return f"{item.path}::{getattr(item, 'originalname', item.name)}"


def under_test(item: pytest.Item) -> str:
    host: Host = item.callspec.params["_testinfra_host"]  # type: ignore[attr-defined]
    return str(host.backend.get_pytest_id())
