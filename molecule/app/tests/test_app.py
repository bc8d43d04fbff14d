"""What app promises, seen from beside the application."""

from __future__ import annotations

import json

import pytest
from testinfra.host import Host

PORTS = (3000, 3001)


@pytest.mark.parametrize("port", PORTS)
def test_each_instance_is_healthy(host: Host, port: int) -> None:
    health = json.loads(host.check_output(f"curl -sf http://127.0.0.1:{port}/healthz"))
    current = host.check_output("readlink /opt/app/current").rsplit("/", 1)[-1]
    assert health["release"] == current


@pytest.mark.parametrize("port", PORTS)
def test_only_the_edge_beside_it_reaches_it(host: Host, port: int) -> None:
    assert host.socket(f"tcp://127.0.0.1:{port}").is_listening
    assert not host.socket(f"tcp://0.0.0.0:{port}").is_listening


def test_the_environment_is_roots_alone(host: Host) -> None:
    file = host.file("/etc/app/environment")
    assert (file.user, file.mode) == ("root", 0o600)


def test_the_sandbox_holds(host: Host) -> None:
    report = host.check_output("systemd-analyze security --no-pager app@3000.service | tail -n 1")
    assert float(report.split(": ")[1].split()[0]) < 2.5, report


def test_it_comes_back_after_a_crash(host: Host) -> None:
    before = host.check_output("systemctl show -P MainPID app@3001.service")
    host.check_output(f"kill -9 {before}")
    wait = "for i in $(seq 100); do curl -sf http://127.0.0.1:3001/healthz && exit; sleep 0.1; done; exit 1"
    host.check_output(wait)
    assert host.check_output("systemctl show -P MainPID app@3001.service") != before
