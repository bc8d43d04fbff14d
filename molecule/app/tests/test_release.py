"""Releases, told as stories on a live server: bad ones never serve for long, and none leaves the server without one."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

ROOT = Path(__file__).parents[3]
PORTS = (3000, 3001)
INSTANCES = [{"unit": f"app@{port}.service", "health_url": f"http://127.0.0.1:{port}/healthz"} for port in PORTS]
SERVER = """\
import http from 'node:http';
const answer = (req, res) => { res.statusCode = STATUS; res.end('toy'); };
http.createServer(answer).listen(process.env.PORT, process.env.HOST);
"""


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """An application without dependencies, so that a release takes seconds."""
    (tmp_path / "src").mkdir()
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "src/server.js").write_text(SERVER.replace("STATUS", "200"))
    return tmp_path


def release(host: Host, **options: Any) -> dict[str, Any]:
    """Run app_release on the server and return its result."""
    arguments = {"instances": INSTANCES, "environment_file": "/etc/app/environment", "health_timeout": 10, **options}
    command = ["ansible", host.backend.name, "-i", "molecule/inventory", "-m", "airworthy.stack.app_release"]
    command += ["-a", json.dumps(arguments)]
    environment = {**os.environ, "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"}
    done = subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True, timeout=300)
    assert "=> {" in done.stdout, done.stdout + done.stderr
    result: dict[str, Any] = json.loads(done.stdout.partition("=> ")[2])
    return result


def current(host: Host) -> str:
    return Path(host.check_output("readlink /opt/app/current")).name


def running(host: Host) -> set[str]:
    command = "for u in 3000 3001; do readlink /proc/$(systemctl show -P MainPID app@$u)/cwd; done"
    return {Path(line).name for line in host.check_output(command).splitlines()}


@pytest.fixture
def good(host: Host) -> Iterator[str]:
    """What serves before the story; it serves again afterwards."""
    before = current(host)
    yield before
    if current(host) != before:
        release(host, release=before)
    assert running(host) == {before}


def test_a_release_that_is_not_healthy_is_taken_back(host: Host, good: str, toy: Path) -> None:
    (toy / "src/server.js").write_text(SERVER.replace("STATUS", "500"))
    result = release(host, src=str(toy))
    assert "app@3000.service is not healthy at http://127.0.0.1:3000/healthz" in result["msg"]
    assert "500 toy" in result["msg"]
    assert f"{good} serves again" in result["msg"]
    assert "restart app@3001.service" not in result["actions"], "the second instance was touched"
    assert (current(host), running(host)) == (good, {good})


def test_a_release_that_does_not_start_is_taken_back(host: Host, good: str, toy: Path) -> None:
    (toy / "src/server.js").write_text("throw new Error('cannot start: ' + process.env.SESSION_SECRET);")
    result = release(host, src=str(toy))
    assert "cannot start: ********" in result["msg"]
    assert (current(host), running(host)) == (good, {good})


def test_a_failing_step_leaves_the_server_alone(host: Host, good: str, toy: Path) -> None:
    pids = host.check_output("systemctl show -P MainPID app@3000 app@3001")
    result = release(host, src=str(toy), steps=[{"name": "build", "command": "ls /nowhere"}])
    assert "step build (ls /nowhere)" in result["msg"]
    assert f"release {good} serves on" in result["msg"]
    assert host.check_output("systemctl show -P MainPID app@3000 app@3001") == pids
    assert host.check_output("find /opt/app/releases -name '*.partial'") == ""


def test_a_failing_check_takes_the_release_back(host: Host, good: str, toy: Path) -> None:
    result = release(host, src=str(toy), checks=[{"name": "smoke-test", "command": "false"}])
    assert "step smoke-test" in result["msg"]
    assert (current(host), running(host)) == (good, {good})


def test_a_release_serves_once_and_can_be_undone(host: Host, good: str, toy: Path) -> None:
    first = release(host, src=str(toy))
    assert first["changed"]
    assert running(host) == {first["release"]} != {good}
    assert not release(host, src=str(toy))["changed"]
    undone = release(host, release="previous")
    assert undone["release"] == good
    assert running(host) == {good}


def test_a_killed_deployment_is_completed_by_the_next(host: Host, good: str, toy: Path) -> None:
    new = release(host, src=str(toy))["release"]
    # As if the run had died between the two restarts: the first instance runs the new release, the second the old.
    script = f"""
        ln -sfn releases/{good} /opt/app/current && systemctl restart app@3001.service
        ln -sfn releases/{new} /opt/app/current
        echo '{{"from": "{good}", "to": "{new}"}}' > /opt/app/.switching.json
    """
    host.check_output(script)
    assert running(host) == {good, new}
    result = release(host, src=str(toy))
    assert result["actions"] == ["restart app@3001.service", f"check {new}"]
    assert running(host) == {new}
    assert not host.file("/opt/app/.switching.json").exists


def test_a_changed_environment_file_restarts_the_instances_in_turn(host: Host, good: str, toy: Path) -> None:
    release(host, src=str(toy))
    host.check_output("touch /etc/app/environment")
    result = release(host, src=str(toy))
    assert result["actions"] == ["restart app@3000.service", "restart app@3001.service"]
    assert not release(host, src=str(toy))["changed"]
