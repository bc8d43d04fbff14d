"""What the tests of backups share: the database host, the host that keeps its backups, and how to ask both."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import testinfra
from testinfra.host import Host

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def keeper(host: Host) -> Host:
    """The host that keeps the backups of the host under test."""
    return testinfra.get_host(f"podman://{host.check_output('hostname').replace('recovery', 'keeper')}")


@pytest.fixture(scope="module")
def sql(host: Host) -> Callable[[str], str]:
    """The answer to a statement, as the superuser."""
    return lambda text: host.check_output("runuser -u postgres -- psql --no-psqlrc -AtX app -c %s", text)


@pytest.fixture(scope="module")
def info(keeper: Host) -> Callable[[], dict[str, Any]]:
    """What pgBackRest knows of the cluster."""

    def read() -> dict[str, Any]:
        output = keeper.check_output("runuser -u postgres -- pgbackrest --stanza=app --output=json info")
        found: dict[str, Any] = json.loads(output)[0]
        return found

    return read


@pytest.fixture(scope="module")
def archived(sql: Callable[[str], str]) -> Callable[..., float]:
    """End the current segment of the log, and wait until it is archived; returns the seconds."""

    def wait(timeout: float = 150) -> float:
        begun = time.monotonic()
        sql("SELECT pg_logical_emit_message(false, 'test', 'an empty segment would not end')")
        segment = sql("SELECT pg_walfile_name(pg_switch_wal())")
        while sql("SELECT coalesce(last_archived_wal, '') FROM pg_stat_archiver") < segment:
            assert time.monotonic() - begun < timeout, sql("SELECT * FROM pg_stat_archiver")
            time.sleep(0.5)
        return time.monotonic() - begun

    return wait


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Host], list[dict[str, Any]]]:
    """The controls of the role, as a host has them now."""

    def examine(host: Host) -> list[dict[str, Any]]:
        name, dest = host.check_output("hostname"), tmp_path_factory.mktemp("controls")
        command = ["ansible-playbook", "molecule/backup/examine.yml", "-i", "molecule/inventory", "-e", f"dest={dest}"]
        command += ["--limit", "recovery,backup"]
        result = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, timeout=300)
        assert result.returncode == 0, result.stdout + result.stderr
        controls: list[dict[str, Any]] = json.loads((dest / f"{name}.json").read_text())
        return controls

    return examine
