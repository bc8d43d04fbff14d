"""The logs are looked at before and after the requests, on the server."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.airworthy.stack.plugins.action.log_audit import ActionModule
from ansible_collections.airworthy.stack.plugins.module_utils.web_client import Answer
from ansible_collections.airworthy.stack.plugins.plugin_utils import personal_data
from ansible_collections.airworthy.stack.plugins.plugin_utils.personal_data import KINDS, Sample

LOG = "/var/log/nginx/access.log"
POSITIONS = {"files": {"1:2": 3}, "cursor": "s=1"}
NOTHING = {"searched": [LOG], "found": {kind: [] for kind in KINDS}, "missing": []}


class Audit(ActionModule):
    def __init__(self, *answers: dict[str, Any]) -> None:
        self._task = SimpleNamespace(args={"domain": "app.example.org", "canary": "/canary"})
        self.answers = list(answers)
        self.executions: list[dict[str, Any]] = []

    def _execute_module(self, **options: Any) -> dict[str, Any]:
        self.executions.append(options["module_args"])
        return self.answers.pop(0)


@pytest.fixture(autouse=True)
def one_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_: {})
    sample = Sample("a page", (200,), Answer(200, (("X-Request-Id", "a1"),)))
    monkeypatch.setattr(personal_data, "samples", lambda *_: iter([sample]))


def test_what_was_added_since_is_searched_for_what_was_sent() -> None:
    audit = Audit({"positions": POSITIONS}, NOTHING)
    (control,) = audit.run()["controls"]
    assert (control["id"], control["level"], control["status"]) == ("data.pii", "deep", "pass")
    before, after = audit.executions
    assert before == {}
    assert (after["since"], after["expected"], after["expected_in"]) == (POSITIONS, ["a1"], LOG)
    assert set(after["texts"]) == set(KINDS)


def test_logs_that_cannot_be_read_are_an_error() -> None:
    (control,) = Audit({"failed": True, "msg": "journalctl: not found"}).run()["controls"]
    assert control["status"] == "error"
    assert "journalctl: not found" in control["observed"]
