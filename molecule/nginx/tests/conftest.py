"""What the tests of the edge have in common."""

from __future__ import annotations

import re

import pytest
from testinfra.host import Host


@pytest.fixture(scope="module")
def domain(host: Host) -> str:
    names = host.check_output("openssl x509 -in /etc/airworthy/tls/edge.crt -noout -ext subjectAltName")
    return re.findall(r"DNS:([^,\s]+)", names)[0]
