"""Others judge the edge, too. docs/judges.md has what they look at, and how to ask them about a server of your own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import judges
import pytest
from testinfra.host import Host

CA = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"]) / "molecule/inventory/.secrets/pki/ca.crt"
EDGE = "nginx -Tq"
FIREWALL = "nginx -Tq -e stderr -g 'user www-data;' -c /etc/nginx-waf/nginx.conf"


@pytest.fixture(scope="session", autouse=True)
def _image() -> None:
    judges.prepare()


@pytest.fixture
def edge(host: Host, domain: str) -> judges.Edge:
    return judges.Edge(domain, host.check_output("hostname -I").split()[0], CA)


@pytest.fixture
def broken(host: Host) -> Iterator[None]:
    """The edge without a policy for content, with TLS 1.0, and with a directory that leads to the one above it."""
    host.check_output("cp -a /etc/nginx /run/judged")
    try:
        host.check_output(
            "cd /etc/nginx/conf.d && sed -i '/Content-Security-Policy/d' headers.conf && sed -i "
            "-e 's/^ssl_protocols .*/ssl_protocols TLSv1 TLSv1.2 TLSv1.3;/' "
            "-e 's/^ssl_ciphers .*/ssl_ciphers ALL:@SECLEVEL=0;/' tls.conf "
            "&& echo 'server { listen 127.0.0.1:9; location /files { alias /srv/files/; } }' >>default.conf "
            "&& reload-nginx nginx"
        )
        yield
    finally:
        host.check_output("cp -a /run/judged/. /etc/nginx && rm -r /run/judged && reload-nginx nginx")


def test_the_observatory_gives_its_best_grade(edge: judges.Edge) -> None:
    verdict = judges.observatory(edge)
    assert (verdict.grade, verdict.findings) == ("A+", ())
    assert verdict.score >= 125


@pytest.mark.long
def test_testssl_gives_its_best_grade(edge: judges.Edge) -> None:
    verdict = judges.testssl(edge)
    assert (verdict.grade, verdict.findings) == ("A+", ())
    assert verdict.score >= 96


@pytest.mark.parametrize("printed", [EDGE, FIREWALL])
def test_gixy_finds_nothing(host: Host, printed: str) -> None:
    assert judges.gixy(host.check_output(printed)).findings == ()


@pytest.mark.usefixtures("broken")
@pytest.mark.long
def test_each_of_them_sees_what_is_broken(host: Host, edge: judges.Edge) -> None:
    assert "content-security-policy: csp-not-implemented" in judges.observatory(edge).findings
    assert any("TLS1" in finding for finding in judges.testssl(edge, "--protocols").findings)
    assert any("alias_traversal" in finding for finding in judges.gixy(host.check_output(EDGE)).findings)
