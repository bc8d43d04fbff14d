"""What is read off the server: units, links, answers, environment files."""

from __future__ import annotations

import http.server
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.airworthy.stack.plugins.module_utils import release
from ansible_collections.airworthy.stack.plugins.module_utils.release import Layout

SHOWN = """\
Id=app@3000.service
LoadState=loaded
ActiveState=active
UnitFileState=enabled
NeedDaemonReload=no
FragmentPath=/etc/systemd/system/app@.service
DropInPaths=/etc/systemd/system/app@.service.d/a.conf /run/b.conf
MainPID=42
ExecMainStartTimestampMonotonic=90000000
ControlGroup=/system.slice/system-app.slice/app@3000.service
MemoryHigh=456130560
MemoryMax=536870912

Id=app@3001.service
LoadState=not-found
ActiveState=inactive
UnitFileState=
NeedDaemonReload=no
MainPID=0
ExecMainStartTimestampMonotonic=0
"""


def test_units_are_read() -> None:
    running, missing = release.parse_show(SHOWN, now=1000.0, monotonic=100.0)
    assert (running.unit, running.state, running.enabled, running.pid) == ("app@3000.service", "active", True, 42)
    assert running.started_at == 990.0
    assert len(running.files) == 3
    assert (missing.exists, missing.state, missing.enabled, missing.started_at) == (False, "inactive", False, 0.0)


def test_the_release_of_a_process_is_where_it_was_started(tmp_path: Path) -> None:
    layout = Layout(str(tmp_path))
    os.makedirs(layout.release("4c1d"))
    home = os.getcwd()
    os.chdir(layout.release("4c1d"))
    try:
        assert release.running_release(os.getpid(), layout) == "4c1d"
    finally:
        os.chdir(home)
    assert release.running_release(os.getpid(), layout) is None
    assert release.running_release(2**22 + 1, layout) is None


def test_a_link_names_its_release(tmp_path: Path) -> None:
    layout = Layout(str(tmp_path))
    assert layout.target("current") is None
    os.symlink("releases/4c1d", layout.link("current"))
    assert layout.target("current") == "4c1d"


def test_the_newest_change_counts_and_missing_files_do_not(tmp_path: Path) -> None:
    file = tmp_path / "environment"
    assert release.newest_change([str(file)]) == 0.0
    file.touch()
    os.utime(file, (1, 1))  # a copied mtime does not hide the change
    assert release.newest_change([str(file)]) == file.stat().st_ctime > 1


ENVIRONMENTS = [
    ("A=plain", {"A": "plain"}),
    ("  A=plain with spaces  ", {"A": "plain with spaces"}),
    ('A="quoted"\nB=\'single "x"\'', {"A": "quoted", "B": 'single "x"'}),
    (r'A="a \"b\" \\ c"', {"A": r'a "b" \ c'}),
    ('A="two\nlines"\nB=2', {"A": "two\nlines", "B": "2"}),
    ("# A=1\n\nB=", {"B": ""}),
    ("URL=postgresql://u:p@h:1/d?a=b&c=d", {"URL": "postgresql://u:p@h:1/d?a=b&c=d"}),
]


@pytest.mark.parametrize(("text", "variables"), ENVIRONMENTS)
def test_environment_files_are_read_as_systemd_reads_them(text: str, variables: dict[str, str]) -> None:
    assert release.parse_environment(text) == variables


def test_secrets_are_taken_out_of_what_is_shown() -> None:
    variables = {
        "NODE_ENV": "production",
        "NEXT_PUBLIC_APP_URL": "https://app.example.org",
        "DATABASE_URL": "postgresql://app:pass%2Fword@localhost/app",
        "API_KEY": "mlsn.secret",
    }
    text = "production https://app.example.org: refused pass/word, pass%2Fword, mlsn.secret"
    shown = release.redacted(text, release.secrets_of(variables))
    assert shown == "production https://app.example.org: refused ********, ********, ********"


def test_last_words_are_few_short_and_without_secrets(tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    environment.write_text('API_KEY="mlsn.secret"\n')
    text = "\n".join([*(f"line {number}" for number in range(50)), "key mlsn.secret", "x" * 1000])
    lines = release.last_words(text, str(environment)).splitlines()
    assert len(lines) == 20
    assert lines[-2] == "key ********"
    assert len(lines[-1]) == 401


def test_a_record_is_written_whole_and_read_back(tmp_path: Path) -> None:
    layout = Layout(str(tmp_path))
    os.makedirs(layout.release("4c1d"))
    assert layout.record("4c1d") is None
    release.write_json(os.path.join(layout.release("4c1d"), release.RECORD), {"steps": []})
    assert layout.record("4c1d") == {"steps": []}
    assert os.listdir(layout.release("4c1d")) == [release.RECORD]


ANSWERS = {"/well": (200, b'{"release": "4c1d"}'), "/ill": (503, b"database unreachable"), "/list": (200, b"[]")}


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, body = ANSWERS[self.path]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Tests are quiet."""


@pytest.fixture
def server() -> Iterator[str]:
    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()


@pytest.mark.parametrize(
    ("path", "ok", "saw", "claimed"),
    [
        ("/well", True, '200 {"release": "4c1d"}', "4c1d"),
        ("/ill", False, "503 database unreachable", None),
        ("/list", True, "200 []", None),
    ],
)
def test_health_is_asked_for(server: str, path: str, ok: bool, saw: str, claimed: str | None) -> None:
    assert release.ask_health(server + path) == release.Health(ok, saw, claimed)


def test_no_answer_is_not_healthy() -> None:
    health = release.ask_health("http://127.0.0.1:9/healthz", timeout=1)
    assert not health.ok
    assert "no answer" in health.saw
