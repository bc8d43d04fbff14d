"""What tls promises, seen by openssl."""

from __future__ import annotations

import pytest
from testinfra.host import Host

TLS = "/etc/airworthy/tls"


@pytest.mark.parametrize("name", ["server", "edge"])
def test_the_certificate_is_signed_by_the_internal_ca(host: Host, name: str) -> None:
    assert host.check_output(f"openssl verify -CAfile {TLS}/ca.crt {TLS}/{name}.crt") == f"{TLS}/{name}.crt: OK"


def test_the_server_is_known_by_its_names_and_addresses(host: Host) -> None:
    names = host.check_output(f"openssl x509 -noout -ext subjectAltName -in {TLS}/server.crt")
    hostname = host.check_output("hostname")
    address = host.check_output("hostname -I").split()[0]
    for name in (f"DNS:{hostname}", "DNS:localhost", "IP Address:127.0.0.1", f"IP Address:{address}"):
        assert name in names


def test_the_edge_is_known_by_the_domain(host: Host) -> None:
    hostname = host.check_output("hostname")
    names = host.check_output(f"openssl x509 -noout -ext subjectAltName -in {TLS}/edge.crt")
    assert f"DNS:{hostname}.airworthy.test" in names


@pytest.mark.parametrize(("name", "group", "mode"), [("server", "ssl-cert", 0o640), ("edge", "root", 0o600)])
def test_only_who_needs_a_key_reads_it(host: Host, name: str, group: str, mode: int) -> None:
    key = host.file(f"{TLS}/{name}.key")
    assert (key.user, key.group, key.mode) == ("root", group, mode)


@pytest.mark.parametrize("name", ["server", "edge"])
def test_key_and_certificate_belong_together(host: Host, name: str) -> None:
    of_key = host.check_output(f"openssl pkey -pubout -in {TLS}/{name}.key")
    assert of_key == host.check_output(f"openssl x509 -noout -pubkey -in {TLS}/{name}.crt")


def test_the_ca_key_stays_on_the_controller(host: Host) -> None:
    keys = host.check_output("grep -rl 'PRIVATE KEY' /etc/airworthy").split()
    assert sorted(keys) == [f"{TLS}/edge.key", f"{TLS}/server.key"]
