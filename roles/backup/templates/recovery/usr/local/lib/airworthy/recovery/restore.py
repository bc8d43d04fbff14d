# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restores the whole cluster in place. What it replaces stays beside it, and comes back when the restore fails."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import repository as repositories
from plan import Observed, Options, Plan, make, replaced_directories
from process import COMMANDS, Failed, Refused, Session, run
from record import Record, conclude, last
from scratch import control_data
from settings import RESTORES, Settings

RECOVERED = """
SELECT r, coalesce(pg_last_xact_replay_timestamp()::text, ''), pg_last_wal_replay_lsn() FROM pg_is_in_recovery() AS r"""
JOURNAL = ["journalctl", "--quiet", "--output=cat", "--identifier=postgresql"]
UNREACHABLE = "recovery ended before configured recovery target was reached"


def observe(settings: Settings, options: Options) -> Observed:
    data = settings.data_directory
    cluster = data / "PG_VERSION"
    control: dict[str, str] = {}
    if (data / "global" / "pg_control").exists():    # a restore brings it last
        binaries = Path(f"/usr/lib/postgresql/{cluster.read_text().strip()}/bin")
        control = control_data(run([str(binaries / "pg_controldata"), str(data)]))
    there = data if data.exists() else data.parent
    interrupted = last("restore.running", RESTORES)
    return Observed(
        stanza=settings.stanza,
        version=settings.version,
        data_directory=str(data),
        repository=repositories.observe(settings, options.repository),
        now=time.time(),
        running=active(settings),
        system=control.get("Database system identifier", ""),
        cluster_version=int(cluster.read_text()) if cluster.exists() else 0,
        size=size(data) if cluster.exists() else 0,
        free=shutil.disk_usage(there).free,
        mount_point=data.is_mount(),
        foreign=() if cluster.exists() or not data.exists() else tuple(sorted(os.listdir(data))),
        interrupted=str(RESTORES) if interrupted else "",
    )


def size(directory: Path) -> int:
    """As far as it can be read: files come and go while the server runs."""
    total = 0
    for here, _names, files in os.walk(directory):
        for name in files:
            try:
                total += os.lstat(os.path.join(here, name)).st_size
            except FileNotFoundError:
                continue
    return total


def systemctl(*arguments: str, check: bool = True) -> str:
    return run(["systemctl", *arguments], privileged=True, check=check)


def active(settings: Settings) -> bool:
    state = systemctl("is-active", settings.unit, check=False).strip()
    return state in ("active", "activating", "reloading", "deactivating") or lives(settings.data_directory)


def lives(data: Path) -> bool:
    """Also when it was not systemd that started it."""
    try:
        pid = int((data / "postmaster.pid").read_text().split()[0])
        return Path(f"/proc/{pid}/cwd").resolve() == data.resolve()
    except (OSError, ValueError, IndexError):
        return False


def restore(settings: Settings, options: Options) -> dict[str, Any]:
    seen = observe(settings, options)
    plan = make(seen, options)
    if plan.refusals or plan.backup is None:
        raise Refused("\n".join(plan.refusals))
    record = Record("restore", RESTORES)
    record.data.update(
        target=str(plan.target),
        replaced=plan.replaced,
        given_up=False,
        was_running=seen.running,
        backup={"label": plan.backup.label, "repository": plan.backup.repository, "size": plan.backup.size},
    )
    record.save()
    begun = time.monotonic()
    try:
        replace(settings, options, plan, record)
    except BaseException as failure:
        reason = str(failure) or type(failure).__name__
        back = put_back(settings, record.data)
        record.data["replaced"] = ""
        record.finish(f"{reason}. {back}")
        if isinstance(failure, (Failed, Refused, OSError)):
            return record.data
        raise
    record.data["recovery_time_seconds"] = round(time.monotonic() - begun, 3)
    if options.discard_replaced and plan.replaced and not plan.discard_first:
        shutil.rmtree(plan.replaced)
        record.data["replaced"] = ""
    record.finish()
    return record.data


def replace(settings: Settings, options: Options, plan: Plan, record: Record) -> None:
    data = settings.data_directory
    assert plan.backup
    if plan.stop_first:
        with record.step("stop Postgres"):
            systemctl("stop", settings.unit)
            if lives(data):
                raise Failed(f"Postgres goes on on {data} after systemctl stop {settings.unit}; who started it?")
    with record.step("put the present data directory aside"):
        if plan.replaced and plan.discard_first:
            record.data.update(given_up=True, replaced="")
            record.save()
            shutil.rmtree(data)
        elif plan.replaced:
            data.rename(plan.replaced)
        elif data.exists():
            data.rmdir()
        run(["mkdir", "--mode=0700", str(data)])
    with record.step("restore the backup"):
        run(command(settings, options, plan))
    with record.step("recover"):
        begun = time.time()
        systemctl("start", settings.unit, check=False)
        record.data.update(recovered(settings, begun))


def command(settings: Settings, options: Options, plan: Plan) -> list[str]:
    assert plan.backup
    kind = "default" if plan.target.kind == "newest" else plan.target.kind
    words = ["--log-level-console=warn", f"--pg1-path={settings.data_directory}"]
    words += [f"--set={plan.backup.label}", f"--type={kind}"]
    if plan.target.value:
        words.append(f"--target={plan.target.value}")
    if kind != "default":
        words.append("--target-action=promote")
    if options.timeline:
        words.append(f"--target-timeline={options.timeline}")
    # In the place of the old tablespaces, which may still be there, beside the data directory.
    words.append(f"--tablespace-map-all={settings.data_directory}.tablespaces")
    return repositories.pgbackrest(settings, options.repository, *words, "restore")


def recovered(settings: Settings, begun: float) -> dict[str, Any]:
    """Up to where, once recovery has ended. The target may lie hours of log away."""
    while True:
        state = systemctl("is-active", settings.unit, check=False).strip()
        if state not in ("active", "activating"):
            raise Failed(why_stopped(settings, begun))
        try:
            with Session(settings.server, "postgres") as session:
                while True:
                    recovering, moment, position = session.rows(RECOVERED)[0]
                    if recovering == "f":
                        # The checkpointer slept during recovery; only once awake it looks at archive_timeout again.
                        session.rows("CHECKPOINT")
                        return {"recovered_to_time": moment, "recovered_to_lsn": position}
                    time.sleep(0.5)
        except Failed:
            time.sleep(1)  # it does not accept connections yet, or not any more


def why_stopped(settings: Settings, begun: float) -> str:
    """Postgres' own words since that second."""
    run(["journalctl", "--sync"], privileged=True)
    lines = run([*JOURNAL, f"--unit={settings.unit}", f"--since=@{int(begun)}"], privileged=True).splitlines()
    fatal = [line.partition("FATAL: ")[2].strip() for line in lines if "FATAL: " in line and "starting up" not in line]
    if UNREACHABLE in " ".join(fatal):
        return (
            "the target is not in the archive: Postgres replayed all there is and did not meet it. For a time this "
            "means that "
            "nothing was committed after it, so that --to newest gives the same; for a name or a transaction, that "
            "the backup ended after it (choose an older one with --backup-set), or that it was never archived"
        )
    return f"Postgres stopped during recovery: {'; '.join(fatal[-3:]) or f'see journalctl -u {settings.unit}'}"


def put_back(settings: Settings, record: Mapping[str, Any]) -> str:
    """The state before; also what the command of that name does after an interruption."""
    data, replaced, was_running = settings.data_directory, record["replaced"], bool(record["was_running"])
    systemctl("stop", settings.unit, check=False)
    if replaced and not Path(replaced).exists():
        return started(settings, was_running)  # a rename is whole: it had not come to that yet
    if data.exists():
        shutil.rmtree(data)
    if replaced:
        Path(replaced).rename(data)
        return started(settings, was_running)
    if record["given_up"]:
        return "The data directory that was there had been given up, and there is none now; restore another target"
    return "There was no cluster before, and there is none now"


def started(settings: Settings, was_running: bool) -> str:
    if was_running:
        systemctl("start", settings.unit)
    return f"The data directory that was there is back{', and Postgres runs on it' if was_running else ''}"


def undo(settings: Settings) -> dict[str, Any]:
    """After a restore that was killed."""
    found = last("restore.running", RESTORES)
    if not found:
        raise Refused("no restore was interrupted, there is nothing to put back")
    said = put_back(settings, found)
    conclude("restore", RESTORES)
    return {"ok": True, "message": said}


def discard(settings: Settings) -> dict[str, Any]:
    """Remove what restores have replaced, once somebody is sure."""
    if last("restore.running", RESTORES):
        raise Refused("a restore was interrupted; run put-back first")
    removed = replaced_directories(settings.data_directory)
    for path in removed:
        COMMANDS.append(f"rm -rf {path}")
        shutil.rmtree(path)
    return {"ok": True, "message": f"removed: {', '.join(map(str, removed)) or 'nothing, there was nothing to remove'}"}
