"""What acme promises, seen by openssl, curl and visitors who come while a certificate is renewed."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from testinfra.host import Host

CA = "/etc/airworthy/acme/ca.crt"
STATE = "/var/lib/airworthy/acme"
RESPONDER = "http://127.0.0.1:14002/"
RENEW = "systemctl start airworthy-acme.service"

# Four visitors, each on a new connection for each request, while the argument is executed.
VISITORS = """
import json, socket, ssl, subprocess, sys, threading

domain, command = sys.argv[1:]
request = f"GET /healthz HTTP/1.1\\r\\nHost: {domain}\\r\\nConnection: close\\r\\n\\r\\n".encode()
context = ssl.create_default_context(cafile="/etc/airworthy/acme/ca.crt")
done = threading.Event()
answers, failures, serials = [], [], set()

def visit():
    while not done.is_set():
        try:
            plain = socket.create_connection(("127.0.0.1", 443), timeout=10)
            with context.wrap_socket(plain, server_hostname=domain) as visitor:
                serials.add(visitor.getpeercert()["serialNumber"])
                visitor.sendall(request)
                answers.append(visitor.makefile("rb").readline().split()[1].decode())
        except (OSError, IndexError) as failure:
            failures.append(repr(failure))

visitors = [threading.Thread(target=visit) for _ in range(4)]
for visitor in visitors:
    visitor.start()
code = subprocess.run(command.split()).returncode
done.set()
for visitor in visitors:
    visitor.join()
print(json.dumps({"code": code, "answers": answers, "failures": failures, "serials": len(serials)}))
"""


@pytest.fixture
def domain(host: Host) -> str:
    return json.loads(host.file("/etc/airworthy/acme/edge.json").content_string)["names"][0]


@pytest.fixture
def no_ca(host: Host) -> Iterator[None]:
    """The CA is away: its port refuses. The timer, whose hour may come now, does not ask it either."""
    host.check_output(
        "systemctl stop airworthy-acme.timer && "
        "nft 'table inet away { chain output { type filter hook output priority 0; "
        "tcp dport 14000 reject with tcp reset; }; }'"
    )
    yield
    host.check_output("nft delete table inet away && systemctl start airworthy-acme.timer")


@pytest.fixture
def responder(host: Host) -> Iterator[None]:
    """The CA answers at the address that it writes into its certificates: the one that is live is good."""
    pebble = "curl -sS --fail --cacert /etc/pebble.crt https://localhost:15000"
    serial = f"openssl x509 -in {STATE}/live/edge.crt -noout -serial | cut -d= -f2"
    host.check_output(f"mkdir /run/ocsp && cd /run/ocsp && {pebble}/intermediates/0 >ca.crt")
    host.check_output(f"cd /run/ocsp && {pebble}/intermediate-keys/0 >ca.key")
    row = f"'V\\t991231235959Z\\t\\t%s\\tunknown\\t/CN=edge\\n' $({serial})"
    host.check_output(f"printf {row} >/run/ocsp/index.txt")
    host.check_output(
        "systemd-run --collect --unit ocsp --working-directory /run/ocsp openssl ocsp -port 14002 -index index.txt "
        "-CA ca.crt -rsigner ca.crt -rkey ca.key -ndays 1"
    )
    ask = f"openssl ocsp -url {RESPONDER} -issuer /run/ocsp/ca.crt -cert {STATE}/live/edge.crt -CAfile {CA} 2>&1"
    until(host, f"{ask} | grep -q ': good'")
    yield
    host.check_output("systemctl stop ocsp && rm -r /run/ocsp")


def until(host: Host, condition: str) -> None:
    """A minute is far more than any of it takes."""
    host.check_output("timeout 60 sh -c %s", f"until {condition}; do sleep 0.1; done")


def served(host: Host, domain: str, show: str = "-serial") -> str:
    """What the certificate on the wire says; its chain is verified up to the CA of the ACME server."""
    shake = f"openssl s_client -connect 127.0.0.1:443 -servername {domain} -CAfile {CA} -verify_return_error"
    return host.check_output(
        f"{shake} </dev/null 2>/dev/null >/run/served.pem && openssl x509 -in /run/served.pem -noout {show}"
    )


def curl(host: Host, url: str) -> str:
    name = url.split("/")[2]
    where = f"--resolve {name}:443:127.0.0.1 --resolve {name}:80:127.0.0.1"
    return host.check_output(f"curl -sS -i --cacert {CA} {where} {url}").replace("\r", "").lower()


def test_the_ca_issued_what_is_served(host: Host, domain: str) -> None:
    assert "Pebble Intermediate CA" in served(host, domain, "-issuer")
    assert f"DNS:{domain}" in served(host, domain, "-ext subjectAltName")


def test_only_root_reads_the_keys(host: Host) -> None:
    for path in (f"{STATE}/live/edge.key", "/etc/airworthy/acme/certbot.ini"):
        assert (host.file(path).user, host.file(path).mode) == ("root", 0o600)
    assert host.run(f"runuser -u nobody -- cat {STATE}/live/edge.key").failed


def test_it_is_looked_after_by_one_timer_alone(host: Host) -> None:
    assert host.service("airworthy-acme.timer").is_enabled
    assert host.service("airworthy-acme.timer").is_running
    assert not host.service("certbot.timer").is_enabled
    assert not host.service("certbot.timer").is_running


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_challenges_are_answered_without_a_detour(host: Host, domain: str, scheme: str) -> None:
    directory = "/run/airworthy/acme/.well-known/acme-challenge"
    host.check_output(f"mkdir -p {directory} && echo an answer > {directory}/probe")
    try:
        answer = curl(host, f"{scheme}://{domain}/.well-known/acme-challenge/probe")
    finally:
        host.check_output("rm -r /run/airworthy/acme/.well-known")
    assert " 200" in answer.partition("\n")[0]
    assert answer.endswith("an answer")
    assert curl(host, f"http://{domain}/.well-known/other").startswith("http/1.1 308")


def test_nothing_is_issued_while_nothing_is_due(host: Host, domain: str) -> None:
    before = served(host, domain)
    host.check_output(RENEW)
    assert served(host, domain) == before


def test_the_old_certificate_serves_while_the_ca_is_away(host: Host, domain: str, no_ca: None) -> None:
    before = served(host, domain)
    host.check_output(f"touch {STATE}/renew")
    assert host.run(RENEW).failed
    assert host.check_output("systemctl is-failed airworthy-acme.service") == "failed"
    invocation = host.check_output("systemctl show --property InvocationID --value airworthy-acme.service")
    journal = host.check_output(f"journalctl --output cat _SYSTEMD_INVOCATION_ID={invocation}")
    assert "The certificate before it goes on serving" in journal
    assert "Connection refused" in journal
    assert served(host, domain) == before


def test_no_visitor_notices_the_renewal(host: Host, domain: str) -> None:
    """The CA is back, and the request that it could not serve still stands."""
    assert host.file(f"{STATE}/renew").exists
    # nginx is up some seconds before the application when the server has just booted: that is not the renewal's doing
    until(host, f"curl -sf -o /run/answer --cacert {CA} --resolve {domain}:443:127.0.0.1 https://{domain}/healthz")
    seen = json.loads(host.check_output("python3 -c %s %s %s", VISITORS, domain, RENEW))
    assert (seen["code"], seen["failures"], seen["serials"]) == (0, [], 2)
    assert len(seen["answers"]) > 50
    amiss = host.run("grep healthz /var/log/nginx/access.log | grep -v '\"status\":200' | tail").stdout
    assert set(seen["answers"]) == {"200"}, amiss
    assert not host.file(f"{STATE}/renew").exists
    assert len(host.file(f"{STATE}/pairs").listdir()) == 2


def test_the_cas_word_on_the_certificate_is_stapled(host: Host, domain: str, responder: None) -> None:
    """nginx asks for it when the first visitor comes, and does not keep that one waiting."""
    host.check_output("systemctl reload nginx")
    shake = f"openssl s_client -connect 127.0.0.1:443 -servername {domain} -CAfile {CA} -status </dev/null 2>&1"
    until(host, f"{shake} | grep -q 'Cert Status: good'")
