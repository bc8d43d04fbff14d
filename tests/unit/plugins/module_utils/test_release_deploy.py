"""A deployment on a server that exists in this file only: it serves, takes back, and survives kill -9 anywhere."""

from __future__ import annotations

import os
import pwd
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.airworthy.stack.plugins.module_utils import release_deploy
from ansible_collections.airworthy.stack.plugins.module_utils.release import Health, Instance, Layout, write_json
from ansible_collections.airworthy.stack.plugins.module_utils.release_deploy import DeployError, Deployment
from ansible_collections.airworthy.stack.plugins.module_utils.release_plan import Step, Wish
from ansible_collections.airworthy.stack.plugins.module_utils.release_steps import Steps, Unfit

UNITS = ("app@3000.service", "app@3001.service")


class Killed(BaseException):
    """kill -9: nothing catches it."""


class Server:
    """Two instances of an application, and as much of systemd as they need."""

    check_mode = False

    def __init__(self, dest: Path) -> None:
        self.layout = Layout(str(dest))
        self.instances = {unit: Instance(unit, exists=True) for unit in UNITS}
        self.sick: set[str | None] = set()  # releases that do not become healthy
        self.failing: set[str] = set()  # steps and checks that fail
        self.calls = 0
        self.killed_at: int | None = None

    def tick(self) -> None:
        self.calls += 1
        if self.calls == self.killed_at:
            raise Killed

    def run_command(self, command: list[str], **_options: Any) -> tuple[int, str, str]:
        self.tick()
        verb, unit = command[1], command[-1]
        if command[0] == "systemctl" and unit in self.instances:
            changes: dict[str, dict[str, Any]] = {
                "restart": {"state": "active", "release": self.layout.target("current")},
                "stop": {"state": "inactive", "release": None},
                "enable": {"enabled": True},
            }
            self.instances[unit] = replace(self.instances[unit], **changes.get(verb, {}))
        return 0, "", ""

    def step(self, steps: Steps, step: Step, directory: str, stdin: str = os.devnull) -> None:
        self.tick()
        if step.name in self.failing:
            raise Unfit(f"step {step.name} failed")
        Path(directory, step.name).touch()
        steps.note(step.name, step.command, "now", 0.0, 0)

    def health(self, url: str) -> Health:
        release = next(i.release for i in self.instances.values() if url.endswith(i.unit))
        return Health(release not in self.sick, "200" if release not in self.sick else "503")

    def serving(self) -> set[str | None]:
        return {instance.release for instance in self.instances.values() if instance.state == "active"}

    def deploy(self, release: str, archive: str | None = "/archive", **options: Any) -> dict[str, Any]:
        steps = (Step("build", "npm run build"),)
        checks = (Step("smoke-test", "npm run smoke-test"),)
        urls = {unit: f"http://127.0.0.1/{unit}" for unit in UNITS}
        wish = Wish(release, self.layout.dest, "app", urls, steps=steps, checks=checks, health_timeout=0)
        wish = replace(wish, archive=archive, **options)
        return Deployment(self, wish).converge()  # type: ignore[arg-type]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server(tmp_path)
    module = release_deploy

    def written(path: str, content: dict[str, Any]) -> None:
        server.tick()
        write_json(path, content)

    monkeypatch.setattr(module, "observe_instances", lambda units, *_: [server.instances[unit] for unit in units])
    monkeypatch.setattr(module, "ask_health", server.health)
    monkeypatch.setattr(module, "seal", lambda _directory: server.tick())
    monkeypatch.setattr(module, "write_json", written)
    monkeypatch.setattr(module, "HEALTH_INTERVAL", 0)
    monkeypatch.setattr(Steps, "run", lambda steps, *arguments, **options: server.step(steps, *arguments, **options))
    monkeypatch.setattr(Steps, "user", lambda _steps: pwd.getpwuid(os.getuid()))
    return server


def test_the_first_release_serves(server: Server) -> None:
    result = server.deploy("one")
    assert result["changed"]
    assert server.serving() == {"one"}
    record = server.layout.record("one") or {}
    names = [step["name"] for step in record["steps"]]
    assert names == ["unpack", "build", *(f"health-check {unit}" for unit in UNITS), "smoke-test"]
    assert all(instance.enabled for instance in server.instances.values())


def test_the_same_release_again_does_nothing(server: Server) -> None:
    server.deploy("one")
    result = server.deploy("one", archive=None)
    assert (result["changed"], result["actions"], result["needs_archive"]) == (False, [], False)


def test_an_unknown_release_asks_for_its_sources(server: Server) -> None:
    result = server.deploy("one", archive=None)
    assert result["needs_archive"]
    assert server.layout.target("current") is None


def test_the_release_before_is_kept_and_can_serve_again(server: Server) -> None:
    server.deploy("one")
    server.deploy("two")
    assert (server.layout.target("previous"), server.serving()) == ("one", {"two"})
    assert server.deploy("previous", archive=None)["release"] == "one"
    assert (server.layout.target("previous"), server.serving()) == ("two", {"one"})


def test_without_a_release_before_there_is_no_way_back(server: Server) -> None:
    server.deploy("one")
    with pytest.raises(DeployError, match="only one release ever served"):
        server.deploy("previous", archive=None)


def test_a_sick_release_is_taken_back_after_one_instance(server: Server) -> None:
    server.deploy("one")
    server.sick = {"two"}
    with pytest.raises(DeployError, match=r"app@3000.service is not healthy[\s\S]*one serves again"):
        server.deploy("two")
    assert server.serving() == {"one"}
    assert server.layout.target("current") == "one"
    assert os.listdir(server.layout.releases) == ["one"]
    assert not server.deploy("one", archive=None)["changed"]


def test_a_failing_check_takes_the_release_back(server: Server) -> None:
    server.deploy("one")
    server.failing = {"smoke-test"}
    with pytest.raises(DeployError, match=r"smoke-test[\s\S]*one serves again"):
        server.deploy("two")
    assert server.serving() == {"one"}


def test_a_failing_step_switches_nothing(server: Server) -> None:
    server.deploy("one")
    server.failing = {"build"}
    with pytest.raises(DeployError, match="Nothing was switched; release one serves on"):
        server.deploy("two")
    assert os.listdir(server.layout.releases) == ["one"]


def test_a_sick_first_release_leaves_nothing_running(server: Server) -> None:
    server.sick = {"one"}
    with pytest.raises(DeployError, match="first release, so nothing serves"):
        server.deploy("one")
    assert server.serving() == set()
    assert server.layout.target("current") is None


def test_when_the_way_back_is_sick_too_the_message_says_both(server: Server) -> None:
    server.deploy("one")
    server.sick = {"one", "two"}
    with pytest.raises(DeployError, match="one, which served before, does not become healthy either"):
        server.deploy("two")
    assert server.layout.target("current") == "one"


def test_a_sick_restart_has_nothing_to_go_back_to(server: Server) -> None:
    server.deploy("one")
    server.instances[UNITS[0]] = replace(server.instances[UNITS[0]], state="failed")
    server.sick = {"one"}
    with pytest.raises(DeployError, match="nothing to go back to"):
        server.deploy("one", archive=None)
    assert server.layout.target("current") == "one"


def test_only_so_many_releases_are_kept(server: Server) -> None:
    for release in ("one", "two", "three", "four"):
        server.deploy(release, keep=2)
    assert sorted(os.listdir(server.layout.releases)) == ["four", "three"]


def moments(server: Server) -> int:
    """How often a deployment can be killed: once at each of its calls."""
    before = server.calls
    server.deploy("rehearsal")
    return server.calls - before


def test_killed_at_any_moment_the_next_run_converges_and_something_always_serves(server: Server) -> None:
    server.deploy("0")
    total = moments(server)
    assert total > 10
    for moment in range(1, total + 1):
        server.calls, server.killed_at = 0, moment
        with pytest.raises(Killed):
            server.deploy(str(moment))
        serving = server.layout.target("current")
        assert server.layout.record(serving), f"killed at {moment}: {serving} is not complete"
        assert server.serving(), f"killed at {moment}: nothing serves"
        server.killed_at = None
        server.deploy(str(moment))
        assert server.serving() == {str(moment)}
        assert not server.deploy(str(moment), archive=None)["changed"]
        assert not os.path.exists(server.layout.journal)


def test_killed_at_any_moment_a_sick_release_is_still_taken_back(server: Server) -> None:
    server.deploy("0")
    total = moments(server)
    server.deploy("0")
    server.sick = {"sick"}
    for moment in range(1, total + 1):
        server.calls, server.killed_at = 0, moment
        with pytest.raises((Killed, DeployError)):
            server.deploy("sick")
        server.killed_at = None
        with pytest.raises(DeployError, match="0 serves again"):
            server.deploy("sick")
        assert server.serving() == {"0"}, f"killed at {moment}"
        assert server.layout.target("current") == "0"
