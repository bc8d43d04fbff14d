"""What the tests of the shipping share: a flood of lines that is told apart from all others, and what arrived of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from log_flood import Flood
from testinfra.host import Host


@pytest.fixture
def flood(host: Host) -> Flood:
    return Flood(host)


@pytest.fixture
def kill(host: Host) -> Callable[[str], None]:
    """As the kernel would, when there is no memory left."""
    kill = "systemctl kill --signal=KILL --kill-who=main airworthy-log-{}"
    return lambda unit: host.check_output(kill.format(unit)) and None


def eventually(true: Callable[[], Any], seconds: float = 60) -> Any:
    """Wait until it is true; returns what it says."""
    limit = time.monotonic() + seconds
    while not (said := true()):
        assert time.monotonic() < limit, f"still not after {seconds} seconds"
        time.sleep(0.1)
    return said


@pytest.fixture(scope="session")
def wait() -> Callable[..., Any]:
    return eventually
