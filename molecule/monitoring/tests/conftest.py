"""What the tests of monitoring share: Prometheus and Alertmanager, asked by curl on the server itself."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from live_server import eventually
from testinfra.host import Host

SECRETS = Path(__file__).parents[2] / "inventory" / ".secrets"
CA = "/etc/airworthy/tls/ca.crt"
Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def ask(host: Host) -> Ask:
    """What an address on the loopback interface answers to the administrator, out of its JSON."""
    password = (SECRETS / "monitoring_admin").read_text().strip()

    def get(port: int, path: str, **parameters: str) -> Any:
        given = " ".join(f"--data-urlencode {shlex.quote(f'{name}={text}')}" for name, text in parameters.items())
        # By standard input, as a person would: no password in a list of processes.
        curl = f"curl --silent --fail --get --cacert {CA} --config - {given} https://127.0.0.1:{port}{path}"
        answer = json.loads(host.check_output(f"echo 'user = admin:{password}' | {curl}"))
        return answer["data"] if isinstance(answer, dict) and "data" in answer else answer

    return get


@pytest.fixture(scope="module")
def query(ask: Ask) -> Callable[[str], list[dict[str, Any]]]:
    """The series of an expression."""
    return lambda expression: ask(9090, "/api/v1/query", query=expression)["result"]


@pytest.fixture(scope="session")
def wait() -> Callable[..., Any]:
    return eventually
