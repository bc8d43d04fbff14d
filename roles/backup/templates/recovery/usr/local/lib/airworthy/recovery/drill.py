# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proves that the newest backup restores, and measures what a disaster would cost. The running server hardly notices.

 1. For milliseconds the chosen tables are locked against writers. A restore point is made meanwhile, and a session
    keeps the snapshot, in which it counts and hashes the tables afterwards.
 2. A canary is committed after that. The time until its log has been archived, as it happens anyway, is the recovery
    point.
 3. The newest backup is restored beside the running cluster and recovered to the restore point: the tables are equal,
    and there is no canary. Then it is recovered to the end of the archive: there is the canary. What restoring and
    replaying took is the recovery time.
 4. Every page's checksum, every table and index is verified. Everything is removed.
"""

from __future__ import annotations

import shutil
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import repository as repositories
from process import Failed, Refused, Session, literal, run
from record import Record, conclude
from repository import Backup, Repository
from scratch import FROM_PRIMARY, Scratch, clean
from settings import Settings
from snapshot import MEGABYTE, choose, contents, moment, tables

SPARE = 1024 * MEGABYTE  # for the log that is replayed
CANARY = "airworthy.drill_canary"
PREPARE = f"""
CREATE SCHEMA IF NOT EXISTS airworthy;
CREATE TABLE IF NOT EXISTS {CANARY} (id text PRIMARY KEY, written_at timestamptz NOT NULL DEFAULT clock_timestamp());
DELETE FROM {CANARY}"""
ARCHIVED = """
SELECT coalesce(left(last_archived_wal, 24), ''), extract(epoch FROM clock_timestamp()),
       coalesce(last_failed_wal, '') FROM pg_stat_archiver"""


def disk_refusal(size: int, free: int, total: int, directory: Path) -> str | None:
    """A drill must not be what fills the disk."""
    wanted = int(size * 1.1) + SPARE + total // 20
    if free >= wanted:
        return None
    return (
        f"{directory} has {free // MEGABYTE} MB free, and a drill with this backup wants {wanted // MEGABYTE} MB, a "
        "twentieth of the disk left over; free some, or set backup_drill_directory to a larger file system"
    )


def newest(found: Repository, settings: Settings) -> Backup:
    usable = [backup for backup in found.backups if found.usable(backup)]
    if not usable:
        raise Refused(f"the repository holds no backup of {settings.stanza} that could be restored; make one first")
    return usable[-1]


def primary_settings(session: Session) -> dict[str, int]:
    names = ", ".join(literal(name) for name in FROM_PRIMARY.values())
    found = session.rows(f"SELECT name, setting FROM pg_settings WHERE name IN ({names})")
    return {name: int(value) for name, value in found}


class Drill:
    def __init__(self, settings: Settings, repository: int, record: Record) -> None:
        self.settings = settings
        self.repository = repository
        self.record = record
        self.root = settings.drill.directory
        self.database = settings.databases[0]
        self.name = f"airworthy_drill_{uuid.uuid4().hex[:12]}"

    def run(self) -> None:
        record, settings = self.record, self.settings
        with record.step("look at the backups and the disk"):
            backup = newest(repositories.observe(settings, self.repository), settings)
            record.data["backup"] = {
                "label": backup.label, "repository": backup.repository, "finished": backup.finished, "size": backup.size
            }
            disk = shutil.disk_usage(self.root)
            if refusal := disk_refusal(backup.size, disk.free, disk.total, self.root):
                raise Refused(refusal)
        with Session(settings.server, "postgres") as session:
            if session.value("SELECT pg_is_in_recovery()") == "t":
                raise Refused("this server is a standby; drill on its primary")
            if session.value("SELECT system_identifier FROM pg_control_system()") != backup.system:
                raise Refused(
                    "the repository holds the backups of another cluster: restore it (restore.yml), or begin anew with "
                    "this one (site.yml -e backup_adopt_cluster=true)"
                )
            primary = primary_settings(session)
            session.rows(PREPARE)
            expected = self.observe(session)
        scratch = Scratch(settings, self.root, self.repository, primary)
        try:
            self.recover(scratch, backup, expected)
            self.verify(scratch)
        finally:
            scratch.remove()

    def observe(self, session: Session) -> dict[str, str]:
        """The tables as they are at the restore point, and the canary's way into the archive."""
        record, settings = self.record, self.settings
        with Session(settings.server, self.database) as catalogue:
            chosen = choose(tables(catalogue), settings.drill.tables, settings.drill.table_limit_mb * MEGABYTE)
        self.chosen = chosen
        with ExitStack() as stack:
            with record.step("make a restore point and write the canary") as step:
                seen = stack.enter_context(moment(settings.server, self.database, chosen, self.name))
                step["locked_ms"] = round(seen.locked_seconds * 1000)
                session.rows(f"INSERT INTO {CANARY} (id) VALUES ({literal(self.name)})")
                written = float(session.value("SELECT extract(epoch FROM clock_timestamp())"))
            with ThreadPoolExecutor(1) as pool:
                hashed = pool.submit(contents, seen.reader, chosen)
                try:
                    with record.step("wait until the canary's log is archived"):
                        record.data["recovery_point_seconds"] = round(self.archived(session) - written, 3)
                except BaseException:
                    seen.reader.process.kill()  # the thread would be waited for
                    raise
                with record.step("count and hash the tables"):
                    return {name: str(content) for name, content in hashed.result().items()}

    def archived(self, session: Session) -> float:
        segment = session.value("SELECT pg_walfile_name(pg_current_wal_insert_lsn())")
        deadline = time.monotonic() + self.settings.drill.archive_wait_seconds
        while True:
            last, now, failed = session.rows(ARCHIVED)[0]
            if last[:8] == segment[:8] and last >= segment:
                return float(now)
            if time.monotonic() > deadline:
                why = f"the last one that failed is {failed}" if failed else "none failed"
                raise Failed(
                    f"segment {segment} was not archived within {self.settings.drill.archive_wait_seconds} s ({why}); "
                    "look into journalctl -t postgresql and /var/log/pgbackrest"
                )
            time.sleep(0.5)

    def recover(self, scratch: Scratch, backup: Backup, expected: dict[str, str]) -> None:
        record, canary = self.record, f"SELECT count(*) FROM {CANARY} WHERE id = {literal(self.name)}"
        took = time.monotonic()
        with record.step("restore the backup"):
            scratch.restore(backup.label)
        with record.step("recover to the restore point"):
            scratch.start({"recovery_target_name": self.name, "recovery_target_action": "pause"})
            scratch.wait("paused")
        took = time.monotonic() - took
        with record.step("compare with the restore point"):
            with scratch.session(self.database) as session:
                for name, content in contents(session, self.chosen).items():
                    record.check(f"{self.database}: {name}", expected[name], str(content))
            with scratch.session() as session:
                record.check("canary at the restore point", "absent", presence(session.value(canary)))
            scratch.stop()
        begun = time.monotonic()
        with record.step("recover to the end of the archive"):
            scratch.start({})
            scratch.wait("ended")
        record.data["recovery_time_seconds"] = round(took + time.monotonic() - begun, 3)
        with scratch.session() as session:
            record.check("canary at the end of the archive", "present", presence(session.value(canary)))

    def verify(self, scratch: Scratch) -> None:
        record, binaries = self.record, self.settings.binaries
        with record.step("verify tables and indexes"):
            options = ["--all", "--heapallindexed", "--install-missing", "--no-strict-names"]
            run(scratch.server.client("pg_amcheck", *options))
            record.check("pg_amcheck --heapallindexed", "no corruption", "no corruption")
        with record.step("verify page checksums"):
            scratch.stop()
            if scratch.control().get("Data page checksum version") == "0":
                record.check("page checksums", "right", "the cluster has none (pg_checksums --enable)")
            else:
                run([str(binaries / "pg_checksums"), "--check", "-D", str(scratch.data)])
                record.check("page checksums", "right", "right")


def presence(count: str) -> str:
    return "present" if int(count) else "absent"


def drill(settings: Settings, repository: int) -> Record:
    """The lock is held by the caller."""
    conclude("drill")
    clean(settings.drill.directory)
    record = Record("drill")
    try:
        Drill(settings, repository, record).run()
    except (Failed, Refused, OSError) as failure:
        record.finish(str(failure))
    except BaseException as interruption:
        record.finish(f"it was interrupted ({type(interruption).__name__}: {interruption})")
        raise
    else:
        record.finish()
    return record
