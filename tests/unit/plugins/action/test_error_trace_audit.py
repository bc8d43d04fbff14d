"""The controller asks through the edge, and the collector gets the id of the answer, not the edge's secret."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.airworthy.stack.plugins.action.error_trace_audit import ActionModule
from tls_server import DOMAIN, Page, answering, make_certificate, server_context, serving

CONTROL = {"changed": False, "controls": [{"id": "log.errors"}]}


class Trace(ActionModule):
    def __init__(self, arguments: dict[str, Any]) -> None:
        self._task = SimpleNamespace(args=arguments, check_mode=False)
        self.sent: dict[str, Any] = {}

    def _execute_module(self, **options: Any) -> dict[str, Any]:
        self.sent = options["module_args"]
        return CONTROL


@pytest.fixture(autouse=True)
def no_ansible_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_: {})


def traced(directory: Path, path: str, status: int = 500) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """What the module was told, and what the edge was asked with which credentials."""
    certificate, asked = make_certificate(directory), []

    def answer(request: Any) -> Page:
        asked.append((request.path, request.headers["X-Airworthy-Probe"].partition(".")[0]))
        return Page(status, headers=(("X-Request-Id", "467b05f3"),))

    with serving(answering(answer), server_context(certificate)) as port:
        place = {"domain": DOMAIN, "address": "127.0.0.1", "port": port, "ca_file": str(certificate.ca)}
        action = Trace({**place, "path": path, "probe_key": "secret"})
        assert action.run() == CONTROL
    return action.sent, asked


@pytest.mark.parametrize("status", [500, 404])
def test_the_answers_id_and_status_are_handed_on(tmp_path: Path, status: int) -> None:
    sent, asked = traced(tmp_path, "/fail", status)
    assert (sent["request_id"], sent["status"]) == ("467b05f3", status)
    assert asked == [("/fail", "secret")]
    assert "probe_key" not in sent, "a secret of the edge does not go to the collector"


def test_without_a_path_nobody_is_asked(tmp_path: Path) -> None:
    sent, asked = traced(tmp_path, "")
    assert (sent["request_id"], sent["status"], asked) == ("", 0, [])


def test_an_edge_that_is_down_has_no_id() -> None:
    action = Trace({"domain": DOMAIN, "address": "127.0.0.1", "port": 1, "path": "/fail"})
    action.run()
    assert (action.sent["request_id"], action.sent["status"]) == ("", 0)
