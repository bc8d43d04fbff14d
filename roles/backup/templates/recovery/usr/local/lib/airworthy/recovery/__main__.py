# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recovery of the database: python3 -I /usr/local/lib/airworthy/recovery COMMAND. Run it as root on the server.

It works without Ansible, since at three in the morning the controller may be what is gone.
"""

from __future__ import annotations

import sys

sys.dont_write_bytecode = True

import argparse
import fcntl
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import record as records
import settings as told
from plan import KINDS, Options, target
from process import Failed, Refused, become_postgres, identity
from settings import RESTORES, STATE, Settings

EXTRACTED = Path("/var/lib/airworthy/extract")


class Stopped(BaseException):
    """Somebody asked this program to end; what it began is cleared away on the way out."""


def stop(number: int, _frame: FrameType | None) -> None:
    raise Stopped(signal.Signals(number).name)


@contextmanager
def alone(what: str, directory: Path = STATE) -> Iterator[None]:
    """The kernel lets go of the lock, whatever becomes of this process."""
    with (directory / f"{what}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(f"another {what} is under way; wait until it is done") from None
        yield


def directories(settings: Settings) -> None:
    """As the units make them."""
    if os.geteuid() != 0:
        return
    RESTORES.mkdir(mode=0o755, parents=True, exist_ok=True)
    for path in (STATE, settings.drill.directory, EXTRACTED):
        path.mkdir(mode=0o750, parents=True, exist_ok=True)
        os.chown(path, identity()["user"], identity()["group"])


def drill(settings: Settings, options: argparse.Namespace) -> dict[str, Any]:
    from drill import drill as run

    become_postgres()
    with alone("drill"):
        result = run(settings, options.repository).data
    metrics()
    return result


def cleanup(settings: Settings, _options: argparse.Namespace) -> dict[str, Any]:
    from scratch import clean

    become_postgres()
    with alone("drill"):
        clean(settings.drill.directory)
        found = records.conclude("drill")
    metrics()
    return {"ok": True, "concluded": found}


def as_root() -> None:
    if os.geteuid() != 0:
        raise Refused("this stops and starts Postgres; run it as root")


def wish(options: argparse.Namespace) -> Options:
    return Options(
        target=target(options.to, options.target),
        repository=options.repository,
        backup_set=options.backup_set,
        timeline=options.timeline,
        stop_running=getattr(options, "stop_running", False),
        replace_other=getattr(options, "replace_other", False),
        discard_replaced=getattr(options, "discard_replaced", False),
    )


def plan(settings: Settings, options: argparse.Namespace) -> dict[str, Any]:
    from plan import make
    from restore import observe

    wanted = wish(options)
    return make(observe(settings, wanted), wanted).to_dict()


def restore(settings: Settings, options: argparse.Namespace) -> dict[str, Any]:
    from restore import restore as run

    as_root()
    with alone("restore", RESTORES):
        return run(settings, wish(options))


def put_back(settings: Settings, _options: argparse.Namespace) -> dict[str, Any]:
    from restore import undo

    as_root()
    with alone("restore", RESTORES):
        return undo(settings)


def discard(settings: Settings, _options: argparse.Namespace) -> dict[str, Any]:
    from restore import discard as run

    as_root()
    with alone("restore", RESTORES):
        return run(settings)


def extract(settings: Settings, options: argparse.Namespace) -> dict[str, Any]:
    from extract import extract as run

    become_postgres()
    with alone("extract"):
        return run(settings, wish(options), options.database, options.table)


def metrics() -> None:
    records.replace(STATE / "drill.prom", records.metrics(records.last("drill")))


def describe(result: dict[str, Any]) -> Iterator[str]:
    yield from result.get("summary", ())
    for step in result.get("steps", ()):
        seconds = "failed" if step["seconds"] is None else f"{step['seconds']:.1f} s"
        yield f"{seconds:>9}  {step['step']}"
    for check in result.get("checks", ()):
        verdict = "as expected" if check["ok"] else f"EXPECTED {check['expected']}"
        yield f"{check['subject']}: {check['observed']} ({verdict})"
    for name in ("recovery_point_seconds", "recovery_time_seconds"):
        if result.get(name) is not None:
            yield f"{name.replace('_seconds', '').replace('_', ' ')}: {result[name]:.1f} s"
    if result.get("recovered_to_lsn"):
        last = result["recovered_to_time"] or "none: nothing was committed after the backup"
        yield f"recovered to {result['recovered_to_lsn']}, last commit {last}"
    if result.get("replaced") and result.get("finished"):
        yield f"what was replaced: {result['replaced']} (the command discard removes it)"
    if result.get("database"):
        rows = f", {result['rows']} rows" if "rows" in result else ""
        yield f"restored into the new database {result['database']}{rows}"
    if "message" in result:
        yield result["message"]
    if not result.get("ok", True) and "failed_step" in result:
        yield f"FAILED: {result['failed_step'] or 'checks'}: {result['reason']}"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="recovery", description=__doc__, allow_abbrev=False)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="the result as JSON")
    common.add_argument("--repository", type=int, default=1, help="number of the repository, 1 by default")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("drill", parents=[common], help="prove that the newest backup restores").set_defaults(run=drill)
    commands.add_parser("cleanup", parents=[common], help="remove what a killed drill left").set_defaults(run=cleanup)

    where = argparse.ArgumentParser(add_help=False)
    where.add_argument("--to", choices=KINDS, default="newest", help="what to recover to")
    where.add_argument("--target", default="", help="the time, transaction, restore point or position")
    where.add_argument("--backup-set", default="", help="label of the backup to begin with")
    where.add_argument("--timeline", type=int, default=0, help="timeline to follow, by default the newest")
    whole = argparse.ArgumentParser(add_help=False)
    whole.add_argument("--stop-running", action="store_true", help="stop the Postgres that runs, and replace it")
    whole.add_argument("--replace-other", action="store_true", help="replace another cluster, as on a new server")
    whole.add_argument("--discard-replaced", action="store_true", help="do not keep what was replaced")
    everything = [common, where, whole]
    commands.add_parser("plan", parents=everything, help="what a restore would do").set_defaults(run=plan)
    commands.add_parser("restore", parents=everything, help="restore the whole cluster").set_defaults(run=restore)
    part = commands.add_parser("extract", parents=[common, where], help="copy a database or table out of the past")
    part.add_argument("--database", required=True, help="its name")
    part.add_argument("--table", default="", help="one table of it, as schema.table")
    part.set_defaults(run=extract)
    commands.add_parser("put-back", parents=[common], help="undo a restore that was killed").set_defaults(run=put_back)
    commands.add_parser("discard", parents=[common], help="remove what restores replaced").set_defaults(run=discard)
    return parser.parse_args()


def main() -> int:
    options = arguments()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    try:
        settings = told.load()
        directories(settings)
        result = options.run(settings, options)
    except Stopped as signal_name:
        print(f"STOPPED by {signal_name}; what was begun is cleared away", file=sys.stderr)
        return 1
    except (Refused, Failed) as problem:
        kind = "refused" if isinstance(problem, Refused) else "failed"
        if options.json:
            print(json.dumps({"ok": False, kind: str(problem)}))
        else:
            print(f"{kind.upper()}: {problem}", file=sys.stderr)
        return 2 if kind == "refused" else 1
    print(json.dumps(result, indent=2) if options.json else "\n".join(describe(result)))
    return 0 if result.get("ok", True) else 2 if result.get("refusals") else 1


if __name__ == "__main__":
    sys.exit(main())
