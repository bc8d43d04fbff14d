# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Rules about backups. See rules.py for what a rule is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.airworthy.stack.plugins.module_utils.catalogue import ALL_IN_ONE_GROUP, TIERS

Values = Mapping[str, Any]

NEEDS = {
    "posix": ("path",),
    "s3": ("endpoint", "bucket", "region", "access_key", "secret_key"),
    "sftp": ("host", "user", "private_key_file", "fingerprint"),
}


def repositories_are_complete(values: Values) -> Iterator[str]:
    """What opens one kind of repository is of no use for another. What may be a secret is not shown."""
    for number, repository in enumerate(values.get("backup_repositories") or []):
        if not isinstance(repository, Mapping) or repository.get("type") not in NEEDS:
            continue
        kind = repository["type"]
        lacking = [key for key in NEEDS[kind] if not repository.get(key)]
        if lacking:
            yield f"backup_repositories[{number}] is of type {kind} and lacks {', '.join(lacking)}"
        others = {key for keys in NEEDS.values() for key in keys} - set(NEEDS[kind]) - {"path"}
        if strange := sorted(others & {key for key, value in repository.items() if value}):
            yield f"backup_repositories[{number}] is of type {kind}, which has no {', '.join(strange)}; remove it"


def repositories_are_several_places(values: Values) -> Iterator[str]:
    """A second repository in the directory of the first one would be the first one."""
    directory = values.get("backup_directory")
    for number, repository in enumerate(values.get("backup_repositories") or []):
        path = repository.get("path", "") if isinstance(repository, Mapping) else ""
        inside = directory and f"{path}/".startswith(f"{directory.rstrip('/')}/")
        if inside and repository.get("type") == "posix":
            yield f"backup_repositories[{number}].path is {path!r}, in {directory}; write a directory of another disk"


def keeper_is_a_host(values: Values) -> Iterator[str]:
    """A misspelt name would leave a server without backups."""
    groups, keeper = values.get("groups") or {}, values.get("backup_host")
    known = {host for name in (ALL_IN_ONE_GROUP, *TIERS) for host in groups.get(name, ())}
    if keeper and known and keeper not in known:
        yield f"backup_host is {keeper!r}, which is in no group of the site; write the inventory name of a host that is"


def full_backups_are_made(values: Values) -> Iterator[str]:
    """The others are made of what changed since a full one."""
    if values.get("backup_full_schedule") == "":
        yield "backup_full_schedule is empty; write when full backups begin, as in Sun 01:30"


def files_are_looked_after(values: Values) -> Iterator[str]:
    """Each of these has to happen, and has to have something to happen to."""
    examples = {"schedule": "*-*-* 02:30", "check_schedule": "*-*-* 06:30", "prune_schedule": "Sun 07:30"}
    for name, example in examples.items():
        if values.get(f"backup_files_{name}") == "":
            yield f"backup_files_{name} is empty; write when it begins, as in {example}"
    if values.get("backup_files_paths") == []:
        yield "backup_files_paths is empty; write what is to be backed up, as in /etc"


def drills_are_made(values: Values) -> Iterator[str]:
    """A backup that nobody restored is a hope; and an objective below archive_timeout is one, too."""
    if values.get("backup_drill_schedule") == "":
        yield "backup_drill_schedule is empty; write when drills begin, as in Sun *-*-1..7 04:00"
    point, timeout = values.get("backup_recovery_point_seconds"), values.get("backup_archive_timeout")
    if point and timeout and point < timeout:
        yield (
            f"backup_recovery_point_seconds is {point}, and backup_archive_timeout, after which the log is archived, "
            f"is {timeout}; write at least {timeout}, or archive sooner"
        )


RULES = (
    repositories_are_complete,
    repositories_are_several_places,
    keeper_is_a_host,
    full_backups_are_made,
    files_are_looked_after,
    drills_are_made,
)
