"""What exporters promises, seen by curl."""

from __future__ import annotations

import pytest
from testinfra.host import Host

CURL = "curl -s -o /dev/null -w '%{http_code}' --cacert /etc/airworthy/tls/ca.crt"


@pytest.mark.parametrize("port", [9100, 9187])
def test_without_a_password_there_are_no_figures(host: Host, port: int) -> None:
    assert host.check_output(f"{CURL} https://localhost:{port}/metrics") == "401"
    assert host.check_output(f"{CURL} -u prometheus:wrong https://localhost:{port}/metrics") == "401"


@pytest.mark.parametrize("port", [9100, 9187])
def test_plaintext_gets_no_figures(host: Host, port: int) -> None:
    assert host.check_output(f"{CURL} http://localhost:{port}/metrics") == "400"


@pytest.mark.parametrize("unit", ["prometheus-node-exporter", "prometheus-postgres-exporter"])
def test_no_password_is_on_a_command_line(host: Host, unit: str) -> None:
    pid = host.check_output(f"systemctl show -P MainPID {unit}.service")
    assert "password" not in host.check_output(f"tr '\\0' ' ' < /proc/{pid}/cmdline").lower()
