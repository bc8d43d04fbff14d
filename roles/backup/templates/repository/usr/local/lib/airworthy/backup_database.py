# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backs up every cluster that this host keeps, to every repository; verifies them; tells Prometheus how they are.

    backup_database.py full|diff|incr    a backup of that type
    backup_database.py verify            every file against its checksum
    backup_database.py metrics           nothing but the figures

It goes on after a failure, so that one cluster that is away does not keep the others from being backed up, and its exit
code is 1 then. What became of each job is in jobs.json. Runs as postgres, one at a time: whoever comes second waits.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WISHES = Path("/etc/airworthy/backup/database.json")
STATE = Path("/var/lib/airworthy/backup")
JOBS = STATE / "jobs.json"
METRICS = STATE / "metrics.prom"
LOCK = STATE / "lock"

BACKUPS = ("full", "diff", "incr")

# pgBackRest reports what is wrong with a file in its log alone, and leaves 0 as its exit code.
DAMAGE = re.compile(r"INFO: ((?:invalid|missing|unable|duplicate|path|no )[^\n]*'[^\n]*)")
STATUS = re.compile(r"^\s*status: (\w+)$", re.MULTILINE)
HELP = {
    "airworthy_backup_last_timestamp_seconds": "End of the newest backup.",
    "airworthy_backup_last_duration_seconds": "How long the newest backup took.",
    "airworthy_backup_last_size_bytes": "Size of the cluster in the newest backup.",
    "airworthy_backup_last_repository_bytes": "What the newest backup added to the repository.",
    "airworthy_backup_backups": "Backups in the repository.",
    "airworthy_backup_repository_ok": "Whether the repository can be read and holds a backup.",
    "airworthy_backup_free_bytes": "Space left in the directory of the repositories.",
    "airworthy_backup_job_timestamp_seconds": "End of the last run of the job.",
    "airworthy_backup_job_success": "Whether the last run of the job succeeded.",
    "airworthy_backup_job_duration_seconds": "How long the last run of the job took.",
}


@dataclass(frozen=True)
class Place:
    """A cluster in one of the repositories."""

    stanza: str
    repository: int

    def command(self, *arguments: str) -> list[str]:
        return ["pgbackrest", f"--stanza={self.stanza}", f"--repo={self.repository}", *arguments]

    def __str__(self) -> str:
        return f"{self.stanza} in repository {self.repository}"


def run(command: Sequence[str]) -> tuple[int, str]:
    """Exit code and output. The output goes on to the journal as it is."""
    # with a wrong key pgBackRest quotes bytes that are no text
    result = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="backslashreplace", check=False
    )
    print(result.stdout, end="", flush=True)
    return result.returncode, result.stdout


def back_up(place: Place, kind: str) -> str | None:
    """What went wrong, or None."""
    code, output = run(place.command(f"--type={kind}", "backup"))
    return None if code == 0 else reason(output, code)


def verify(place: Place) -> str | None:
    """The damaged files by name, or None."""
    code, output = run(place.command("--output=text", "--verbose", "verify"))
    return reason(output, code) if code else damage(output)


def damage(output: str) -> str | None:
    """What is damaged, from the output of `pgbackrest verify --output=text --verbose`."""
    if set(STATUS.findall(output)) == {"ok"}:  # once in the log, once as the answer
        return None
    return "; ".join(dict.fromkeys(DAMAGE.findall(output))) or "verify ended without saying that all is well"


def reason(output: str, code: int) -> str:
    """The errors that pgBackRest gave, in one line."""
    lines = [line.strip() for line in output.splitlines()]
    starts = [number for number, line in enumerate(lines) if "ERROR:" in line]
    if not starts:
        return f"pgbackrest ended with {code}"
    return " ".join(line.partition("ERROR: ")[2] or line for line in lines[starts[0] : starts[0] + 4])


def places(wishes: Mapping[str, Any]) -> Iterator[Place]:
    for stanza in wishes["stanzas"]:
        for repository in wishes["repositories"]:
            yield Place(stanza, repository)


def perform(job: str, wishes: Mapping[str, Any]) -> dict[str, Any]:
    """Do the job everywhere, and return its record."""
    started = time.time()
    failures = {}
    for place in places(wishes):
        problem = back_up(place, job) if job in BACKUPS else verify(place)
        if problem:
            failures[str(place)] = problem
            print(f"FAILED: {job} of {place}: {problem}", file=sys.stderr)
    return {"started": round(started), "finished": round(time.time()), "failures": failures}


def jobs() -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(JOBS.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return found


def info(wishes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What pgBackRest knows of each stanza, repository by repository."""
    found = []
    for place in places(wishes):
        result = subprocess.run(
            place.command("--output=json", "--log-level-console=warn", "info"),
            capture_output=True,
            text=True,
            errors="backslashreplace",
            check=False,
        )
        stanzas = json.loads(result.stdout, strict=False) if result.returncode == 0 else []
        known = next((stanza for stanza in stanzas if stanza["name"] == place.stanza), {"backup": [], "repo": []})
        found.append({"stanza": place.stanza, "repository": place.repository, **known})
    return found


def metrics(
    stanzas: Sequence[Mapping[str, Any]], records: Mapping[str, Mapping[str, Any]], free: int
) -> str:
    """The figures in Prometheus' text format."""
    samples: list[tuple[str, dict[str, Any], float]] = [("airworthy_backup_free_bytes", {}, free)]
    for known in stanzas:
        labels = {"stanza": known["stanza"], "repository": known["repository"]}
        backups = [backup for backup in known["backup"] if not backup.get("error")]
        ok = all(repo["status"]["code"] == 0 for repo in known["repo"]) and bool(backups)
        samples += [("airworthy_backup_repository_ok", labels, ok), ("airworthy_backup_backups", labels, len(backups))]
        if backups:
            newest = backups[-1]
            begun, ended = newest["timestamp"]["start"], newest["timestamp"]["stop"]
            samples += [
                ("airworthy_backup_last_timestamp_seconds", labels, ended),
                ("airworthy_backup_last_duration_seconds", labels, ended - begun),
                ("airworthy_backup_last_size_bytes", labels, newest["info"]["size"]),
                ("airworthy_backup_last_repository_bytes", labels, newest["info"]["repository"]["delta"]),
            ]
    for job, record in records.items():
        labels = {"job": job}
        samples += [
            ("airworthy_backup_job_timestamp_seconds", labels, record["finished"]),
            ("airworthy_backup_job_success", labels, not record["failures"]),
            ("airworthy_backup_job_duration_seconds", labels, record["finished"] - record["started"]),
        ]
    return "".join(rendered(samples))


def rendered(samples: Sequence[tuple[str, Mapping[str, Any], float]]) -> Iterator[str]:
    """The samples, those of one name together, as the format demands."""
    for name, text in HELP.items():
        values = [(labels, value) for sample, labels, value in samples if sample == name]
        if values:
            yield f"# HELP {name} {text}\n# TYPE {name} gauge\n"
        for labels, value in values:
            inside = ",".join(f'{key}="{item}"' for key, item in labels.items())
            yield f"{name}{{{inside}}} {float(value):.0f}\n" if inside else f"{name} {float(value):.0f}\n"


def replace(path: Path, content: str) -> None:
    """All or nothing, also when the power fails."""
    beside = path.with_suffix(".new")
    with beside.open("w") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def main(job: str) -> int:
    wishes = json.loads(WISHES.read_text())
    failures: Mapping[str, str] = {}
    if job != "metrics":
        with LOCK.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            record = perform(job, wishes)
            failures = record["failures"]
            replace(JOBS, json.dumps({**jobs(), job: record}, indent=2) + "\n")
    space = os.statvfs(wishes["directory"])
    replace(METRICS, metrics(info(wishes), jobs(), space.f_bavail * space.f_frsize))
    return 1 if failures else 0


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in (*BACKUPS, "verify", "metrics"):
        sys.exit(str(__doc__))
    sys.exit(main(sys.argv[1]))
