"""What happens to backups when something breaks: nothing is lost, and it is said what broke."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from testinfra.host import Host

pytestmark = pytest.mark.long

Sql = Callable[[str], str]
Info = Callable[[], dict[str, Any]]
Archived = Callable[..., float]
Certified = Callable[[Host], list[dict[str, Any]]]
REPOSITORY = "/srv/backup/pgbackrest"


def verdict(controls: list[dict[str, Any]], control: str) -> tuple[set[str], str]:
    """The statuses of a control, and what was observed."""
    found = [record for record in controls if record["id"] == control]
    return {record["status"] for record in found}, "; ".join(record["observed"] for record in found)


def fill_a_segment(sql: Sql) -> None:
    """Of the write-ahead log, which has to be archived then."""
    sql("SELECT pg_logical_emit_message(false, 'test', 'what nobody can store')")
    sql("SELECT pg_switch_wal()")


@contextmanager
def network_cut(host: Host) -> Iterator[None]:
    """Nothing gets from the database host to the repository."""
    rule = "type filter hook output priority 0; tcp dport 8432 drop;"
    host.check_output(f"nft 'table inet cut {{ chain output {{ {rule} }}; }}'")
    try:
        yield
    finally:
        host.check_output("nft delete table inet cut")


def test_a_repository_that_was_away_catches_up(
    host: Host, keeper: Host, sql: Sql, archived: Archived, info: Info
) -> None:
    """Two backups fail meanwhile; the log waits on the database host, and none of it is lost."""
    keeper.check_output("systemctl stop pgbackrest")
    host.check_output("systemctl stop pgbackrest")
    try:
        for _ in range(10):
            fill_a_segment(sql)
        waiting = "SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'"
        assert int(sql(waiting)) >= 9
        for _ in range(2):
            assert keeper.run("systemctl start airworthy-backup@incr").rc != 0
    finally:
        keeper.check_output("systemctl start pgbackrest")
        host.check_output("systemctl start pgbackrest")
    archived()
    assert int(sql(waiting)) == 0
    keeper.check_output("systemctl start airworthy-backup@incr")
    newest = info()["backup"][-1]
    assert newest["timestamp"]["stop"] > time.time() - 60


def test_a_log_beyond_its_limit_is_given_up_and_the_gap_is_seen(
    host: Host, keeper: Host, sql: Sql, archived: Archived, certified: Certified
) -> None:
    """The database must not stop for a backup. The certificate says that the log has a gap, until the next backup."""
    configuration = "/etc/pgbackrest/pgbackrest.conf"
    host.check_output(f"sed -i 's/^archive-push-queue-max=.*/archive-push-queue-max=64MB/' {configuration}")
    try:
        with network_cut(host):
            for _ in range(12):
                fill_a_segment(sql)
            deadline = time.monotonic() + 120
            while int(sql("SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'")) > 4:
                assert time.monotonic() < deadline, sql("SELECT * FROM pg_stat_archiver")
                time.sleep(1)
    finally:
        host.check_output(f"sed -i 's/^archive-push-queue-max=.*/archive-push-queue-max=8192MB/' {configuration}")
    archived()
    statuses, observed = verdict(certified(keeper), "db.backup")
    assert statuses == {"fail"} and "segments are missing" in observed
    keeper.check_output("systemctl start airworthy-backup@diff")
    assert verdict(certified(keeper), "db.backup")[0] == {"pass"}


@contextmanager
def small_disk(keeper: Host, free_mb: int) -> Iterator[None]:
    """The repository lies on a disk with so much space left; what is there afterwards moves back."""
    size = int(keeper.check_output(f"du --summarize --block-size=1M {REPOSITORY}").split()[0]) + free_mb
    keeper.check_output(
        f"systemctl stop pgbackrest && mv {REPOSITORY} /srv/backup/aside && mkdir {REPOSITORY}"
        f" && mount -t tmpfs -o size={size}m,mode=0750 small {REPOSITORY}"
        f" && cp --archive /srv/backup/aside/. {REPOSITORY} && rm -r /srv/backup/aside && systemctl start pgbackrest"
    )
    try:
        yield
    finally:
        keeper.check_output(
            f"systemctl stop pgbackrest && cp --archive {REPOSITORY} /srv/backup/aside && umount {REPOSITORY}"
            f" && rmdir {REPOSITORY} && mv /srv/backup/aside {REPOSITORY} && systemctl start pgbackrest"
        )


def test_a_full_disk_loses_nothing(host: Host, keeper: Host, sql: Sql, archived: Archived, info: Info) -> None:
    with small_disk(keeper, free_mb=8):
        keeper.run(f"dd if=/dev/zero of={REPOSITORY}/filler bs=64k")
        assert keeper.run("systemctl start airworthy-backup@full").rc != 0
        fill_a_segment(sql)
        log = host.file("/var/log/pgbackrest/app-archive-push-async.log")
        assert "could not push WAL file" in log.content_string
        keeper.check_output(f"rm {REPOSITORY}/filler")
        archived()
    keeper.check_output("systemctl start airworthy-backup@full")
    assert info()["status"]["message"] == "ok"


def test_a_lost_key_is_called_by_its_name(keeper: Host, certified: Certified) -> None:
    configuration = "/etc/pgbackrest/pgbackrest.conf"
    keeper.check_output(f"sed -i.kept 's/^repo1-cipher-pass=.*/repo1-cipher-pass=lost/' {configuration}")
    keeper.check_output(f"chgrp postgres {configuration}")
    try:
        statuses, observed = verdict(certified(keeper), "db.backup")
        assert "fail" in statuses and "is not the one with which it was made" in observed
        assert keeper.run("systemctl start airworthy-backup@incr").rc != 0
    finally:
        keeper.check_output(f"mv {configuration}.kept {configuration} && chgrp postgres {configuration}")
    keeper.check_output("systemctl start airworthy-backup@incr")
    assert verdict(certified(keeper), "db.backup")[0] == {"pass"}


def test_a_clock_that_jumps_leaves_the_backups_in_order(keeper: Host, info: Info) -> None:
    """They are named by the database's clock. The clock of a container is its host's, hence faketime."""
    keeper.check_output("apt-get install --yes --no-install-recommends faketime")
    for jump in ("20 minutes ago", "+20 minutes"):
        before = info()["backup"][-1]["label"]
        keeper.check_output(f"runuser -u postgres -- faketime '{jump}' pgbackrest --stanza=app --type=diff backup")
        assert info()["backup"][-1]["label"] > before
    labels = [backup["label"].split("_")[-1] for backup in info()["backup"]]
    assert labels == sorted(labels)
    keeper.check_output("systemctl start airworthy-backup@incr")


def test_a_tampered_list_of_backups_is_refused(keeper: Host, info: Info) -> None:
    """`latest` is only a convenience; what counts is the list, in two encrypted copies with a checksum each."""
    directory = f"{REPOSITORY}/backup/app"
    keeper.check_output(f"ln -sfn 20200101-000000F {directory}/latest")
    assert info()["status"]["message"] == "ok"
    keeper.check_output("systemctl start airworthy-backup@incr")
    assert keeper.check_output(f"readlink {directory}/latest || true") in ("", info()["backup"][-1]["label"])
    keeper.check_output(f"mkdir /tmp/aside && cp --archive {directory}/backup.info* /tmp/aside")
    try:
        for name in ("backup.info", "backup.info.copy"):
            keeper.check_output(f"printf tampered | dd of={directory}/{name} bs=1 seek=100 conv=notrunc")
        seen = keeper.check_output("runuser -u postgres -- pgbackrest --stanza=app info | cat --show-nonprinting")
        assert "status: error" in seen and "unable to load info file" in seen
    finally:
        keeper.check_output(f"cp --archive /tmp/aside/* {directory} && rm -r /tmp/aside")
    assert info()["status"]["message"] == "ok"
