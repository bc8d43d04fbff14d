"""What tests of several roles ask of a server that runs."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from testinfra.host import Host


def eventually(
    true: Callable[[], Any], seconds: float = 60, why: Callable[[], Any] = str, *, pause: float = 1
) -> Any:
    """Wait until it is true; returns what it says."""
    limit = time.monotonic() + seconds
    while not (said := true()):
        assert time.monotonic() < limit, f"still not after {seconds} seconds: {why()}"
        time.sleep(pause)
    return said


def edge_domain(host: Host) -> str:
    """The first name of the edge's certificate."""
    names = host.check_output("openssl x509 -in /etc/airworthy/tls/edge.crt -noout -ext subjectAltName")
    return str(re.findall(r"DNS:([^,\s]+)", names)[0])
