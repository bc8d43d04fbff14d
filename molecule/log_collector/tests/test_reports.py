"""What is read each morning: pages of real programs, for the administrator and nobody else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

ROOT = Path(__file__).parents[3]
STORE, REPORTS = "/var/log/airworthy", "/var/lib/airworthy-log-collector/reports"
YESTERDAY = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
REPORT = f"{REPORTS}/{YESTERDAY}"
PAGES = ("errors", "database", "requests")
# What GoAccess tells its own page of a path.
HITS = re.compile(r'"hits": *\{ *"count": *(\d+)(?:(?!"hits").)*"data": *"\\?/story\\?/page"', re.DOTALL)
DROP_IN = "/run/systemd/system/airworthy-log-report.service.d"
# Reads all, and is killed then, as the kernel does with what takes too much memory. (The lab has no limits of memory.)
KILLED = "#!/usr/bin/perl\nwhile (<STDIN>) {}\nkill 'KILL', $$;\n"
SESSION = {"user": "app", "database": "app", "application": "story"}
# One failed statement, and one that was slow, as the shipper sends them.
DATABASE: list[dict[str, Any]] = [
    {"level": "err", "message": "division by zero\n[77] app@app/story STATEMENT:  SELECT 1/0 FROM tale"},
    {"level": "info", "message": "duration: 1234.567 ms  execute <unnamed>: SELECT 1 FROM saga\n\tWHERE id = $1"},
]
REQUEST = {
    "client": "0a1b2c3d4e5f", "host": "story.example.org", "method": "GET", "path": "/story/page", "status": 200,
    "bytes": 512, "seconds": 0.012, "protocol": "HTTP/2.0", "agent": "curl/8.5.0",
}  # fmt: skip


def put(host: Host, program: str, records: list[dict[str, Any]]) -> None:
    """A log of yesterday, of which each line came twice."""
    place, lines = f"{STORE}/story1/{program}", []
    for number, record in enumerate(records):
        known = {"time": f"{YESTERDAY}T10:00:{number:02}.000000Z", "program": program, "id": f"{program}-{number}"}
        lines += [json.dumps(known | {"pid": "77"} | record | {"host": "story1"})] * 2
    host.check_output("install -d -o airworthy-logs -g adm -m 750 %s/story1 %s", STORE, place)
    host.check_output("printf '%%s\n' %s >%s", "\n".join(lines), f"{place}/{YESTERDAY}.jsonl")
    host.check_output("chown airworthy-logs:adm %s && chmod 640 %s", *[f"{place}/{YESTERDAY}.jsonl"] * 2)


@pytest.fixture
def story(host: Host) -> Iterator[None]:
    put(host, "postgresql", [record | {"fields": SESSION} for record in DATABASE])
    put(host, "nginx-access", [{"level": "info", "message": "GET /story/page 200", "fields": REQUEST}] * 3)
    yield
    host.check_output("rm -rf %s/story1 %s", STORE, REPORT)


@pytest.fixture
def changed_unit(host: Host) -> Iterator[str]:
    """A file that changes the unit of the reports."""
    host.check_output("mkdir -p %s", DROP_IN)
    yield f"{DROP_IN}/story.conf"
    host.check_output("rm -rf %s /usr/local/bin/killed", DROP_IN)
    host.check_output("systemctl daemon-reload; systemctl reset-failed airworthy-log-report || true")


def make(host: Host) -> None:
    """More often than systemd lets a service start."""
    host.run("systemctl reset-failed airworthy-log-report airworthy-log-collector-setup")
    host.check_output("systemctl start airworthy-log-report")


def page(host: Host, name: str) -> str:
    return host.file(f"{REPORT}/{name}.html").content_string


def answer(host: Host, path: str, *options: str, scheme: str = "https") -> str:
    name = host.check_output("hostname")
    reach = f"--cacert /etc/airworthy/tls/ca.crt --connect-to ::127.0.0.1:9443 {scheme}://{name}:9443{path}"
    return host.check_output(f"curl -s -i --max-time 10 {' '.join(options)} {reach}")


def admin() -> str:
    return f"-u admin:{(ROOT / 'molecule/inventory/.secrets/log_collector_admin').read_text().strip()}"


def status(said: str) -> str:
    return said.split()[1]


# The pages


def test_each_program_makes_its_page_of_yesterday(host: Host, story: None) -> None:
    make(host)
    assert "division by zero" in page(host, "database")
    assert "saga" in page(host, "database")
    assert HITS.search(page(host, "requests"))
    assert "division by zero" in page(host, "errors")
    for name in PAGES:
        file = host.file(f"{REPORT}/{name}.html")
        assert (file.user, file.group, oct(file.mode)) == ("airworthy-logs", "adm", "0o640")
        assert f'href="{YESTERDAY}/{name}.html"' in host.file(f"{REPORTS}/index.html").content_string
    assert host.check_output("find %s -name '.*' -type f", REPORTS) == ""


def test_each_request_counts_once(host: Host, story: None) -> None:
    make(host)
    told = HITS.search(page(host, "requests"))
    assert told and told[1] == "3"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("InaccessiblePaths=/usr/bin/pgbadger", "Permission denied"),
        ("BindReadOnlyPaths=/usr/local/bin/killed:/usr/bin/pgbadger", "SIGKILL"),
    ],
)
def test_a_program_that_fails_is_told_and_loses_no_other_page(
    host: Host, story: None, changed_unit: str, change: str, said: str
) -> None:
    host.check_output("rm -rf %s", REPORT)
    host.check_output("printf '%%s' %s >/usr/local/bin/killed && chmod 755 /usr/local/bin/killed", KILLED)
    host.check_output("printf '[Service]\n%%s\n' %s >%s", change, changed_unit)
    since = host.check_output("date +%s")
    host.check_output("systemctl daemon-reload")
    with pytest.raises(AssertionError, match="airworthy-log-report"):
        make(host)
    assert host.check_output("systemctl show -P Result airworthy-log-report") == "exit-code"
    assert host.check_output("ls %s", REPORT).split() == ["errors.html", "errors.json", "requests.html"]
    told = host.check_output(f"journalctl -u airworthy-log-report -o cat --since @{since}")
    assert "database.html is not written" in told and said in told


# The service


def test_it_has_no_privileges_and_sees_no_logs(host: Host) -> None:
    service = host.check_output("systemctl show -P MainPID airworthy-log-reports")
    status = host.file(f"/proc/{service}/status").content_string
    assert "CapEff:\t0000000000000000" in status
    assert host.check_output("systemctl show -P User airworthy-log-reports") == "airworthy-reports"
    assert "Uid:\t0\t" not in status
    assert host.check_output(f"ls -A /proc/{service}/root/var/log") == ""
    assert host.check_output("ls -A /var/log") != ""


def test_it_is_reached_through_a_tunnel_only(host: Host) -> None:
    assert host.check_output("ss -Hltn 'sport = 9443'").split()[3] == "127.0.0.1:9443"
    assert "dport 9443" not in host.check_output("nft list ruleset")


@pytest.mark.parametrize("path", ["/", "/index.html", f"/{YESTERDAY}/errors.json", "/no/such/page"])
def test_a_stranger_learns_nothing(host: Host, path: str) -> None:
    assert status(answer(host, path)) == "401"
    assert status(answer(host, path, "-u admin:wrong")) == "401"
    assert status(answer(host, path, admin(), scheme="http")) == "400"


def test_the_password_is_kept_as_a_hash_for_the_service(host: Host) -> None:
    hashed = host.file("/etc/airworthy/log_reports/htpasswd")
    assert (hashed.user, hashed.group, oct(hashed.mode)) == ("root", "ssl-cert", "0o640")
    assert hashed.content_string.startswith("admin:$2")


def test_the_administrator_reads_and_only_reads(host: Host, story: None) -> None:
    make(host)
    assert status(answer(host, "/", admin())) == "200"
    assert status(answer(host, "/", admin(), "-X POST")) == "403"
    assert status(answer(host, "/", admin(), "-X DELETE")) == "403"


@pytest.mark.parametrize(
    ("name", "scripts"),
    [("errors", ""), ("database", "'unsafe-inline'"), ("requests", "'unsafe-inline' 'unsafe-eval'")],
)
def test_a_page_may_do_no_more_than_it_has_to(host: Host, story: None, name: str, scripts: str) -> None:
    make(host)
    said = answer(host, f"/{YESTERDAY}/{name}.html", admin(), "-I")
    assert status(said) == "200"
    headers = dict(re.findall(r"^([\w-]+): (.*?)\r?$", said, re.MULTILINE))
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    policy = dict(part.strip().partition(" ")[::2] for part in headers["Content-Security-Policy"].split(";"))
    assert (policy["default-src"], policy["frame-ancestors"], policy["form-action"]) == ("'none'",) * 3
    assert policy.get("script-src", "") == scripts
