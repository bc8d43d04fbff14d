"""What the recovery program makes of what it sees: plans and refusals, timelines, tables, records."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).parents[3] / "roles/backup/templates/recovery/usr/local/lib/airworthy/recovery"
sys.path.insert(0, str(PROGRAM))  # as Python does for a program that is a directory

import drill  # noqa: E402
import extract  # noqa: E402
import plan  # noqa: E402
import process  # noqa: E402
import record  # noqa: E402
import repository  # noqa: E402
import scratch  # noqa: E402
import snapshot  # noqa: E402
from plan import Observed, Options  # noqa: E402
from repository import Archive, Backup, Repository  # noqa: E402

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC).timestamp()
HOUR = 3600
GB = 1_073_741_824
SYSTEM = "7712146493581773637"


def backup(label: str, finished: float, last: str, **changes: Any) -> Backup:
    usual = {"kind": "full", "repository": 1, "system": SYSTEM, "version": 17, "size": 10 * GB, "timeline": 1}
    lsn = repository.lsn(last)
    when = {"started": finished - 60, "finished": finished, "first_lsn": lsn - 100, "last_lsn": lsn}
    return Backup(label=label, **{**usual, **when, **changes})


OLD = backup("old", NOON - 20 * HOUR, "0/10000000")
NEW = backup("new", NOON - 2 * HOUR, "0/30000000")
ARCHIVE = Archive("000000010000000000000040", int(NOON - 60))
SEEN = Observed(
    stanza="app", version=17, data_directory="/pg/main", repository=Repository((OLD, NEW), ARCHIVE), now=NOON,
    system=SYSTEM, cluster_version=17, size=12 * GB, free=100 * GB,
)  # fmt: skip


def wanting(kind: str, value: str = "", **others: Any) -> Options:
    return Options(target=plan.target(kind, value), **others)


def at(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(sep=" ")


@pytest.mark.parametrize(
    ("kind", "value", "label"),
    [
        ("newest", "", "new"),
        ("immediate", "", "new"),
        ("name", "before_deploy", "new"),
        ("xid", "74119", "new"),
        ("time", at(NOON - HOUR), "new"),
        ("time", at(NOON - 2 * HOUR), "old"),  # a backup that ends at the target ends too late
        ("time", at(NOON - 3 * HOUR), "old"),
        ("lsn", "0/30000000", "new"),
        ("lsn", "0/2FFFFFFF", "old"),
    ],
)
def test_the_newest_backup_that_ended_before_the_target(kind: str, value: str, label: str) -> None:
    made = plan.make(SEEN, wanting(kind, value))
    assert (made.refusals, made.backup and made.backup.label) == ((), label)


def test_a_plan_says_what_it_replaces_and_what_it_needs() -> None:
    made = plan.make(SEEN, wanting("newest"))
    assert made.replaced == "/pg/main.replaced-20261125T120000Z"
    assert made.needed == int(10 * GB * 1.05) + GB // 2
    text = "\n".join(made.lines())
    assert "the newest state" in text and "backup: new of 2026-11-25 10:00:00 UTC, 10.0 GB" in text
    assert "100.0 GB free" in text
    assert json.dumps(made.to_dict())


@pytest.mark.parametrize(
    ("change", "options", "reason"),
    [
        ({}, wanting("time", at(NOON - 30 * HOUR)), "before the end of the first backup that could be used .old"),
        ({}, wanting("lsn", "0/1"), "before the end of the first backup"),
        ({}, wanting("time", at(NOON + 1)), "is in the future"),
        ({}, wanting("time", at(NOON - 30)), "later than the archive, which ends at 2026-11-25 11:59:00 UTC"),
        ({"running": True}, wanting("newest"), "Postgres runs on /pg/main.*--stop-running"),
        ({"system": "1"}, wanting("newest"), "belongs to another cluster .1; .*--replace-other"),
        ({"version": 15}, wanting("newest"), "the backup is of Postgres 17, and this server has 15"),
        ({"free": 10 * GB}, wanting("newest"), "needs 11.0 GB, and there are 10.0 GB free"),
        ({"free": GB // 2, "size": GB}, wanting("newest", discard_replaced=True), "needs 11.0 GB"),
        ({"mount_point": True}, wanting("newest"), "is a mount point"),
        ({"system": "", "foreign": ("lost+found", "notes")}, wanting("newest"), "but holds lost.found, notes"),
        ({"interrupted": "/state"}, wanting("newest"), "was interrupted ..state.restore.running.json.; .*put-back"),
        ({"repository": Repository((), ARCHIVE)}, wanting("newest"), "holds no backup"),
        ({}, wanting("newest", backup_set="other"), "there is no backup other; there are old .*, new"),
        ({}, wanting("time", at(NOON - 3 * HOUR), backup_set="new"), "before the end of the first backup"),
    ],
)
def test_it_is_refused(change: dict[str, Any], options: Options, reason: str) -> None:
    [refusal] = plan.make(replace(SEEN, **change), options).refusals
    assert re.search(reason, refusal), refusal


@pytest.mark.parametrize(
    ("change", "options"),
    [
        ({"running": True}, wanting("newest", stop_running=True)),
        ({"running": True}, wanting("time", at(NOON - 30), stop_running=True)),  # it archives the rest when it stops
        ({"system": "1"}, wanting("newest", replace_other=True)),
        ({"system": "", "size": 0}, wanting("newest")),
        ({"free": 10 * GB}, wanting("newest", discard_replaced=True)),
    ],
)
def test_it_is_not_refused(change: dict[str, Any], options: Options) -> None:
    assert plan.make(replace(SEEN, **change), options).refusals == ()


def test_every_reason_is_given_at_once() -> None:
    assert len(plan.make(replace(SEEN, running=True, free=0, version=15), wanting("newest")).refusals) == 3


def test_what_is_deleted_first_is_said() -> None:
    made = plan.make(replace(SEEN, free=10 * GB), wanting("newest", discard_replaced=True))
    assert made.discard_first and "DELETED FIRST" in "\n".join(made.lines())
    assert not plan.make(SEEN, wanting("newest", discard_replaced=True)).discard_first


@pytest.mark.parametrize("text", ["2026-11-25 02:13:00 UTC", "2026-11-25T02:13:00Z", "2026-11-25 03:13+01:00"])
def test_a_time_has_a_zone(text: str) -> None:
    assert plan.target("time", text).value == "2026-11-25 02:13:00+00:00"


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        ("time", "2026-11-25 02:13", "does not say in which time zone"),
        ("time", "yesterday", "is no time"),
        ("time", "", "needs --target"),
        ("newest", "now", "takes no --target"),
        ("lsn", "12", "no position in the log"),
        ("xid", "abc", "no transaction"),
    ],
)
def test_an_unreadable_target_is_refused(kind: str, value: str, reason: str) -> None:
    with pytest.raises(process.Refused, match=reason):
        plan.target(kind, value)


# A restore left timeline 1 at 0/20000000 for timeline 2: what was backed up of timeline 1 after that leads elsewhere.
FORKED = Repository((OLD, NEW), ARCHIVE, timeline=2, ancestors={1: repository.lsn("0/20000000")})


def test_a_backup_that_the_newest_timeline_does_not_pass_is_not_used() -> None:
    assert [entry.label for entry in FORKED.backups if FORKED.usable(entry)] == ["old"]
    assert plan.choose(FORKED, wanting("newest")).label == "old"
    assert plan.choose(FORKED, wanting("newest", timeline=1)).label == "new"
    later = backup("later", NOON - HOUR, "0/21000000", timeline=2)
    assert plan.choose(replace(FORKED, backups=(OLD, NEW, later)), wanting("newest")).label == "later"
    with pytest.raises(process.Refused, match=r"with --timeline: new .timeline 1"):
        plan.choose(replace(FORKED, backups=(NEW,)), wanting("newest"))


def test_a_backup_with_wrong_pages_is_used_only_by_name() -> None:
    found = Repository((OLD, replace(NEW, error=True)), ARCHIVE)
    assert plan.choose(found, wanting("newest")).label == "old"
    assert plan.choose(found, wanting("newest", backup_set="new")).label == "new"
    assert drill.newest(found, None).label == "old"


def test_a_history_file() -> None:
    text = "1\t0/4300C5E8\tat restore point\n\n2\t0/45000028\tno recovery target specified\n"
    assert repository.history(text) == {1: 0x4300C5E8, 2: 0x45000028}
    assert repository.lsn_text(repository.lsn("1A/2B")) == "1A/2B"


def info(code: int = 0, message: str = "ok") -> list[dict[str, Any]]:
    return [
        {
            "name": "app",
            "archive": [{"database": {"id": 1, "repo-key": 1}, "id": "17-1", "max": ARCHIVE.last_segment}],
            "backup": [
                {
                    "archive": {"start": "000000010000000000000035", "stop": "000000010000000000000035"},
                    "database": {"id": 1, "repo-key": 1},
                    "error": False,
                    "info": {"size": 1_129_057_199},
                    "label": "20261125-163405F",
                    "lsn": {"start": "0/35000028", "stop": "0/35000120"},
                    "timestamp": {"start": 1_795_624_445, "stop": 1_795_624_449},
                    "type": "full",
                }
            ]
            if code == 0
            else [],
            "db": [{"id": 1, "repo-key": 1, "system-id": int(SYSTEM), "version": "17"}],
            "repo": [{"key": 1, "status": {"code": code, "message": message}}],
            "status": {"code": code, "message": message},
        }
    ]


def test_what_pgbackrest_says_of_a_repository() -> None:
    [found], segment, archive = repository.parse(info(), "app", 1)
    assert (found.label, found.system, found.version, found.timeline) == ("20261125-163405F", SYSTEM, 17, 1)
    assert (found.last_lsn, segment, archive) == (0x35000120, ARCHIVE.last_segment, "17-1")


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("[CryptoError] unable to load info file\nHINT: is or was the repo encrypted?", "key .* is wrong or lost"),
        ("pgbackrest ended with -11: it said nothing", "key .* is wrong or lost"),    # Debian 12
        ("[AccessError] raised from remote-0 tls protocol on 'b': access denied", "has no stanza app"),
        ("missing stanza path", "has no stanza app"),
        ("[HostConnectError] unable to connect to 'b:8432': [111] Connection refused", "does not answer"),
        ("something else", "look at it on the repository host"),
    ],
)
def test_an_unreadable_repository_is_explained(message: str, reason: str) -> None:
    with pytest.raises(process.Refused, match=reason):
        repository.parse(info(99, message), "app", 1)


def test_another_stanza_is_refused() -> None:
    with pytest.raises(process.Refused, match="knows no stanza other"):
        repository.parse(info(), "other", 1)


TABLES = [snapshot.Table("public", name, size) for name, size in (("big", 900), ("small", 10), ("middle", 100))]


@pytest.mark.parametrize(
    ("wanted", "limit", "chosen"),
    [
        ([], 1010, ["small", "middle", "big"]),
        ([], 1009, ["small", "middle"]),
        ([], 9, []),
        (["public.big"], 1, ["big"]),
        (["public.big", "public.big"], 1, ["big"]),
    ],
)
def test_tables_are_chosen(wanted: list[str], limit: int, chosen: list[str]) -> None:
    assert [table.name for table in snapshot.choose(TABLES, wanted, limit)] == chosen


def test_a_table_that_is_not_there_is_named() -> None:
    with pytest.raises(process.Failed, match=r"no table public\.gone"):
        snapshot.choose(TABLES, ["public.gone"], 1)


def test_names_are_quoted() -> None:
    assert snapshot.Table('we"ird', "a b", 1).quoted == '"we""ird"."a b"'
    assert process.literal("it's") == "'it''s'"


@pytest.mark.parametrize(("free", "refused"), [(200, False), (17, False), (16, True)])
def test_a_drill_leaves_space(free: int, refused: bool) -> None:
    """10 GB and a tenth, one for the log, and a twentieth of the disk: 17 GB."""
    assert bool(drill.disk_refusal(10 * GB, free * GB, 100 * GB, Path("/drill"))) is refused


def test_recovery_gets_the_larger_settings() -> None:
    control = scratch.control_data("max_connections setting: 100\nmax_locks_per_xact setting:  64\nother: 1\n")
    wanted = {"max_connections": 200, "max_locks_per_transaction": 64}
    assert scratch.needed(control, {"max_connections": 200}) == wanted


def test_a_pid_of_somebody_else_is_no_postmaster(tmp_path: Path) -> None:
    (tmp_path / "postmaster.pid").write_text("1\n")
    assert scratch.owner(tmp_path) is None
    (tmp_path / "postmaster.pid").write_text("")
    assert scratch.owner(tmp_path) is None


def test_cleaning_removes_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "scratch/data").mkdir(parents=True)
    (tmp_path / "notes").touch()
    scratch.clean(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]


def test_replaced_directories_are_known_by_name(tmp_path: Path) -> None:
    for name in ("main", "main.replaced-20261125T165245Z", "main.replaced-by-hand", "other.replaced-20261125T165245Z"):
        (tmp_path / name).mkdir()
    assert [path.name for path in plan.replaced_directories(tmp_path / "main")] == ["main.replaced-20261125T165245Z"]


def test_a_new_database_has_a_name_that_postgres_takes() -> None:
    moment = datetime(2026, 11, 25, 3, 15, tzinfo=UTC)
    assert extract.new_name("app", moment) == "app_restored_20261125t031500"
    assert len(extract.new_name("a" * 63, moment)) == 63


def test_a_record_of_success(tmp_path: Path) -> None:
    made = record.Record("drill", tmp_path)
    with made.step("restore"):
        assert record.last("drill.running", tmp_path)["failed_step"] == "restore"
    made.check("canary", "present", "present")
    made.finish()
    found = record.last("drill", tmp_path)
    assert (found["ok"], found["failed_step"], found["steps"][0]["step"]) == (True, None, "restore")
    assert not made.running.exists()
    assert "airworthy_drill_last_success 1.000" in record.metrics(found)
    assert "recovery_point" not in record.metrics(found)


def test_a_record_of_a_difference(tmp_path: Path) -> None:
    made = record.Record("drill", tmp_path)
    made.check("app: public.users", "3 rows, 17", "2 rows, 9")
    made.finish()
    found = record.last("drill", tmp_path)
    assert (found["ok"], found["reason"]) == (False, "not as expected: app: public.users")


def test_who_is_killed_leaves_how_far_it_came(tmp_path: Path) -> None:
    made = record.Record("drill", tmp_path)
    with pytest.raises(SystemExit), made.step("restore the backup"):
        raise SystemExit
    made.save()
    assert record.conclude("drill", tmp_path) and not record.conclude("drill", tmp_path)
    found = record.last("drill", tmp_path)
    assert (found["ok"], found["failed_step"]) == (False, "restore the backup")
    assert "killed" in found["reason"] and record.metrics(found)


def test_no_drill_yet(tmp_path: Path) -> None:
    assert record.last("drill", tmp_path) == {}
    assert record.metrics({}) == ""


class Busy:
    """A session that gets the lock on `big` only before all others."""

    def __init__(self) -> None:
        self.held: list[str] = []

    def rows(self, sql: str) -> None:
        name = sql.split('"')[3]
        if name == "big" and self.held:
            raise process.Failed("deadlock detected")
        self.held.append(name)


def test_the_table_at_which_locking_failed_is_named() -> None:
    small, big = TABLES[1], TABLES[0]
    refused = snapshot.lock(Busy(), [small, big])
    assert refused and refused[0] == big
    assert snapshot.lock(Busy(), [big, small]) is None
