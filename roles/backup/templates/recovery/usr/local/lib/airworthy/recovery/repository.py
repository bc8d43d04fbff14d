# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the repository holds: backups, the reach of the archive, and timelines."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from process import Failed, Refused, run
from settings import Settings

LOST_KEY = re.compile(r"CryptoError|FormatError|is or was the repo encrypted|cipher", re.IGNORECASE)
CRASH = re.compile(r"ended with -\d+")
AWAY = re.compile(r"HostConnectError|unable to connect|timeout|ServiceError|FileReadError", re.IGNORECASE)
QUIETLY = "--log-level-console=warn"


@dataclass(frozen=True)
class Backup:
    label: str
    kind: str
    repository: int
    system: str  # the cluster's system identifier
    version: int
    started: int
    finished: int
    size: int
    first_lsn: int
    last_lsn: int
    timeline: int
    error: bool = False


@dataclass(frozen=True)
class Archive:
    last_segment: str  # "" when there is none
    last_written: int  # when the repository got it; 0 when not known


@dataclass(frozen=True)
class Repository:
    backups: tuple[Backup, ...]
    archive: Archive
    # Where the newest timeline left each of its ancestors: {1: 0x5000028} for one that began there on timeline 1.
    timeline: int = 1
    ancestors: Mapping[int, int] | None = None

    def usable(self, backup: Backup) -> bool:
        """Whether the newest timeline goes through the end of the backup: else nothing after it could be replayed."""
        if backup.error:
            return False
        left = (self.ancestors or {}).get(backup.timeline)
        return backup.timeline == self.timeline or (left is not None and backup.last_lsn <= left)


def lsn(text: str) -> int:
    high, _slash, low = text.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def lsn_text(number: int) -> str:
    return f"{number >> 32:X}/{number & 0xFFFFFFFF:X}"


def parse(found: Sequence[Mapping[str, Any]], stanza: str, repository: int) -> tuple[list[Backup], str, str]:
    """Backups, oldest first, the last archived segment, and the archive's id, of what `pgbackrest info` says."""
    known = next((entry for entry in found if entry["name"] == stanza), None)
    if known is None:
        raise Refused(f"repository {repository} knows no stanza {stanza}; write the name that it was backed up by")
    status = known["status"]
    problem = next((entry["status"] for entry in known.get("repo", ()) if entry["status"]["code"]), status)
    if problem["code"] not in (0, 2):  # 2: no backup, which the plan says better
        raise Refused(explained(problem["message"], stanza, repository))
    clusters = {entry["id"]: entry for entry in known["db"] if entry.get("repo-key", 1) == repository}
    backups = [
        Backup(
            label=entry["label"],
            kind=entry["type"],
            repository=repository,
            system=str(clusters[entry["database"]["id"]]["system-id"]),
            version=int(float(clusters[entry["database"]["id"]]["version"])),
            started=entry["timestamp"]["start"],
            finished=entry["timestamp"]["stop"],
            size=entry["info"]["size"],
            first_lsn=lsn(entry["lsn"]["start"]),
            last_lsn=lsn(entry["lsn"]["stop"]),
            timeline=int(entry["archive"]["start"][:8], 16),
            error=bool(entry.get("error")),
        )
        for entry in known["backup"]
        if entry["database"].get("repo-key", 1) == repository
    ]
    archives = [entry for entry in known["archive"] if entry["database"].get("repo-key", 1) == repository]
    newest = archives[-1] if archives else {"max": "", "id": ""}
    return sorted(backups, key=lambda backup: backup.finished), newest["max"] or "", newest["id"]


def explained(message: str, stanza: str, repository: int) -> str:
    """pgBackRest's words, and what they mean to somebody who is in a hurry."""
    words = " ".join(message.split())
    if LOST_KEY.search(words) or CRASH.search(words):
        # Debian 12's pgBackRest crashes when the other side tells it that.
        advice = (
            "the key that opens it is wrong or lost: on the repository host, compare repo-cipher-pass in "
            "/etc/pgbackrest/pgbackrest.conf with the secret backup_cipher on the controller (docs/recovery.md, 'The "
            "key is lost')"
        )
    elif "missing stanza" in words or "access denied" in words:
        advice = (
            f"the repository has no stanza {stanza}, or does not let this server at it: compare backup_stanza with "
            "what the cluster was backed up by (on the repository host: sudo -u postgres pgbackrest info)"
        )
    elif AWAY.search(words):
        advice = "the repository host does not answer: start it, or choose another repository with --repository"
    else:
        advice = "look at it on the repository host: sudo -u postgres pgbackrest info"
    return f"repository {repository} cannot be read, {advice}. pgBackRest says: {words}"


def history(text: str) -> dict[int, int]:
    """Ancestor by ancestor, where it was left, of a timeline's history file."""
    fields = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return {int(words[0]): lsn(words[1]) for words in fields}


def pgbackrest(settings: Settings, repository: int, *arguments: str) -> list[str]:
    return ["pgbackrest", f"--stanza={settings.stanza}", f"--repo={repository}", *arguments]


def observe(settings: Settings, repository: int = 1) -> Repository:
    try:
        said = run(pgbackrest(settings, repository, QUIETLY, "--output=json", "info"))
    except Failed as failure:
        raise Refused(explained(str(failure), settings.stanza, repository)) from failure
    backups, last_segment, archive = parse(json.loads(said), settings.stanza, repository)
    if not last_segment:
        return Repository(tuple(backups), Archive("", 0))
    place = f"archive/{settings.stanza}/{archive}"
    listed = json.loads(run(pgbackrest(settings, repository, QUIETLY, "--output=json", "repo-ls", place)))
    timelines = [int(name[:8], 16) for name in listed if re.fullmatch(r"[0-9A-F]{8}\.history", name)]
    timeline = max([*timelines, int(last_segment[:8], 16)])
    ancestors: dict[int, int] = {}
    if timelines:
        file = f"{place}/{max(timelines):08X}.history"
        ancestors = history(run(pgbackrest(settings, repository, QUIETLY, "repo-get", file)))
    reach = Archive(last_segment, written(settings, repository, place, last_segment))
    return Repository(tuple(backups), reach, timeline, ancestors)


def written(settings: Settings, repository: int, place: str, segment: str) -> int:
    """When the segment came into the repository."""
    options = (QUIETLY, "--output=json", f"--filter=^{segment}")
    listed = json.loads(run(pgbackrest(settings, repository, *options, "repo-ls", f"{place}/{segment[:16]}")))
    return max((entry.get("time", 0) for entry in listed.values()), default=0)
