"""What nginx promises, seen by curl."""

from __future__ import annotations

import json

import pytest
from testinfra.host import Host


def curl(host: Host, path: str, *options: str) -> str:
    domain = f"{host.check_output('hostname')}.airworthy.test"
    command = f"curl -si --cacert /etc/airworthy/tls/ca.crt --resolve {domain}:443:127.0.0.1 {' '.join(options)}"
    return host.check_output(f"{command} https://{domain}{path}").replace("\r", "").lower()


@pytest.mark.parametrize("path", ["/", "/healthz", "/no/such/page", "/api/students"])
def test_every_answer_carries_the_security_headers(host: Host, path: str) -> None:
    headers = curl(host, path).split("\n\n")[0]
    for name in ("strict-transport-security:", "content-security-policy:", "x-content-type-options: nosniff"):
        assert headers.count(name) == 1, headers
    assert "x-powered-by" not in headers


def test_it_speaks_http2(host: Host) -> None:
    assert curl(host, "/healthz", "--http2").startswith("http/2 200")


def test_plain_http_is_sent_to_https(host: Host) -> None:
    domain = f"{host.check_output('hostname')}.airworthy.test"
    answer = host.check_output(f"curl -si --resolve {domain}:80:127.0.0.1 http://{domain}/a?b=c")
    assert f"Location: https://{domain}/a?b=c" in answer


def test_an_unknown_name_gets_no_certificate(host: Host) -> None:
    refused = host.run("curl -sk --resolve other.test:443:127.0.0.1 https://other.test/")
    assert refused.rc == 35


def test_the_access_log_is_json_without_query_strings(host: Host) -> None:
    curl(host, "/healthz?token=marker-of-this-test")
    last = host.check_output("tail -n 1 /var/log/nginx/access.log")
    assert json.loads(last)["uri"] == "/healthz"
    assert "marker-of-this-test" not in last


def test_the_process_is_sandboxed(host: Host) -> None:
    worker = host.check_output("pgrep -u www-data nginx | head -n 1")
    assert "NoNewPrivs:\t1" in host.check_output(f"cat /proc/{worker}/status")
