"""What exporters promises, seen with other eyes than its own."""

from __future__ import annotations

import pytest
from testinfra.host import Host

CA = "/etc/airworthy/tls/ca.crt"
EXPORTERS = {"prometheus-node-exporter": 9100, "prometheus-postgres-exporter": 9187}

each = pytest.mark.parametrize(("unit", "port"), EXPORTERS.items())


@each
def test_it_runs_now_and_after_a_boot(host: Host, unit: str, port: int) -> None:
    assert host.service(unit).is_running
    assert host.service(unit).is_enabled
    assert host.socket(f"tcp://:::{port}").is_listening


@each
@pytest.mark.parametrize(
    ("url", "status"), [("https://localhost:{}/metrics", "401"), ("http://localhost:{}/metrics", "400")]
)
def test_a_stranger_learns_nothing(host: Host, unit: str, port: int, url: str, status: str) -> None:
    assert host.check_output(f"curl -s -o /dev/null -w '%{{http_code}}' --cacert {CA} {url.format(port)}") == status


@each
def test_nobody_else_is_let_through(host: Host, unit: str, port: int) -> None:
    assert f"{port}" not in host.check_output("nft list chain inet airworthy input")


@each
def test_it_has_no_privileges(host: Host, unit: str, port: int) -> None:
    pid = host.check_output(f"systemctl show -P MainPID {unit}")
    status = host.file(f"/proc/{pid}/status").content_string
    assert "NoNewPrivs:\t1" in status
    assert "CapEff:\t0000000000000000" in status
    assert host.check_output(f"stat -c %U /proc/{pid}") == "prometheus"


def test_secrets_are_for_root(host: Host) -> None:
    environment = host.file("/etc/airworthy/database_exporter/environment")
    assert (environment.user, environment.mode) == ("root", 0o600)
    web = host.file("/etc/airworthy/exporters/web.yml")
    assert (web.user, web.group, web.mode) == ("root", "prometheus", 0o640)
    for unit in EXPORTERS:
        assert "DATA_SOURCE_PASS" not in host.check_output(f"systemctl show {unit} -p ExecStart -p Environment")


def test_figures_of_ones_own_have_a_place(host: Host) -> None:
    assert host.file("/var/lib/prometheus/node-exporter").is_directory
