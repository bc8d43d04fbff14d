"""Lines arrive, each of them, in order and without secrets, whatever is killed, full or rotated meanwhile."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from live_server import edge_domain
from log_flood import STORE, Flood
from testinfra.host import Host

Wait = Callable[..., Any]
LINES = 30_000
UNITS = "airworthy-log-shipper airworthy-log-collector"
FIGURES = "/var/lib/prometheus/node-exporter/airworthy_log_shipper.prom"


def restarted(host: Host) -> None:
    host.check_output(f"systemctl reset-failed {UNITS}; systemctl start {UNITS}")


@pytest.fixture
def away(host: Host) -> Iterator[None]:
    """The collector is not there, until somebody starts it."""
    host.check_output("systemctl stop airworthy-log-collector")
    yield
    restarted(host)


def test_nothing_is_lost_when_both_sides_are_killed(
    flood: Flood, away: None, kill: Callable[[str], None], wait: Wait, host: Host
) -> None:
    """The collector is away while much is logged. When it catches up, each side is killed, then both."""
    flood.pour(1, LINES)
    host.check_output("systemctl start airworthy-log-collector")
    fifth = LINES // 5
    for arrived, victims in ((fifth, ["shipper"]), (2 * fifth, ["collector"]), (3 * fifth, ["shipper", "collector"])):
        wait(lambda arrived=arrived: flood.count() >= arrived)
        for victim in victims:
            kill(victim)
    wait(lambda: flood.numbers()[-1:] == [LINES], 120)
    assert flood.numbers() == list(range(1, LINES + 1))


def test_the_search_shows_each_line_once(flood: Flood, kill: Callable[[str], None], wait: Wait, host: Host) -> None:
    flood.pour(1, 3000)
    wait(lambda: flood.count() > 500)
    kill("shipper")
    wait(lambda: flood.numbers()[-1:] == [3000])
    restarted(host)
    found = host.check_output(f"airworthy-logs search --program {flood.program} --json").splitlines()
    assert sorted(int(json.loads(line)["message"].split()[1]) for line in found) == list(range(1, 3001))


def test_a_full_disk_of_the_collector_loses_nothing(flood: Flood, wait: Wait, host: Host) -> None:
    """The clients keep what they have, and bring it when there is room again."""
    mount = f"mount -t tmpfs -o size=1m,mode=750,uid=airworthy-logs,gid=adm full {STORE}"
    host.check_output(f"systemctl stop airworthy-log-collector && {mount} && systemctl start airworthy-log-collector")
    try:
        flood.pour(1, 10_000)
        wait(lambda: host.run(f"test $(df --output=avail {STORE} | tail -1) -lt 64").succeeded)
        assert 0 < flood.count() < 10_000
        host.check_output(f"mount -o remount,size=100m {STORE}")
        found = f"airworthy-logs search --program {flood.program} --json"
        wait(lambda: '"line 10000 of' in host.run(found).stdout, 120)
        numbers = [int(re.findall(r'"line (\d+) of', line)[0]) for line in host.check_output(found).splitlines()]
        assert sorted(numbers) == list(range(1, 10_001))
    finally:
        host.check_output(f"systemctl stop airworthy-log-collector && umount {STORE}")
        restarted(host)


def test_a_log_that_is_rotated_meanwhile_arrives_whole(wait: Wait, host: Host) -> None:
    marker = f"rotated-{secrets.token_hex(4)}"
    ask = f"curl -s -o /dev/null -H 'Host: {edge_domain(host)}' 'http://localhost/{marker}-[1-50]'"
    rotate = "logrotate --force /etc/logrotate.d/nginx"
    host.check_output(f"{ask}; {rotate}; {ask}; {rotate}; {ask}")
    files = f"{STORE}/{host.check_output('hostname')}/nginx-access/*.jsonl"
    wait(lambda: host.check_output(f"cat {files} | grep -c {marker} || true") == "150")


def test_what_the_journal_has_thrown_away_is_counted(flood: Flood, away: None, wait: Wait, host: Host) -> None:
    """Only a journal that is too small for the time in which the collector is away loses lines, and that is told."""
    flood.pour(1, 500)
    host.check_output("systemctl stop airworthy-log-shipper")
    flood.pour(501, 2000)
    host.check_output("journalctl --rotate && journalctl --vacuum-files=1")
    flood.pour(2001, 2100)
    restarted(host)
    wait(lambda: flood.numbers()[-1:] == [2100])
    lost = set(range(1, 2101)) - set(flood.numbers())

    def counted() -> int:
        told = re.findall(r'dropped_total\{reason="vacuumed"\} (\d+)', host.check_output(f"cat {FIGURES}"))
        return sum(int(number) for number in told)

    wait(lambda: counted() >= len(lost) > 0)


def test_several_lines_of_one_message_stay_one(wait: Wait, host: Host) -> None:
    marker = secrets.token_hex(8)
    said = f"Error: {marker}\\n    at one\\n    at two"
    host.check_output(f"""python3 -c "import syslog; syslog.openlog('trace'); syslog.syslog('{said}')" """)
    files = f"{STORE}/{host.check_output('hostname')}/trace/*.jsonl"
    line = wait(lambda: host.run(f"cat {files} | grep {marker}").stdout)
    assert json.loads(line.splitlines()[-1])["message"] == f"Error: {marker}\n    at one\n    at two"


def test_a_host_cannot_write_the_log_of_another_one(wait: Wait, host: Host) -> None:
    """Whoever has a host's certificate may say what they like, and it stands under the name of that host."""
    marker, name = secrets.token_hex(8), host.check_output("hostname")
    record = json.dumps({"message": marker, "host": "somebody-else", "id": marker})
    today = datetime.now(UTC).date().isoformat()
    message = f"<134>1 {today}T00:00:00Z ../../somebody-else forged - - - {record}"
    offer = "relp_version=0\\nrelp_software=test\\ncommands=syslog"
    frames = f"1 open 49 {offer}\\n2 syslog {len(message)} {message}\\n"
    tls = "-CAfile /etc/airworthy/tls/ca.crt -cert /etc/airworthy/tls/server.crt -key /etc/airworthy/tls/server.key"
    client = f"openssl s_client -quiet -connect 127.0.0.1:2514 {tls}"
    host.check_output(f"(printf '{frames}'; sleep 20) 2>/dev/null | timeout 20 {client} >/dev/null 2>&1 &")
    found = wait(lambda: host.run(f"grep -rl {marker} {STORE} --include={today}.jsonl").stdout)
    assert found.strip() == f"{STORE}/{name}/forged/{today}.jsonl"


def test_prometheus_is_told(host: Host) -> None:
    told = host.check_output(f"runuser -u prometheus -- cat {FIGURES}")
    assert re.search(r'^airworthy_log_shipper_lines_total\{program="\S+",level="info"\} [1-9]', told, re.MULTILINE)
    assert "airworthy_log_shipper_unreadable_sources 0" in told
