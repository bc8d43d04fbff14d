"""What recovery promises, on real servers: drills that prove and clean up, restores to a moment, refusals, extracts."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from testinfra.host import Host

pytestmark = pytest.mark.long

Sql = Callable[[str], str]
Archived = Callable[..., float]
PROGRAM = "python3 -I /usr/local/lib/airworthy/recovery"
RECORD = "/var/lib/airworthy/recovery/drill.json"
SCRATCH = "/var/lib/airworthy/drill/scratch"
# In brackets, so that pgrep does not find the shell that runs it.
NOTHING_LEFT = f"! ls {SCRATCH} && ! pgrep --full '[p]ostgres -D {SCRATCH}'"


def recovery(host: Host, *words: str) -> tuple[int, dict[str, Any]]:
    """Exit code and result of a command of the program."""
    result = host.run(f"{PROGRAM} {words[0]} --json " + " ".join(f"'{word}'" for word in words[1:]))
    found: dict[str, Any] = json.loads(result.stdout)
    return result.rc, found


def cluster(host: Host) -> str:
    return host.check_output("echo postgresql@$(ls /etc/postgresql)-main.service")


def last_drill(host: Host) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(host.check_output(f"cat {RECORD}"))
    return found


# `is-active` says no while a unit of this type is at work.
IDLE = "systemctl show --property ActiveState --value airworthy-drill.service | grep -qE '^(inactive|failed)$'"
WAITING = "grep -q 'wait until' /var/lib/airworthy/recovery/drill.running.json"


def begin_drill(host: Host, sql: Sql) -> None:
    """In the background, and without the minute after which the log would be archived anyway."""
    host.check_output("systemctl start --no-block airworthy-drill.service")
    wait_for(host, WAITING)
    sql("SELECT pg_switch_wal()")


def whole_drill(host: Host, sql: Sql) -> dict[str, Any]:
    begin_drill(host, sql)
    wait_for(host, IDLE, 240)
    return last_drill(host)


def wait_for(host: Host, command: str, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while host.run(command).rc:
        assert time.monotonic() < deadline, f"not within {seconds} s: {command}"
        time.sleep(0.2)


@pytest.fixture
def story(host: Host, keeper: Host, sql: Sql) -> Iterator[dict[str, str]]:
    """Three rows, a restore point after the first, and the time after the second."""
    keeper.check_output("systemctl start airworthy-backup@incr")
    sql("CREATE TABLE story (id int)")
    moments = {}
    sql("INSERT INTO story VALUES (1)")
    moments["name"] = f"story_{time.monotonic_ns()}"
    sql(f"SELECT pg_create_restore_point('{moments['name']}')")
    sql("INSERT INTO story VALUES (2)")
    moments["time"] = sql("SELECT clock_timestamp() AT TIME ZONE 'UTC'") + " UTC"
    time.sleep(0.1)
    sql("INSERT INTO story VALUES (3)")
    moments["timeline"] = sql("SELECT timeline_id FROM pg_control_checkpoint()")
    yield moments
    sql("DROP TABLE IF EXISTS story")
    recovery(host, "discard")
    # so that the next test begins on the newest timeline
    keeper.check_output("systemctl start airworthy-backup@full")


def rows(sql: Sql) -> list[int]:
    return [int(line) for line in sql("SELECT id FROM story ORDER BY 1").split()]


def test_a_drill_proves_and_measures(host: Host, sql: Sql) -> None:
    sql("CREATE TABLE IF NOT EXISTS drilled AS SELECT n, md5(n::text) FROM generate_series(1, 10000) n")
    host.check_output("systemctl start airworthy-drill.service")
    record = last_drill(host)
    assert record["ok"], record
    seen = {check["subject"]: check["observed"] for check in record["checks"]}
    assert seen["app: public.drilled"].startswith("10000 rows")
    assert (seen["canary at the restore point"], seen["canary at the end of the archive"]) == ("absent", "present")
    assert 0 < record["recovery_point_seconds"] < 120 and record["recovery_time_seconds"] > 0
    host.check_output(NOTHING_LEFT)
    metrics = host.check_output("cat /var/lib/prometheus/node-exporter/airworthy_drill.prom")
    assert "airworthy_drill_last_success 1.000" in metrics
    sql("DROP TABLE drilled")


def test_a_drill_waits_for_no_long_transaction_and_blocks_nobody(host: Host, sql: Sql) -> None:
    """A writer that holds its lock makes the drill try again; others are not kept waiting behind it."""
    sql("CREATE TABLE busy (id int)")
    host.check_output(
        "systemd-run --unit busy runuser -u postgres -- psql -d app -c 'BEGIN' -c 'INSERT INTO busy VALUES (1)' "
        "-c 'SELECT pg_sleep(15)' -c 'COMMIT'"
    )
    try:
        host.check_output("systemctl start --no-block airworthy-drill.service")
        for _ in range(12):
            sql("SET lock_timeout = '2s'; INSERT INTO busy VALUES (2)")
            time.sleep(1)
        wait_for(host, WAITING)
        sql("SELECT pg_switch_wal()")
        wait_for(host, IDLE, 240)
        assert last_drill(host)["ok"]
    finally:
        host.run("systemctl stop airworthy-drill.service")
        wait_for(host, "! systemctl is-active busy.service")
        sql("DROP TABLE busy")


@pytest.mark.parametrize(
    "moment",
    [
        "true",
        "pgrep --full '[p]gbackrest.*scratch.*restore'",
        f"pgrep --full '[p]ostgres -D {SCRATCH}'",
    ],
    ids=["waiting", "restoring", "recovering"],
)
def test_a_drill_that_is_killed_leaves_nothing(host: Host, sql: Sql, moment: str) -> None:
    begin_drill(host, sql)
    wait_for(host, moment)
    host.check_output("systemctl kill --signal=KILL --kill-whom=main airworthy-drill.service")
    wait_for(host, IDLE)
    host.check_output(NOTHING_LEFT)
    record = last_drill(host)
    assert not record["ok"] and "killed" in record["reason"] and record["failed_step"]


def test_a_restored_cluster_that_is_damaged_is_seen_and_the_next_drill_is_good(host: Host, sql: Sql) -> None:
    begin_drill(host, sql)
    wait_for(host, f"test -S {SCRATCH}/socket/.s.PGSQL.5499", 120)
    host.check_output(f"rm -r {SCRATCH}/data/pg_xact")
    wait_for(host, IDLE, 240)
    record = last_drill(host)
    assert not record["ok"] and record["reason"]
    host.check_output(NOTHING_LEFT)
    assert whole_drill(host, sql)["ok"]


def test_a_restore_to_a_name_a_time_and_the_newest_state(host: Host, sql: Sql, story: dict[str, str]) -> None:
    """Each leaves a timeline; where an older one is meant, it is named."""
    code, record = recovery(host, "restore", "--to=name", f"--target={story['name']}", "--stop-running")
    assert code == 0, record
    assert rows(sql) == [1] and sql("SELECT pg_is_in_recovery()") == "f"
    code, record = recovery(
        host, "restore", "--to=time", f"--target={story['time']}", f"--timeline={story['timeline']}", "--stop-running"
    )
    assert code == 0, record
    assert rows(sql) == [1, 2] and record["recovered_to_time"]
    sql("INSERT INTO story VALUES (4)")
    code, record = recovery(host, "restore", "--stop-running")
    assert code == 0, record
    assert rows(sql) == [1, 2, 4]
    assert host.file(record["replaced"]).is_directory
    recovery(host, "discard")
    assert not host.file(record["replaced"]).exists
    assert host.service(cluster(host)).is_running


def test_a_target_that_is_never_met_changes_nothing(host: Host, sql: Sql, story: dict[str, str]) -> None:
    code, record = recovery(host, "restore", "--to=name", "--target=never", "--stop-running")
    assert code == 1 and "not in the archive" in record["reason"] and "is back" in record["reason"]
    assert rows(sql) == [1, 2, 3]


def test_a_restore_that_is_killed_is_put_back(host: Host, sql: Sql, story: dict[str, str]) -> None:
    host.check_output(f"systemd-run --unit restore-killed {PROGRAM} restore --stop-running")
    wait_for(host, "pgrep --full '[p]gbackrest.*restore'")
    host.check_output("systemctl kill --signal=KILL restore-killed.service")
    code, result = recovery(host, "plan", "--stop-running")
    assert code == 2 and "put-back" in result["refusals"][0]
    assert recovery(host, "put-back")[0] == 0
    assert rows(sql) == [1, 2, 3]
    host.run("systemctl reset-failed restore-killed.service")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--to=newest"], "Postgres runs on"),
        (["--to=time", "--target=2020-01-01 00:00:00 UTC", "--stop-running"], "before the end of the first backup"),
        (["--to=time", "--target=2099-01-01 00:00:00 UTC", "--stop-running"], "in the future"),
        (["--backup-set=20200101-000000F", "--stop-running"], "there is no backup"),
    ],
)
def test_a_wrong_restore_is_refused(host: Host, words: list[str], reason: str) -> None:
    before = host.check_output("ls /var/lib/postgresql/*")
    for command in ("plan", "restore"):
        code, result = recovery(host, command, *words)
        assert code == 2 and reason in str(result.get("refusals") or result["refused"])
    assert host.check_output("ls /var/lib/postgresql/*") == before


def test_a_wrong_key_is_named(host: Host, keeper: Host) -> None:
    configuration = "/etc/pgbackrest/pgbackrest.conf"
    keeper.check_output(f"cp --preserve=all {configuration} /root/pgbackrest.conf")
    try:
        keeper.check_output(f"sed -i 's/^repo1-cipher-pass=.*/repo1-cipher-pass=another/' {configuration}")
        keeper.check_output("systemctl restart pgbackrest")
        code, result = recovery(host, "plan", "--stop-running")
        assert code == 2 and "the key that opens it is wrong or lost" in result["refused"]
    finally:
        keeper.check_output(f"cp --preserve=all /root/pgbackrest.conf {configuration} && rm /root/pgbackrest.conf")
        keeper.check_output("systemctl restart pgbackrest")


def test_a_dropped_table_comes_back_in_a_database_of_its_own(host: Host, sql: Sql, archived: Archived) -> None:
    sql("CREATE TYPE mood AS ENUM ('fine')")
    sql("CREATE TABLE lost (id int PRIMARY KEY, mood mood)")
    sql("INSERT INTO lost SELECT n, 'fine' FROM generate_series(1, 100) n")
    moment = sql("SELECT clock_timestamp() AT TIME ZONE 'UTC'") + " UTC"
    time.sleep(0.1)
    sql("DROP TABLE lost")
    sql("DROP TYPE mood")
    archived()
    code, record = recovery(
        host, "extract", "--database=app", "--table=public.lost", "--to=time", f"--target={moment}"
    )  # fmt: skip
    assert code == 0, record
    assert record["rows"] == 100 and record["database"].startswith("app_restored_")
    psql = "runuser -u postgres -- psql -XAt -d %s -c 'SELECT sum(id) FROM lost'"
    assert host.check_output(psql, record["database"]) == "5050"
    assert host.run(f"{PROGRAM} plan --stop-running").rc == 0
    host.check_output(f"runuser -u postgres -- dropdb {record['database']}")
    host.check_output("test -z \"$(ls /var/lib/airworthy/extract)\"")


def test_a_table_that_never_was_leaves_nothing(host: Host, sql: Sql) -> None:
    code, record = recovery(host, "extract", "--database=app", "--table=public.never")
    assert code == 1 and "no table public.never" in record["reason"]
    assert sql("SELECT count(*) FROM pg_database WHERE datname ~ 'restored'") == "0"


def test_after_a_restart_the_log_is_archived_as_soon_as_before(host: Host, sql: Sql) -> None:
    """Postgres looks at archive_timeout when its checkpointer wakes; from its start on that takes five minutes."""
    sql("CREATE TABLE IF NOT EXISTS in_time (id int)")
    host.check_output(f"systemctl restart {cluster(host)}")
    assert archived_by_itself(sql) < 75
    sql("DROP TABLE in_time")


def test_after_a_restore_the_log_is_archived_as_soon_as_before(host: Host, keeper: Host, sql: Sql) -> None:
    sql("CREATE TABLE IF NOT EXISTS in_time (id int)")
    code, result = recovery(host, "restore", "--stop-running", "--discard-replaced")
    assert code == 0, result
    sql("CREATE TABLE IF NOT EXISTS in_time (id int)")
    assert archived_by_itself(sql) < 75
    sql("DROP TABLE in_time")
    keeper.check_output("systemctl start airworthy-backup@full")


def archived_by_itself(sql: Sql) -> float:
    """Seconds until a commit is archived when nobody ends its segment; the objective is 60."""
    sql("INSERT INTO in_time VALUES (1)")
    segment = sql("SELECT pg_walfile_name(pg_current_wal_insert_lsn())")
    begun = time.monotonic()
    while sql("SELECT coalesce(last_archived_wal, '') FROM pg_stat_archiver") < segment:
        assert time.monotonic() - begun < 400, sql("SELECT * FROM pg_stat_archiver")
        time.sleep(0.5)
    return time.monotonic() - begun
