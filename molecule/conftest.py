"""With `-n 2 --dist each`, as .config/molecule/config.yml has it, each process tests a host of its own."""

from __future__ import annotations

import os

import pytest
from testinfra.host import Host


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker:
        hosts = sorted({under_test(item) for item in items})
        items[:] = [item for item in items if under_test(item) == hosts[int(worker.removeprefix("gw"))]]


def under_test(item: pytest.Item) -> str:
    host: Host = item.callspec.params["_testinfra_host"]  # type: ignore[attr-defined]
    return str(host.backend.get_pytest_id())
