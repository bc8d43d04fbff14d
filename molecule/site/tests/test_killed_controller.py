"""The controller dies with kill -9 in mid-run, ten times: the site keeps serving, and the next run converges."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SERVER = "airworthy-site13"
DOMAIN = f"{SERVER}.airworthy.test"
MOMENTS = 10


class Visitor(threading.Thread):
    """Asks for the site's health through the edge, over and over, and notes every answer that is not 200."""

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        self.address = address
        self.tls = ssl.create_default_context(cafile=ROOT / "molecule/inventory/.secrets/pki/ca.crt")
        self.served = 0
        self.failures: list[str] = []
        self.finished = threading.Event()

    def run(self) -> None:
        while not self.finished.wait(0.05):
            try:
                self.ask()
                self.served += 1
            except (OSError, http.client.HTTPException, AssertionError) as problem:
                self.failures.append(f"{time.strftime('%X')} {problem!r}")

    def ask(self) -> None:
        with (
            socket.create_connection((self.address, 443), timeout=5) as plain,
            self.tls.wrap_socket(plain, server_hostname=DOMAIN) as encrypted,
        ):
            encrypted.sendall(f"GET /healthz HTTP/1.1\r\nHost: {DOMAIN}\r\nConnection: close\r\n\r\n".encode())
            response = http.client.HTTPResponse(encrypted)
            response.begin()
            assert response.status == 200, response.status


def start(changes: dict[str, object], mark: str) -> subprocess.Popen[str]:
    command = ["ansible-playbook", "site.yml", "-i", "molecule/inventory", "--limit", SERVER, "-e", json.dumps(changes)]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "AIRWORTHY_TEST_RUN": mark},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def tasks(run: subprocess.Popen[str]) -> Iterator[str]:
    """Each task of the run, when it begins."""
    assert run.stdout
    return (line for line in run.stdout if line.startswith("TASK ["))


def kill_marked(mark: str) -> None:
    """Kill the run and all its children, which put themselves into sessions of their own."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"AIRWORTHY_TEST_RUN={mark}".encode() in (process / "environ").read_bytes():
                os.kill(int(process.name), signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it ended in the meantime, or it is not ours


def changes(moment: int) -> dict[str, object]:
    """Something new in every tier, so that each moment has work; all of it is reloaded, so that no visitor notices."""
    return {
        "base_journal_max_use": f"{900 + moment}M",
        "postgresql_settings": {"log_autovacuum_min_duration": f"{1000 + moment}ms"},
        "pgbouncer_settings": {"query_wait_timeout": 30 + moment},
        "nginx_client_max_body_mb": 10 + moment,
    }


@pytest.fixture(scope="module")
def address() -> str:
    command = ["podman", "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", SERVER]
    return subprocess.run(command, check=True, text=True, capture_output=True).stdout.strip()


def test_ten_kills_then_convergence(
    address: str, playbook: Callable[..., subprocess.CompletedProcess[str]], certify: Callable[..., dict]
) -> None:
    visitor = Visitor(address)
    visitor.start()
    whole = start(changes(0), uuid.uuid4().hex)
    total = len(list(tasks(whole)))
    assert whole.wait(timeout=300) == 0

    for moment in range(1, MOMENTS + 1):
        mark = uuid.uuid4().hex
        run = start(changes(moment), mark)
        begun = len(list(itertools.islice(tasks(run), total * moment // (MOMENTS + 1))))
        assert begun, "none of its tasks began"
        time.sleep(0.05 * moment)  # at the beginning of a task, or some way into it
        assert run.poll() is None, "the run was to be killed, but it had ended"
        kill_marked(mark)
        run.wait(timeout=30)

    last = json.dumps(changes(MOMENTS))
    converged = playbook("site.yml", "-e", last, "--limit", SERVER)
    assert converged.returncode == 0, converged.stdout + converged.stderr
    again = playbook("site.yml", "-e", last, "--limit", SERVER)
    assert re.findall(r"changed=(\d+) ", again.stdout) == ["0"], again.stdout

    certificate = certify("quick", "-e", last, "--limit", SERVER)
    assert certificate["verdict"] == "pass", [c for c in certificate["controls"] if c["status"] == "fail"]

    back = playbook("site.yml", "--limit", SERVER)
    assert back.returncode == 0, back.stdout + back.stderr

    visitor.finished.set()
    visitor.join(timeout=10)
    assert visitor.served > 50
    assert not visitor.failures
