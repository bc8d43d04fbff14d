"""What tls promises, seen by OpenSSL."""

from __future__ import annotations

import pytest
from testinfra.host import Host

TLS = "/etc/airworthy/tls"


@pytest.mark.parametrize(
    ("name", "group", "mode"),
    [
        ("ca.crt", "root", 0o644),
        ("server.crt", "root", 0o644),
        ("server.key", "ssl-cert", 0o640),
        ("edge.crt", "root", 0o644),
        ("edge.key", "root", 0o600),
        ("stapling.conf", "root", 0o644),
    ],
)
def test_who_may_read_what(host: Host, name: str, group: str, mode: int) -> None:
    file = host.file(f"{TLS}/{name}")
    assert (file.user, file.group, file.mode) == ("root", group, mode)


def test_nothing_else_lies_there(host: Host) -> None:
    files = ["ca.crt", "edge.crt", "edge.key", "server.crt", "server.key", "stapling.conf"]
    assert sorted(host.file(TLS).listdir()) == files


@pytest.mark.parametrize("name", ["server", "edge"])
def test_the_internal_ca_issued_it(host: Host, name: str) -> None:
    for purpose in ("sslserver", "sslclient"):
        host.check_output(f"openssl verify -x509_strict -purpose {purpose} -CAfile {TLS}/ca.crt {TLS}/{name}.crt")


def test_the_server_is_known_by_every_name_and_address(host: Host) -> None:
    addresses = host.check_output("hostname --all-ip-addresses").split()
    assert addresses
    for option, value in [
        ("-verify_hostname", host.check_output("hostname")),
        ("-verify_hostname", "localhost"),
        *[("-verify_ip", address) for address in ["127.0.0.1", "::1", *addresses]],
    ]:
        host.check_output(f"openssl verify {option} {value} -CAfile {TLS}/ca.crt {TLS}/server.crt")


@pytest.mark.parametrize("name", ["server", "edge"])
def test_key_and_certificate_belong_together(host: Host, name: str) -> None:
    key = host.check_output(f"openssl pkey -in {TLS}/{name}.key -pubout")
    assert key == host.check_output(f"openssl x509 -in {TLS}/{name}.crt -noout -pubkey")


def test_it_is_valid_for_a_month_at_least(host: Host) -> None:
    for name in ("server", "edge"):
        host.check_output(f"openssl x509 -in {TLS}/{name}.crt -noout -checkend {29 * 86400}")


def test_strangers_cannot_read_a_key(host: Host) -> None:
    for name in ("server", "edge"):
        assert host.run(f"runuser -u nobody -- cat {TLS}/{name}.key").failed
    assert host.run(f"runuser -u nobody -g ssl-cert -- cat {TLS}/server.key").succeeded
