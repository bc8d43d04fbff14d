"""The collector by itself: who may write and read, and what becomes of a day that is over."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from testinfra.host import Host

ROOT = Path(__file__).parents[3]
STORE = "/var/log/airworthy"
YESTERDAY = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()


def line(number: int, host: str = "web1", **more: str) -> str:
    time = f"{YESTERDAY}T10:00:{number % 60:02}.000000Z"
    record = {"time": time, "program": "story", "id": f"s-{number}", "level": "info", "message": f"line {number}"}
    return json.dumps(record | more | {"host": host})


@pytest.fixture
def yesterday(host: Host) -> str:
    """A log of a day that is over, of which a line came twice and another one was cut off."""
    place = f"{STORE}/web1/story"
    lines = [line(1), line(2), line(2), '{"time": "cut', line(3, request_id="request-4711", level="err")]
    host.check_output("install -d -o airworthy-logs -g adm -m 750 %s/web1 %s", STORE, place)
    host.check_output("printf '%%s\n' %s >%s", "\n".join(lines), f"{place}/{YESTERDAY}.jsonl")
    host.check_output("chown airworthy-logs:adm %s && chmod 640 %s", *[f"{place}/{YESTERDAY}.jsonl"] * 2)
    host.check_output("touch -d '2 hours ago' %s", f"{place}/{YESTERDAY}.jsonl")
    yield place
    host.check_output("rm -r %s/web1", STORE)


def test_it_runs_as_nobody_in_particular(host: Host) -> None:
    service = host.check_output("systemctl show -P MainPID airworthy-log-collector")
    status = host.file(f"/proc/{service}/status").content_string
    assert "CapEff:\t0000000000000000" in status
    assert host.check_output(f"ps -o user= -p {service}").strip().startswith("airworth")


def test_other_hosts_reach_it_if_they_are_its_clients(host: Host) -> None:
    rules = host.check_output("nft list ruleset")
    assert 'tcp dport 2514 accept comment "log_collector"' in rules
    assert "tcp dport 2514 accept" not in rules.replace('accept comment "log_collector"', "").replace("saddr", "")


def test_a_day_that_is_over_is_freed_of_duplicates_and_compressed(host: Host, yesterday: str) -> None:
    host.check_output("systemctl start airworthy-log-keeper")
    assert host.check_output("ls %s", yesterday) == f"{YESTERDAY}.jsonl.zst"
    kept = host.check_output("zstd -dcq %s", f"{yesterday}/{YESTERDAY}.jsonl.zst").splitlines()
    assert [json.loads(each)["id"] for each in kept] == ["s-1", "s-2", "s-3"]
    mode = host.file(f"{yesterday}/{YESTERDAY}.jsonl.zst")
    assert (mode.user, mode.group, oct(mode.mode)) == ("airworthy-logs", "adm", "0o640")


def test_what_is_old_is_readable_with_the_private_key_alone(host: Host, yesterday: str) -> None:
    old = (datetime.now(UTC) - timedelta(days=9)).date().isoformat()
    host.check_output("mv %s %s", f"{yesterday}/{YESTERDAY}.jsonl", f"{yesterday}/{old}.jsonl")
    host.check_output("systemctl start airworthy-log-keeper")
    assert host.check_output("ls %s", yesterday) == f"{old}.jsonl.zst.age"
    assert host.run("grep -r 'line 1' %s", yesterday).rc == 1

    search = "airworthy-logs search --host web1 --program story --json"
    without = host.run(f"{search} --since {old}")
    assert (without.rc, without.stdout) == (1, "")
    assert "are encrypted: --identity FILE reads them" in without.stderr

    key = (ROOT / "lab/id_ed25519").read_text()
    found = host.check_output(f"echo %s | {search} --since {old} --identity /dev/stdin", key)
    assert [json.loads(each)["id"] for each in found.splitlines()] == ["s-1", "s-2", "s-3"]


def test_a_request_is_found_in_whatever_file_it_is(host: Host, yesterday: str) -> None:
    search = "airworthy-logs search --request-id request-4711 --json"
    assert json.loads(host.check_output(search))["id"] == "s-3"
    host.check_output("systemctl start airworthy-log-keeper")
    assert json.loads(host.check_output(search))["id"] == "s-3"


def test_what_went_wrong_yesterday_is_on_a_page_for_the_administrator(host: Host, yesterday: str) -> None:
    host.check_output("systemctl start airworthy-log-report")
    report = f"/var/lib/airworthy-log-collector/reports/{YESTERDAY}"
    assert "line" in host.file(f"{report}/errors.html").content_string
    assert oct(host.file(f"{report}/errors.html").mode) == "0o640"


def test_prometheus_is_told_how_much_there_is(host: Host, yesterday: str) -> None:
    host.check_output("systemctl start airworthy-log-keeper")
    told = host.check_output("runuser -u prometheus -- cat /var/lib/prometheus/node-exporter/airworthy_log_store.prom")
    assert 'airworthy_log_store_bytes{log_host="web1"}' in told
