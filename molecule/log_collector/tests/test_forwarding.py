"""What is collected reaches a real rsyslog and a web service, both over TLS; later, if they are away."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from live_server import eventually
from testinfra.host import Host

STORE = "/var/log/airworthy/web2"
RECEIVERS = "forwarded-hook forwarded-syslog"
JOURNAL = "journalctl --no-pager -o cat -u airworthy-log-forwarder -n 50"
TODAY = datetime.now(UTC).date()


@pytest.fixture(scope="module", autouse=True)
def receivers(host: Host) -> Iterator[None]:
    yield
    host.check_output(f"systemctl stop {RECEIVERS} && rm -rf %s /var/log/forwarded/*", STORE)


def write(host: Host, days_ago: int = 0, count: int = 3) -> list[str]:
    """As the collector does. The ids of the lines."""
    day = TODAY - timedelta(days=days_ago)
    ids = [str(uuid.uuid4()) for _number in range(count)]
    record = {"time": f"{day}T10:00:00.000000Z", "program": "story", "level": "err", "message": "forwarded"}
    lines = "\n".join(json.dumps({"id": each} | record | {"host": "web2"}) for each in ids)
    file = f"{STORE}/story/{day}.jsonl"
    host.check_output("install -d -o airworthy-logs -g adm -m 750 %s %s/story", STORE, STORE)
    host.check_output("printf '%%s\n' %s >>%s", lines, file)
    host.check_output("chown airworthy-logs:adm %s && chmod 640 %s", file, file)
    return ids


def has(host: Host, name: str, ids: list[str]) -> bool:
    found = host.run("cat %s", f"/var/log/forwarded/{name}").stdout
    return all(each in found for each in ids)


def test_what_was_away_gets_everything_when_it_is_back(host: Host) -> None:
    ids = write(host)
    eventually(lambda: "hook takes nothing" in host.check_output(JOURNAL))
    host.check_output(f"systemctl start {RECEIVERS}")
    for name in ("hook", "syslog"):
        eventually(lambda name=name: has(host, name, ids), 90, lambda: host.check_output(JOURNAL))
    assert 'web2 story err {"id": ' in host.file("/var/log/forwarded/syslog").content_string.replace("  ", " ")
    more = write(host)
    for name in ("hook", "syslog"):
        eventually(lambda name=name: has(host, name, more), 20)


def test_what_is_compressed_before_it_is_sent_is_sent_nevertheless(host: Host) -> None:
    host.check_output("systemctl stop airworthy-log-forwarder")
    ids = write(host, days_ago=1)
    host.check_output("touch -d '2 hours ago' %s", f"{STORE}/story/{TODAY - timedelta(days=1)}.jsonl")
    host.check_output("systemctl start airworthy-log-keeper")
    assert host.file(f"{STORE}/story/{TODAY - timedelta(days=1)}.jsonl.zst").exists
    host.check_output("systemctl start airworthy-log-forwarder")
    for name in ("hook", "syslog"):
        eventually(lambda name=name: has(host, name, ids), 60, lambda: host.check_output(JOURNAL))


def test_it_runs_as_nobody_in_particular_and_tells_no_secret(host: Host) -> None:
    process = host.check_output("systemctl show -P MainPID airworthy-log-forwarder")
    assert "CapEff:\t0000000000000000" in host.file(f"/proc/{process}/status").content_string
    assert "forwarded-token" not in host.file(f"/proc/{process}/cmdline").content_string
    assert "forwarded-token" not in host.check_output(JOURNAL)
    settings = host.file("/etc/airworthy/log_forwarder/settings.json")
    assert (settings.user, oct(settings.mode)) == ("root", "0o600")
    assert host.run("runuser -u airworthy-log-forwarder -- cat %s", settings.path).rc != 0


def test_prometheus_is_told_of_each_target(host: Host) -> None:
    for target in ("hook", "siem"):
        wanted = f'airworthy_log_forwarder_delay_seconds{{target="{target}"}} 0'
        eventually(lambda wanted=wanted: wanted in figures(host))


def figures(host: Host) -> str:
    file = "/var/lib/prometheus/node-exporter/airworthy_log_forwarder.prom"
    return host.check_output("runuser -u prometheus -- cat %s", file)
