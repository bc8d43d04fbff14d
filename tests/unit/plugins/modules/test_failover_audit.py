"""An instance is killed once, and watched until it serves again; one that does not run is left alone."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import pytest
from ansible_collections.airworthy.stack.plugins.modules import failover_audit

INSTANCES = [{"unit": "app@3000.service", "port": 3000}, {"unit": "app@3001.service", "port": 3001}]

# /proc/net/tcp: a listener, two connections to port 3000, the client's end of one of them, one that is closed.
TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0BB8 00000000:0000 0A 00000000:00000000 00:00000000 00000000   998        0 41 1
   1: 0100007F:0BB8 0100007F:A1B2 01 00000000:00000000 00:00000000 00000000   998        0 42 1
   2: 0100007F:0BB8 0100007F:A1B4 01 00000000:00000000 00:00000000 00000000   998        0 43 1
   3: 0100007F:A1B2 0100007F:0BB8 01 00000000:00000000 00:00000000 00000000    33        0 44 1
   4: 0100007F:0BB8 0100007F:A1B6 06 00000000:00000000 00:00000000 00000000     0        0 0 3
"""


def shown(pid: int, invocation: str, restarts: int, state: str = "active") -> str:
    return (
        f"LoadState=loaded\nActiveState={state}\nMainPID={pid}\nInvocationID={invocation}\nNRestarts={restarts}\n"
    )


class Systemd:
    """Shows the first unit as it becomes, from time to time, and the others as they are."""

    def __init__(self, *first: str) -> None:
        self.first: Iterable[str] = itertools.chain(first, itertools.repeat(first[-1]))
        self.killed: list[str] = []

    def __call__(self, command: list[str], **_options: Any) -> tuple[int, str, str]:
        if command[1] == "kill":
            self.killed.append(command[-1])
            return 0, "", ""
        unit = command[-1]
        return 0, next(iter(self.first)) if unit == "app@3000.service" else shown(20, "b2", 0), ""


@pytest.fixture(autouse=True)
def connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failover_audit, "connections_to", lambda port: 4 if port == 3000 else 3)
    monkeypatch.setattr(failover_audit, "PAUSE", 0)


def test_connections_are_those_to_the_instance() -> None:
    assert failover_audit.count_connections(TABLE, 3000) == 2
    assert failover_audit.count_connections(TABLE, 3001) == 0


def test_the_busiest_is_killed_and_watched_until_it_serves_again() -> None:
    gone, starting = shown(0, "a1", 0, "activating"), shown(30, "c3", 1, "activating")
    systemd = Systemd(shown(10, "a1", 0), gone, starting, shown(30, "c3", 1))
    seen = failover_audit.fell(INSTANCES[::-1], 30, systemd)
    assert systemd.killed == ["app@3000.service"]
    assert [instance["pid"] for instance in seen["before"]] == [10, 20]
    assert (seen["after"]["pid"], seen["after"]["restarts"], seen["after"]["connections"]) == (30, 1, 4)


def test_one_that_never_comes_back_is_watched_no_longer_than_the_limit() -> None:
    seen = failover_audit.fell(INSTANCES, 0.01, Systemd(shown(10, "a1", 0), shown(0, "a1", 0, "failed")))
    assert seen["after"]["state"] == "failed"


def test_one_that_is_down_already_is_left_alone() -> None:
    systemd = Systemd(shown(0, "a1", 0, "failed"))
    seen = failover_audit.fell(INSTANCES, 30, systemd)
    assert systemd.killed == []
    assert seen["after"] == seen["before"][0]


def test_a_unit_that_is_not_there_is_named() -> None:
    with pytest.raises(RuntimeError, match=r"no unit app@3000\.service on this host"):
        failover_audit.fell(INSTANCES, 30, Systemd("LoadState=not-found\nActiveState=inactive\nMainPID=0\n"))
