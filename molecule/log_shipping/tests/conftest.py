"""What the tests of the shipping share: a flood of lines that is told apart from all others, and what arrived of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from live_server import eventually
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


@pytest.fixture(scope="session")
def wait() -> Callable[..., Any]:
    return partial(eventually, pause=0.1)
