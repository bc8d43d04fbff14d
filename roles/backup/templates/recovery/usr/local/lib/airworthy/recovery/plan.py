# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore would do, and why it would not: calculated of what was observed, before anything is touched."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from process import Refused
from repository import Backup, Repository, lsn, lsn_text

KINDS = ("newest", "time", "xid", "name", "lsn", "immediate")
GIGABYTE = 1_073_741_824
TIME_EXAMPLE = "as in '2026-11-25 02:13:00+00:00', or with UTC at its end"


@dataclass(frozen=True)
class Target:
    kind: str = "newest"
    value: str = ""  # as pgBackRest and Postgres read it
    moment: float = 0  # of a time
    lsn: int = 0

    def __str__(self) -> str:
        if self.kind == "newest":
            return "the newest state in the archive"
        if self.kind == "immediate":
            return "the end of the backup"
        return f"{'the restore point' if self.kind == 'name' else self.kind} {self.value}"

    @property
    def setting(self) -> dict[str, str]:
        """What Postgres is told."""
        if self.kind == "newest":
            return {}
        if self.kind == "immediate":
            return {"recovery_target": "immediate"}
        return {f"recovery_target_{self.kind}": self.value}


@dataclass(frozen=True)
class Options:
    target: Target = field(default_factory=Target)
    repository: int = 1
    backup_set: str = ""
    timeline: int = 0  # 0: the newest
    stop_running: bool = False
    replace_other: bool = False
    discard_replaced: bool = False


@dataclass(frozen=True)
class Observed:
    stanza: str
    version: int
    data_directory: str
    repository: Repository
    now: float
    running: bool = False
    system: str = ""  # of the cluster in the data directory; "" where there is none
    cluster_version: int = 0
    size: int = 0  # of the data directory
    free: int = 0
    mount_point: bool = False
    foreign: tuple[str, ...] = ()  # files of a directory that is no cluster
    interrupted: str = ""  # where the record of an interrupted restore is


@dataclass(frozen=True)
class Plan:
    target: Target
    backup: Backup | None
    data_directory: str
    replaced: str  # where the present directory goes, "" when there is none
    discard_first: bool
    stop_first: bool
    needed: int
    free: int
    refusals: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        return {
            "ok": not self.refusals,
            "target": str(self.target),
            "backup": None if self.backup is None else {
                "label": self.backup.label, "finished": moment_text(self.backup.finished), "size": self.backup.size,
                "repository": self.backup.repository,
            },
            "data_directory": self.data_directory,
            "replaced": self.replaced,
            "stop_first": self.stop_first,
            "needed": self.needed,
            "free": self.free,
            "refusals": list(self.refusals),
            "summary": list(self.lines()),
        }

    def lines(self) -> Iterator[str]:
        yield f"recover to: {self.target}"
        if self.backup:
            yield (
                f"from backup: {self.backup.label} of {moment_text(self.backup.finished)}, "
                f"{gigabytes(self.backup.size)}, repository {self.backup.repository}"
            )
        yield f"into: {self.data_directory}"
        if self.stop_first:
            yield "first: Postgres, which runs, is stopped"
        if self.replaced and self.discard_first:
            yield "replaces: the present data directory, which is DELETED FIRST, since there is no space for both"
        elif self.replaced:
            yield f"replaces: the present data directory, kept as {self.replaced}"
        yield f"disk: {gigabytes(self.needed)} needed, {gigabytes(self.free)} free"
        for refusal in self.refusals:
            yield f"REFUSED: {refusal}"


def gigabytes(size: float) -> str:
    return f"{size / GIGABYTE:.1f} GB"


def moment_text(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def target(kind: str, value: str) -> Target:
    """Read what was asked for; what nobody could read is refused here."""
    if kind in ("newest", "immediate"):
        if value:
            raise Refused(f"--to {kind} takes no --target, and there is {value!r}; leave it out")
        return Target(kind)
    if not value:
        raise Refused(f"--to {kind} needs --target, what to recover to")
    if kind == "time":
        moment = parsed_time(value)
        return Target(kind, moment.isoformat(sep=" "), moment=moment.timestamp())
    if kind == "lsn":
        if not re.fullmatch(r"[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}", value):
            raise Refused(f"{value!r} is no position in the log; write it as Postgres shows it, as in 0/3A000028")
        return Target(kind, value, lsn=lsn(value))
    if kind == "xid" and not re.fullmatch(r"[0-9]+", value):
        raise Refused(f"{value!r} is no transaction; write its number, as in 74119")
    return Target(kind, value)


def parsed_time(text: str) -> datetime:
    """With its time zone: at three in the morning nobody should have to guess whose time 02:13 is."""
    try:
        moment = datetime.fromisoformat(re.sub(r" ?(UTC|GMT|Z)$", "+00:00", text.strip()))
    except ValueError:
        raise Refused(f"{text!r} is no time; write it {TIME_EXAMPLE}") from None
    if moment.tzinfo is None:
        raise Refused(f"{text!r} does not say in which time zone; write it {TIME_EXAMPLE}")
    return moment.astimezone(UTC)


def on_timeline(repository: Repository, backup: Backup, timeline: int) -> bool:
    if not timeline or timeline == repository.timeline:
        return repository.usable(backup)
    left = (repository.ancestors or {}).get(backup.timeline)
    before = backup.timeline < timeline and left is not None and backup.last_lsn <= left
    return not backup.error and (backup.timeline == timeline or before)


def choose(repository: Repository, options: Options) -> Backup:
    """The backup to begin with: the newest one that ended before the target, on the way to the newest timeline."""
    sound = [backup for backup in repository.backups if not backup.error]
    if not sound:
        raise Refused("the repository holds no backup; try another one with --repository")
    if options.backup_set:
        # Who names one wants it, also with pages whose checksums are wrong.
        chosen = next((backup for backup in repository.backups if backup.label == options.backup_set), None)
        if chosen is None:
            raise Refused(f"there is no backup {options.backup_set}; there are {labels(repository.backups)}")
        reachable = [chosen]
    else:
        reachable = [backup for backup in sound if on_timeline(repository, backup, options.timeline)]
    if not reachable:
        raise Refused(
            "no backup lies on the way to the newest timeline; choose the timeline of one of them with --timeline: "
            + ", ".join(f"{backup.label} (timeline {backup.timeline})" for backup in sound)
        )
    wanted = options.target
    if wanted.kind == "time":
        early = [backup for backup in reachable if backup.finished < wanted.moment]
    elif wanted.kind == "lsn":
        early = [backup for backup in reachable if backup.last_lsn <= wanted.lsn]
    else:
        early = reachable
    if not early:
        first = reachable[0]
        raise Refused(
            f"{wanted} is before the end of the first backup that could be used ({first.label}, "
            f"{moment_text(first.finished)}, "
            f"{lsn_text(first.last_lsn)}); nothing earlier can be restored from this repository"
        )
    return early[-1]


def labels(backups: Sequence[Backup]) -> str:
    return ", ".join(f"{backup.label} ({moment_text(backup.finished)})" for backup in backups)


def beyond_archive(seen: Observed, options: Options) -> Iterator[str]:
    wanted = options.target
    if wanted.kind != "time":
        return
    if wanted.moment > seen.now:
        yield f"{wanted.value} is in the future (it is {moment_text(seen.now)}); correct --target, or use --to newest"
    elif not seen.running and seen.repository.archive.last_written + 1 < wanted.moment:
        # A server that is stopped properly archives the rest of its log; one that is down already cannot.
        yield (
            f"{wanted.value} is later than the archive, which ends at "
            f"{moment_text(seen.repository.archive.last_written)}; "
            "for all that there is, use --to newest"
        )


def directory_refusals(seen: Observed, options: Options, backup: Backup) -> Iterator[str]:
    if seen.interrupted:
        yield (
            f"an earlier restore was interrupted ({seen.interrupted}/restore.running.json); run the command put-back "
            "first, which brings back what it was to replace"
        )
    if seen.running and not options.stop_running:
        yield (
            f"Postgres runs on {seen.data_directory}; a restore replaces all that it holds. If that is meant, say "
            "--stop-running (restore_stop_running: true)"
        )
    if seen.mount_point:
        yield f"{seen.data_directory} is a mount point and cannot be renamed; mount the file system one level above"
    if seen.foreign:
        yield (
            f"{seen.data_directory} is no data directory of Postgres, but holds {', '.join(seen.foreign[:3])}; "
            "correct the path, or move these away"
        )
    if seen.system and seen.system != backup.system and not options.replace_other:
        yield (
            f"{seen.data_directory} belongs to another cluster ({seen.system}; the backup is of {backup.system}). On "
            "a new server that is as it should be: say --replace-other (restore_replace_other: true)"
        )
    if backup.version != seen.version:
        yield (
            f"the backup is of Postgres {backup.version}, and this server has {seen.version}; restore it on a server "
            f"with {backup.version}, and upgrade there"
        )


def make(seen: Observed, options: Options) -> Plan:
    refusals = list(beyond_archive(seen, options))
    backup = None
    discard_first, needed = False, 0
    try:
        backup = choose(seen.repository, options)
    except Refused as refusal:
        refusals.append(str(refusal))
    if backup:
        refusals += directory_refusals(seen, options, backup)
        needed = int(backup.size * 1.05) + GIGABYTE // 2
        if seen.free < needed:
            discard_first = options.discard_replaced and seen.free + seen.size >= needed
            if not discard_first:
                refusals.append(
                    f"{seen.data_directory} needs {gigabytes(needed)}, and there are {gigabytes(seen.free)} free; "
                    "free some "
                    "(the command discard removes what earlier restores replaced), or give up the present data "
                    f"directory, {gigabytes(seen.size)}, with --discard-replaced: there is no way back then"
                )
    stamp = datetime.fromtimestamp(seen.now, UTC).strftime("%Y%m%dT%H%M%SZ")
    return Plan(
        target=options.target,
        backup=backup,
        data_directory=seen.data_directory,
        replaced=f"{seen.data_directory}.replaced-{stamp}" if seen.system else "",
        discard_first=discard_first,
        stop_first=seen.running,
        needed=needed,
        free=seen.free,
        refusals=tuple(refusals),
    )


def replaced_directories(data_directory: Path) -> list[Path]:
    """What earlier restores replaced."""
    return sorted(
        path for path in data_directory.parent.glob(f"{data_directory.name}.replaced-*")
        if re.fullmatch(r"replaced-\d{8}T\d{6}Z", path.name.removeprefix(f"{data_directory.name}."))
    )
