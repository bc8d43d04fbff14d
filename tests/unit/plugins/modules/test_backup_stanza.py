from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.airworthy.stack.plugins.modules import backup_stanza
from ansible_collections.airworthy.stack.plugins.modules.backup_stanza import (
    LOCKED,
    MISMATCH,
    Stanzas,
    missing,
    statuses,
    without_backup,
)


def test_the_status_is_read_repository_by_repository() -> None:
    output = json.dumps(
        [
            {"name": "other", "repo": [{"key": 1, "status": {"code": 0}}]},
            {"name": "app", "repo": [{"key": 1, "status": {"code": 0}}, {"key": 2, "status": {"code": 2}}]},
        ]
    )
    assert statuses(output, "app") == {1: 0, 2: 2}
    assert statuses("[]", "app") == {}


@pytest.mark.parametrize(
    ("codes", "is_missing", "is_without"),
    [
        ({1: 0}, False, False),
        ({1: 2}, False, True),
        ({1: 1}, True, True),
        ({}, True, True),
        ({1: 0, 2: 3}, True, True),
    ],
)
def test_missing_in_one_is_missing(codes: dict[int, int], is_missing: bool, is_without: bool) -> None:
    repositories = sorted(codes) or [1]
    assert missing(codes, repositories) is is_missing
    assert without_backup(codes, repositories) is is_without


class Failed(Exception):
    pass


class Answers:
    """A module whose pgBackRest knows the stanza with a status, and answers each command once, then as it did last."""

    def __init__(self, status: int, commands: dict[str, list[int]], **params: Any) -> None:
        self.params = {"stanzas": ["app"], "repositories": [1], "adopt": False, **params}
        self.status = status
        self.commands = commands

    def run_command(self, command: list[str], cwd: str) -> tuple[int, str, str]:
        if command[-1] == "info":
            return 0, json.dumps([{"name": "app", "repo": [{"key": 1, "status": {"code": self.status}}]}]), ""
        codes = self.commands[command[-1]]
        code = codes.pop(0) if len(codes) > 1 else codes[0]
        return code, "", "ERROR: unable to acquire lock" if code == LOCKED else ""

    def warn(self, warning: str) -> None:
        """Of what is foreign, which is in the result, too."""

    def fail_json(self, msg: str, **_result: Any) -> None:
        raise Failed(msg)


def converged(module: Any) -> dict[str, list[str]]:
    stanzas = Stanzas(module)
    stanzas.converge("app")
    return {key: names for key, names in stanzas.result.items() if names}


THERE, ABSENT = 0, 1


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup_stanza, "LOCK_SECONDS", 0)


def test_what_uses_the_stanza_is_waited_for() -> None:
    assert converged(Answers(ABSENT, {"stanza-create": [LOCKED, 0]})) == {"created": ["app"]}
    assert converged(Answers(THERE, {"stanza-create": [LOCKED, MISMATCH]})) == {"foreign": ["app"]}
    upgraded = {"stanza-create": [MISMATCH], "stanza-upgrade": [LOCKED, 0]}
    assert converged(Answers(THERE, upgraded, adopt=True)) == {"adopted": ["app"]}


@pytest.mark.usefixtures("patience")
def test_a_stanza_that_stays_in_use_is_left_as_it_is() -> None:
    """A backup takes hours, and whatever else is to be provisioned does not wait for it."""
    assert converged(Answers(THERE, {"stanza-create": [LOCKED]})) == {}


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize(("status", "adopt"), [(ABSENT, False), (THERE, True)])
def test_what_cannot_be_done_while_it_is_in_use_is_told(status: int, adopt: bool) -> None:
    with pytest.raises(Failed, match=r"app cannot .*unable to acquire lock"):
        converged(Answers(status, {"stanza-create": [LOCKED], "stanza-upgrade": [LOCKED]}, adopt=adopt))
