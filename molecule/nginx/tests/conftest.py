"""What the tests of the edge have in common."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from typing import Any

import pytest
from live_server import edge_domain
from testinfra.host import Host


@pytest.fixture(scope="module")
def domain(host: Host) -> str:
    return edge_domain(host)


@pytest.fixture
def logged(host: Host) -> Callable[[str], dict[str, Any]]:
    """What the access log has of an answer, which it gets a moment after the client."""

    def entry(answer: str) -> dict[str, Any]:
        request = re.findall(r"(?i)\nx-request-id: (\S+)", answer)[0]
        search = f"grep -F '\"request_id\":\"{request}\"' /var/log/nginx/access.log"
        line: str = host.check_output(f"timeout 10 sh -c {shlex.quote(f'until {search}; do sleep 0.1; done')}")
        return dict(json.loads(line))

    return entry
