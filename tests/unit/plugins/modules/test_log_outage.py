"""A host is cut off from its collector, and whatever happens, it is not for long."""

from __future__ import annotations

import pytest
from ansible_collections.airworthy.stack.plugins.modules import log_outage
from ansible_collections.airworthy.stack.plugins.modules.log_outage import outage, ruleset

COLLECTOR = {"address": "192.0.2.7", "port": 2514, "name": "log1"}


class Host:
    """It remembers what was run on it, and what went into it."""

    def __init__(self, failing: str = "") -> None:
        self.commands: list[str] = []
        self.data: dict[str, str] = {}
        self.failing = failing

    def run(self, command: list[str], check_rc: bool = False, data: str = "") -> tuple[int, str, str]:
        name = " ".join(command[:2])
        self.commands.append(name)
        self.data[command[0]] = data
        fails = bool(self.failing) and name.startswith(self.failing)
        if fails and check_rc:
            raise RuntimeError(f"{self.failing} failed")
        return int(fails), "", ""


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether the collector can be reached, each time that somebody tries."""
    answers = [False, False]
    monkeypatch.setattr(log_outage, "is_reached", lambda *_: answers.pop(0))
    return answers


def test_the_lines_are_numbered_and_the_rule_is_gone_afterwards(reached: list[bool]) -> None:
    host = Host()
    found = outage(host.run, COLLECTOR, lines=3, seconds=0)
    assert host.commands == ["systemd-run --quiet", "nft --file", "logger --tag", "nft delete", "systemctl stop"]
    assert host.data["logger"].splitlines() == [f"{found['text']} {number}" for number in (1, 2, 3)]
    assert found | {"text": ""} == {"program": "airworthy-outage", "text": "", "lines": 3, "reached": False}


@pytest.mark.parametrize("answers", [[True, False], [False, True]])
def test_a_collector_that_is_reached_meanwhile_is_told(reached: list[bool], answers: list[bool]) -> None:
    reached[:] = answers
    assert outage(Host().run, COLLECTOR, lines=1, seconds=0)["reached"]


@pytest.mark.parametrize("failing", ["logger", "nft --file"])
def test_the_rule_goes_also_when_something_fails(reached: list[bool], failing: str) -> None:
    host = Host(failing)
    with pytest.raises(RuntimeError, match=f"{failing} failed"):
        outage(host.run, COLLECTOR, lines=1, seconds=0)
    assert host.commands[-2:] == ["nft delete", "systemctl stop"]


def test_without_a_timer_there_is_no_rule() -> None:
    host = Host("systemd-run")
    with pytest.raises(RuntimeError):
        outage(host.run, COLLECTOR, lines=1, seconds=0)
    assert host.commands == ["systemd-run --quiet"]


def test_an_outage_that_ended_before_its_time_was_none(reached: list[bool]) -> None:
    assert outage(Host("nft delete").run, COLLECTOR, lines=1, seconds=0)["reached"]


@pytest.mark.parametrize(("address", "family"), [("192.0.2.7", "ip"), ("127.0.0.1", "ip"), ("2001:db8::7", "ip6")])
def test_only_the_collectors_port_is_cut(address: str, family: str) -> None:
    assert f"{family} daddr {address} tcp dport 2514 reject with tcp reset" in ruleset(address, 2514)
