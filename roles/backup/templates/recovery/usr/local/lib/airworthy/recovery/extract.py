# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes one database, or one table of it, out of the past, into a new database of the running server.

Nothing that is there is overwritten: what to do with the rows is for people to decide.
"""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import repository as repositories
from drill import disk_refusal, primary_settings
from plan import Options, choose
from process import COMMANDS, Failed, Refused, Session, environment, identifier, identity, literal, run
from record import Record, conclude
from scratch import Scratch, clean
from settings import Settings
from snapshot import tables

ROOT = Path("/var/lib/airworthy/extract")
# The locale in words that createdb takes; ICU's own column is called otherwise before 17.
LIKE = """
SELECT pg_encoding_to_char(encoding), datcollate, datctype, datlocprovider,
       coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale', '')
FROM pg_database d WHERE datname = {}"""


def new_name(database: str, moment: datetime) -> str:
    ending = f"_restored_{moment:%Y%m%dt%H%M%S}"
    return database[: 63 - len(ending)] + ending


def extract(settings: Settings, options: Options, database: str, table: str) -> dict[str, Any]:
    conclude("extract")
    clean(ROOT)
    backup = choose(repositories.observe(settings, options.repository), options)
    disk = shutil.disk_usage(ROOT)
    if refusal := disk_refusal(backup.size * 2, disk.free, disk.total, ROOT):
        raise Refused(refusal)
    with Session(settings.server, "postgres") as session:
        primary = primary_settings(session)
    record = Record("extract")
    record.data["backup"] = {"label": backup.label, "repository": backup.repository, "size": backup.size}
    scratch = Scratch(settings, ROOT, options.repository, primary)
    new = new_name(database, datetime.now(UTC))
    try:
        recover(scratch, options, backup.label, record)
        copy(settings, scratch, record, database, table, new)
    except BaseException as failure:
        record.finish(str(failure) or type(failure).__name__)
        if not isinstance(failure, (Failed, Refused, OSError)):
            raise
    else:
        record.data["database"] = new
        record.finish()
    finally:
        scratch.remove()
    return record.data


def recover(scratch: Scratch, options: Options, label: str, record: Record) -> None:
    with record.step("restore the backup"):
        scratch.restore(label)
    with record.step("recover"):
        timeline = {"recovery_target_timeline": str(options.timeline)} if options.timeline else {}
        # Not paused: just before a DROP TABLE commits, recovery holds its lock, and nobody could read the table.
        action = {} if options.target.kind == "newest" else {"recovery_target_action": "promote"}
        scratch.start({**options.target.setting, **timeline, **action})
        scratch.wait("ended")


def copy(settings: Settings, scratch: Scratch, record: Record, database: str, table: str, new: str) -> None:
    with record.step("look for what is wanted"):
        like, known = found(scratch, database, table)
    encoding, collation, ctype, provider, icu = like
    words = [f"--encoding={encoding}", f"--lc-collate={collation}", f"--lc-ctype={ctype}"]
    if provider == "i":
        words += ["--locale-provider=icu", f"--icu-locale={icu}"]
    run(settings.server.client("createdb", "--template=template0", *words, new))
    try:
        with record.step("copy"), Session(settings.server, "postgres") as session:
            session.rows(f"REVOKE CONNECT ON DATABASE {identifier(new)} FROM PUBLIC")
            if table:
                # Types and functions of the table come with everybody's definitions; its keys would miss their tables.
                pipe(settings, scratch, ["--section=pre-data", database], new)
                pipe(settings, scratch, ["--section=data", "--strict-names", f"--table={known}", database], new)
            else:
                pipe(settings, scratch, [database], new)
        if table:
            with Session(settings.server, new) as session:
                record.data["rows"] = int(session.value(f"SELECT count(*) FROM {known}"))
    except BaseException:
        run(settings.server.client("dropdb", "--if-exists", "--force", new))
        raise


def found(scratch: Scratch, database: str, table: str) -> tuple[list[str], str]:
    """The database's locale, and the table's name as SQL has it."""
    with scratch.session() as session:
        like = session.rows(LIKE.format(literal(database)))
    if not like:
        raise Failed(f"there was no database {database} then; correct --database, or choose another time")
    if not table:
        return like[0], ""
    with scratch.session(database) as session:
        known = {str(entry): entry.quoted for entry in tables(session)}
    if table not in known:
        raise Failed(f"there was no table {table} in {database} then; write it as schema.table, or choose another time")
    return like[0], known[table]


def pipe(settings: Settings, scratch: Scratch, what: list[str], new: str) -> None:
    dump = scratch.server.client("pg_dump", "--format=custom", "--compress=0", *what)
    load = settings.server.client("pg_restore", "--exit-on-error", f"--dbname={new}")
    COMMANDS.append(f"{' '.join(dump)} | {' '.join(load)}")
    who: dict[str, Any] = {"cwd": "/", "env": environment(), **identity()}
    with (
        subprocess.Popen(dump, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **who) as source,
        subprocess.Popen(load, stdin=source.stdout, stderr=subprocess.PIPE, text=True, **who) as sink,
    ):
        assert source.stdout and source.stderr and sink.stderr
        source.stdout.close()  # so that the source notices when the sink has ended
        said = sink.stderr.read() + source.stderr.read()
    if source.returncode or sink.returncode:
        raise Failed(f"the copy failed: {' '.join(said.split())}")
