"""The database's backups: who may do what, and what they survive."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from live_server import eventually
from testinfra.host import Host

ROOT = Path(__file__).parents[3]
REPOSITORY = "/srv/backup/pgbackrest"
Info = Callable[[], dict[str, Any]]


def pgbackrest(host: Host, arguments: str) -> str:
    output: str = host.check_output(f"runuser -u postgres -- pgbackrest --stanza=app {arguments}")
    return output


def test_a_backup_is_there_and_encrypted(info: Info) -> None:
    assert info()["cipher"] == "aes-256-cbc"
    assert info()["backup"][0]["type"] == "full"


def test_a_row_and_the_key_are_nowhere_in_the_repository(
    host: Host, keeper: Host, sql: Callable[[str], str], archived: Callable[..., float]
) -> None:
    sql("CREATE TABLE IF NOT EXISTS marked (text text)")
    sql("INSERT INTO marked VALUES ('a-row-that-nobody-may-read')")
    sql("CHECKPOINT")
    archived()
    keeper.check_output("systemctl start airworthy-backup@incr")
    everything = "grep --recursive --text --count a-row-that-nobody-may-read "
    assert keeper.run(f"{everything} {REPOSITORY} /srv/backup/vault | grep --quiet --invert-match ':0$'").rc == 1
    # the same search finds it where it is: in the table's file
    assert host.run(f"{everything} /var/lib/postgresql | grep --quiet --invert-match ':0$'").rc == 0
    key = keeper.check_output("sed -n 's/^repo1-cipher-pass=//p' /etc/pgbackrest/pgbackrest.conf")
    assert host.run("grep --recursive --fixed-strings --quiet %s /etc /var/lib/airworthy", key).rc == 1


def test_the_key_is_read_by_nobody_else(keeper: Host) -> None:
    file = keeper.file("/etc/pgbackrest/pgbackrest.conf")
    assert (file.user, file.group, file.mode) == ("root", "postgres", 0o640)


def test_the_role_is_applied_while_a_backup_is_made(host: Host, keeper: Host) -> None:
    """A backup, and archiving in the background, hold the stanza's locks, here for as long as the task takes."""
    locks = [f"/tmp/pgbackrest/app-archive{suffix}.lock" for suffix in ("", "-1")]  # as Debian 12 and 13 name it
    keep = "systemd-run --unit=in-use --property=User=postgres flock {} flock {} sleep 600"
    keeper.check_output(keep.format(*locks))
    try:
        eventually(lambda: keeper.run(f"flock --nonblock {locks[1]} true").failed, 10, pause=0.1)
        refused = keeper.run("runuser -u postgres -- pgbackrest --stanza=app stanza-create")
        assert refused.rc == 50, refused
        arguments = {"stanzas": ["app"], "directory": REPOSITORY, "unit": "airworthy-backup@full.service"}
        command = ["ansible", keeper.backend.name, "-i", "molecule/inventory", "-m", "airworthy.stack.backup_stanza"]
        command += ["-a", json.dumps(arguments)]
        done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "SUCCESS" in done.stdout, "nothing to do"
    finally:
        keeper.check_output("systemctl stop in-use")


def test_only_the_two_hosts_talk_to_each_other(host: Host, keeper: Host) -> None:
    for end in (host, keeper):
        rules = end.check_output("nft list chain inet airworthy input")
        assert len([line for line in rules.splitlines() if "8432" in line and "saddr" in line]) == 1
        assert not [line for line in rules.splitlines() if "8432" in line and "saddr" not in line]


def test_a_host_of_the_same_ca_is_refused(host: Host) -> None:
    """Its certificate is good, its name is not: the database host itself plays the stranger, with another stanza."""
    assert "access denied" in host.check_output("runuser -u postgres -- pgbackrest --stanza=other info")


def test_what_the_vault_has_cannot_be_changed_and_comes_back(host: Host, keeper: Host, info: Info) -> None:
    """Whoever has the rights of the repository's user deletes all of it; root gives it back."""
    keeper.check_output(f"find {REPOSITORY} -type f -exec touch --date='10 minutes ago' {{}} +")
    keeper.check_output("systemctl start airworthy-backup-vault")
    labels = [backup["label"] for backup in info()["backup"]]
    moment = keeper.check_output("date --iso-8601=ns").replace(",", ".")
    intruder = "runuser -u postgres -- sh -c %s"
    assert keeper.run(intruder, f"echo x >> {REPOSITORY}/backup/app/{labels[0]}/bundle/1").rc != 0
    assert keeper.run(intruder, "ls /srv/backup/vault").rc != 0
    keeper.check_output(intruder, f"rm -r {REPOSITORY}/*")
    assert not keeper.run("runuser -u postgres -- pgbackrest --stanza=app info").stdout.count("status: ok")
    keeper.check_output("python3 /usr/local/lib/airworthy/backup_vault.py restore %s", moment)
    assert [backup["label"] for backup in info()["backup"]] == labels
    assert "status: ok" in pgbackrest(keeper, "--output=text --verbose verify")


def test_two_backups_at_once_are_made_one_after_the_other(keeper: Host, info: Info) -> None:
    before = len(info()["backup"])
    keeper.check_output("systemctl start airworthy-backup@incr airworthy-backup@diff")
    assert len(info()["backup"]) == before + 2


def test_a_backup_that_was_killed_leaves_the_repository_usable(keeper: Host, info: Info) -> None:
    before = info()["backup"][-1]["label"]
    keeper.check_output("systemctl start --no-block airworthy-backup@full")
    for _ in range(200):
        if keeper.run("pgrep --full 'pgbackrest.*type=full'").rc == 0:
            break
        time.sleep(0.02)
    keeper.check_output("systemctl kill --signal=KILL airworthy-backup@full")
    while keeper.check_output("systemctl show --property=ActiveState airworthy-backup@full").endswith("ating"):
        time.sleep(0.1)
    assert keeper.check_output("systemctl is-failed airworthy-backup@full || true") == "failed"
    assert info()["backup"][-1]["label"] == before
    keeper.check_output("systemctl start airworthy-backup@full")
    assert info()["backup"][-1]["label"] > before and info()["status"]["message"] == "ok"


def test_the_figures_are_there_for_prometheus(keeper: Host) -> None:
    text = keeper.file("/var/lib/prometheus/node-exporter/airworthy_backup.prom").content_string
    assert 'airworthy_backup_job_success{job="full"} 1' in text
    assert 'airworthy_backup_repository_ok{stanza="app",repository="1"} 1' in text


def test_a_failed_backup_shows_in_journal_and_figures(host: Host, keeper: Host) -> None:
    host.check_output("systemctl stop pgbackrest")
    try:
        assert keeper.run("systemctl start airworthy-backup@incr").rc != 0
    finally:
        host.check_output("systemctl start pgbackrest")
    journal = keeper.check_output("journalctl --unit airworthy-backup@incr --output cat --lines 40 --no-pager")
    assert "FAILED: incr of app in repository 1: [" in journal
    figures = "/var/lib/prometheus/node-exporter/airworthy_backup.prom"
    assert 'airworthy_backup_job_success{job="incr"} 0' in keeper.file(figures).content_string
    keeper.check_output("systemctl start airworthy-backup@incr")
    assert 'airworthy_backup_job_success{job="incr"} 1' in keeper.file(figures).content_string
