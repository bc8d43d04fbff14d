"""The load goes on for as long as the application's host is at work on the instance."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.airworthy.stack.plugins.action.failover_audit import ActionModule
from tls_server import DOMAIN, Page, answering, make_certificate, server_context, serving

UNIT = {"unit": "app@3000.service", "state": "active", "connections": 5}
BEFORE = {**UNIT, "pid": 10, "invocation": "a1", "restarts": 0}
KILLED = {"before": [BEFORE], "after": {**UNIT, "pid": 30, "invocation": "c3", "restarts": 1}, "seconds": 1.0}


class Site:
    """A site behind whose edge an instance is killed."""

    def __init__(self, directory: Path) -> None:
        self.asked = 0
        self.status = 200
        self.certificate = make_certificate(directory)

    def answer(self, _request: object) -> Page:
        self.asked += 1
        return Page(self.status)

    def wait_for_more(self, count: int) -> None:
        wanted = self.asked + count
        while self.asked < wanted:
            time.sleep(0.001)


class Failover(ActionModule):
    def __init__(self, arguments: dict[str, Any], kill: Callable[[], dict[str, Any]], check_mode: bool) -> None:
        self._task = SimpleNamespace(args=arguments, check_mode=check_mode)
        self.kill = kill
        self.sent: list[dict[str, Any]] = []

    def _execute_module(self, **options: Any) -> dict[str, Any]:
        self.sent.append(options["module_args"])
        return self.kill()


@pytest.fixture(autouse=True)
def no_ansible_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_: {})


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    found = Site(tmp_path)
    with serving(answering(found.answer), server_context(found.certificate)) as port:
        found.port = port  # type: ignore[attr-defined]
        yield found


def failover(site: Site, kill: Callable[[], dict[str, Any]], check_mode: bool = False, instances: int = 2) -> Failover:
    arguments = {
        "domain": DOMAIN,
        "address": "127.0.0.1",
        "port": site.port,  # type: ignore[attr-defined]
        "ca_file": str(site.certificate.ca),
        "instances": [{"unit": f"app@{3000 + number}.service", "port": 3000 + number} for number in range(instances)],
        "users": 3,
        "probe_key": "secret",
    }
    return Failover(arguments, kill, check_mode)


def control_of(action: Failover) -> dict[str, Any]:
    return action.run()["controls"][0]


def test_users_ask_before_while_and_after(site: Site) -> None:
    def kill() -> dict[str, Any]:
        site.wait_for_more(5)
        return KILLED

    action = failover(site, kill)
    result = action.run()
    assert result["changed"]
    assert result["controls"][0]["status"] == "pass", result["controls"]
    assert "probe_key" not in action.sent[0], "a secret of the edge does not go to the application's host"


def test_a_request_that_fails_meanwhile_is_seen(site: Site) -> None:
    def kill() -> dict[str, Any]:
        site.status = 502
        site.wait_for_more(5)
        site.status = 200
        return KILLED

    control = control_of(failover(site, kill))
    assert control["status"] == "fail"
    assert "times status 502" in control["observed"]


def test_a_host_that_cannot_kill_is_an_error(site: Site) -> None:
    control = control_of(failover(site, lambda: {"failed": True, "msg": "there is no unit app@3000.service"}))
    assert control["status"] == "error"
    assert "there is no unit app@3000.service" in control["observed"]


@pytest.mark.parametrize(
    ("options", "status", "outcome"),
    [({"check_mode": True}, 200, "not_run"), ({"instances": 1}, 200, "fail"), ({}, 502, "fail")],
    ids=["check mode", "a single instance", "a site that is down"],
)
def test_nothing_is_killed(site: Site, options: dict[str, Any], status: int, outcome: str) -> None:
    site.status = status
    action = failover(site, lambda: KILLED, **options)
    result = action.run()
    assert (result["changed"], action.sent) == (False, [])
    assert result["controls"][0]["status"] == outcome
