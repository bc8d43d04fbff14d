#!/usr/bin/python
# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: files_backup_audit
short_description: Examines whether a server's files are backed up, encrypted, kept for long enough, and come back
version_added: "0.1.0"
author: the airworthy.stack maintainers (@airworthy)
description:
  - On a server (O(part=client)) it proves C(dr.plan) at level V(quick), from what the repository itself says, and
    C(dr.restore) at level V(deep) - a sample of the newest snapshot is restored and compared, and the repository host
    is asked to remove and to show what it must not.
  - On the repository host (O(part=repository)) it proves C(dr.plan) and C(data.retention) at level V(quick), and
    C(data.backup_encrypted) at level V(deep) - words that stand in every snapshot are nowhere in the repository's
    bytes.
extends_documentation_fragment: [airworthy.stack.attributes.reads_only]
options:
  level:
    description: At V(deep), the probes that restore and read much are run as well.
    type: str
    choices: [quick, deep]
    default: quick
  part:
    description: Which side this is.
    type: str
    choices: [client, repository]
    required: true
  maximum_age_hours:
    description: Hours that the newest snapshot may be old.
    type: int
    default: 26
  clients:
    description: Names of the servers whose repositories lie here. For O(part=repository).
    type: list
    elements: str
    default: []
  keep:
    description: How many days, weeks and months are kept - C(daily), C(weekly), C(monthly). For O(part=repository).
    type: dict
    default: {}
  prune_maximum_age_days:
    description: Days since old snapshots were last removed, and since the repositories were last checked, at most.
    type: int
    default: 8
  read_limit_mb:
    description: Megabytes of each repository that are searched for readable words, the newest first.
    type: int
    default: 4096
"""

EXAMPLES = r"""
- name: The files are backed up, and come back
  airworthy.stack.files_backup_audit:
    part: client
    level: deep
  register: __backup_files_controls
"""

RETURN = r"""
controls:
  description: One record for each control of the level.
  returned: always
  type: list
  elements: dict
"""

import base64
import http.client
import json
import re
import ssl
import subprocess
import time
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.airworthy.stack.plugins.module_utils.ciphertext import Findings, search
from ansible_collections.airworthy.stack.plugins.module_utils.control import Check, Control, judged, not_run, run_probes
from ansible_collections.airworthy.stack.plugins.module_utils.timers import Timer, judge_timers, observe_timers

PROGRAM = ["/usr/bin/python3", "-I", "/usr/local/lib/airworthy/backup_files.py"]
CONFIGURATION = Path("/etc/airworthy/backup")
CLIENT_STATE = Path("/var/lib/airworthy/files")
REPOSITORY_STATE = Path("/var/lib/airworthy/files-repository")
CANARY = "/var/lib/airworthy/files/canary"
DAY = 86_400
PARTS_OF_A_REPOSITORY = {"config", "data", "index", "keys", "locks", "snapshots"}
PLAIN_IN_A_KEY = {"created", "username", "hostname", "kdf", "N", "r", "p", "salt", "data"}
BACKUP = "airworthy-files-backup"
CARE = ("airworthy-files-check", "airworthy-files-prune")
REMEDIATION = "ansible-playbook site.yml --tags backup; then look at journalctl -u 'airworthy-files-*'"


@dataclass(frozen=True)
class Ledger:
    """What the repository says of this server, and how the server's last run ended."""

    snapshots: int
    newest: float | None  # when it began, seconds since the epoch
    trouble: str  # why the repository says nothing
    last_run: Mapping[str, Any]


@dataclass(frozen=True)
class Refusals:
    """The status with which the repository host answers, 0 for no answer at all."""

    removal: int
    of_another: int
    wrong_password: int
    without_certificate: int


@dataclass(frozen=True)
class Shelf:
    """One server's repository, seen from the host that keeps it."""

    client: str
    arrivals: tuple[float, ...]
    checked: Mapping[str, Any]
    pruned: Mapping[str, Any]


def ago(moment: float | None, now: float) -> str:
    if moment is None:
        return "never"
    hours = (now - moment) / 3600
    return f"{hours:.1f} h ago" if hours < 48 else f"{hours / 24:.1f} days ago"


def young(subject: str, moment: float | None, hours: float, now: float) -> Check:
    wanted = f"at most {hours:.0f} h ago" if hours < 48 else f"at most {hours / 24:.0f} days ago"
    # a time ahead of the clock proves nothing
    ok = moment is not None and -300 <= now - moment <= hours * 3600
    return Check(subject, wanted, ago(moment, now), ok)


def outcome(subject: str, record: Mapping[str, Any]) -> Check:
    said = "succeeded" if record.get("success") else str(record.get("message", "it never ran"))
    return Check(subject, "succeeded", said, bool(record.get("success")))


# --- on a server ---


def judge_ledger(ledger: Ledger, maximum_age_hours: int, now: float) -> list[Check]:
    missing = ledger.last_run.get("missing", [])
    return [
        Check("the repository", "answers", ledger.trouble or "answers", not ledger.trouble),
        young("newest snapshot of the files", ledger.newest, maximum_age_hours, now),
        outcome("last backup of the files", ledger.last_run),
        # told, since somebody may have expected it in the backup; a server need not have each
        Check("paths that are not there", "told", ", ".join(missing) or "none", True),
    ]


def judge_restore(record: Mapping[str, Any], began: float) -> list[Check]:
    restored, equal = int(record.get("restored", 0)), int(record.get("equal", 0))
    seen = f"{restored}, {equal} equal, {record.get('changed_since', 0)} changed since"
    fresh = record.get("begun", 0) >= began
    return [
        outcome("restore test", record),
        Check("time of the restore test", "now", "now" if fresh else "earlier", fresh),
        # the canary is one of them
        Check("files that came back", "2 or more", seen, restored >= 2),
        Check("files that came back equal", "1 or more", str(equal), equal >= 1),
    ]


def judge_refusals(seen: Refusals) -> list[Check]:
    def refused(subject: str, wanted: int, status: int) -> Check:
        return Check(subject, str(wanted or "no answer"), str(status or "no answer"), status == wanted)

    return [
        refused("removing a snapshot", 403, seen.removal),
        refused("reading another server's repository", 403, seen.of_another),
        refused("a wrong password", 401, seen.wrong_password),
        refused("no certificate", 0, seen.without_certificate),
    ]


def remembered(path: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return record


def moment_of(text: str) -> float:
    """Of a time as restic writes it, which may have nanoseconds."""
    return datetime.fromisoformat(re.sub(r"\.\d+", "", text).replace("Z", "+00:00")).timestamp()


def observe_ledger() -> Ledger:
    answer = subprocess.run([*PROGRAM, "status"], capture_output=True, text=True, check=False)
    last_run = remembered(CLIENT_STATE / "run.json")
    if answer.returncode != 0:
        return Ledger(0, None, answer.stderr.strip() or f"status {answer.returncode}", last_run)
    said = json.loads(answer.stdout)
    return Ledger(said.get("snapshots", 0), moment_of(said["time"]) if said else None, "", last_run)


class Door:
    """The repository host's server, as this server and as a stranger would try it.

    What is asked for does not exist, or is only read: where the door stands open, the examination must harm nothing.
    """

    def __init__(self, told: Mapping[str, Any]) -> None:
        location = Path(told["repository_file"]).read_text().strip().removeprefix("rest:")
        url = urllib.parse.urlsplit(location)
        self.host, self.port = url.hostname or "", url.port
        self.user, self.password = url.username or "", url.password or ""
        self.told = told

    def knock(self, method: str, path: str, password: str | None = None, certificate: bool = True) -> int:
        context = ssl.create_default_context(cafile=self.told["ca"])
        if certificate:
            context.load_cert_chain(self.told["certificate"], self.told["private_key"])
        both = f"{self.user}:{self.password if password is None else password}"
        headers = {"Authorization": "Basic " + base64.b64encode(both.encode()).decode()}
        connection = http.client.HTTPSConnection(self.host, self.port, timeout=10, context=context)
        try:
            connection.request(method, path, headers=headers)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()


def observe_refusals() -> Refusals:
    door = Door(remembered(CONFIGURATION / "files.json"))
    mine = f"/{door.user}"
    return Refusals(
        removal=door.knock("DELETE", f"{mine}/snapshots/{'0' * 64}"),
        of_another=door.knock("GET", "/another-server/config"),
        wrong_password=door.knock("GET", f"{mine}/config", password="wrong"),  # noqa: S106
        without_certificate=door.knock("GET", f"{mine}/config", certificate=False),
    )


def examine_client(params: dict[str, Any]) -> Control:
    now = time.time()
    timers: list[Timer] = observe_timers([BACKUP])
    checks = judge_timers(timers, [BACKUP], params["maximum_age_hours"] * 3600, now)
    checks += judge_ledger(observe_ledger(), params["maximum_age_hours"], now)
    command = f"{' '.join(PROGRAM)} status; systemctl list-timers 'airworthy-files-*'"
    return judged("dr.plan", "quick", checks, command=command, remediation=REMEDIATION)


def examine_restore() -> Control:
    began = time.time()
    subprocess.run([*PROGRAM, "restore-test"], capture_output=True, check=False)
    checks = judge_restore(remembered(CLIENT_STATE / "restore_test.json"), began) + judge_refusals(observe_refusals())
    command = f"{' '.join(PROGRAM)} restore-test"
    return judged("dr.restore", "deep", checks, command=command, remediation=REMEDIATION)


# --- on the repository host ---


def judge_care(shelves: Sequence[Shelf], maximum_age_hours: int, care_days: int, now: float) -> list[Check]:
    checks = []
    for shelf in shelves:
        newest = max(shelf.arrivals, default=None)
        checks.append(young(f"newest snapshot of {shelf.client}", newest, maximum_age_hours, now))
        if is_due(shelf.checked, shelf.arrivals, care_days, now):
            checks.append(outcome(f"last check of {shelf.client}", shelf.checked))
            last = shelf.checked.get("last_success")
            checks.append(young(f"last good check of {shelf.client}", last, care_days * 24, now))
    return checks


def is_due(record: Mapping[str, Any], arrivals: Sequence[float], days: int, now: float) -> bool:
    """A repository that is younger need not have been cared for yet."""
    return bool(record) or (bool(arrivals) and now - min(arrivals) > days * DAY)


def longest_days(keep: Mapping[str, int]) -> int:
    """The age that a snapshot can reach by the policy: the last of a month may be the first of the month, too."""
    return max(keep["daily"] + 1, 7 * (keep["weekly"] + 1), 31 * (keep["monthly"] + 1))


def judge_retention(shelves: Sequence[Shelf], keep: Mapping[str, int], prune_days: int, now: float) -> list[Check]:
    limit = longest_days(keep) + prune_days
    checks = []
    for shelf in shelves:
        oldest = min(shelf.arrivals, default=None)
        age = 0.0 if oldest is None else (now - oldest) / DAY
        checks.append(
            Check(f"oldest snapshot of {shelf.client}", f"at most {limit} days", f"{age:.1f} days", age <= limit)
        )
        most = keep["daily"] + keep["weekly"] + keep["monthly"]
        settled = sum(now - arrival > (prune_days + 2) * DAY for arrival in shelf.arrivals)
        checks.append(
            Check(f"older snapshots of {shelf.client}", f"{most} at most", str(settled), settled <= most)
        )
        if is_due(shelf.pruned, shelf.arrivals, prune_days, now):
            checks.append(outcome(f"last removal of old snapshots of {shelf.client}", shelf.pruned))
            last = shelf.pruned.get("last_success")
            checks.append(young(f"last good removal for {shelf.client}", last, prune_days * 24, now))
        strays = shelf.checked.get("strays", [])
        wanted = "no snapshot of another time or server"
        checks.append(Check(f"repository of {shelf.client}", wanted, ", ".join(strays) or wanted, not strays))
    return checks


def judge_encryption(client: str, decrypted: bool, findings: Findings, odd: Sequence[str]) -> list[Check]:
    seen = "they do" if decrypted else "they do not, so that the search proves nothing"
    checks = [Check("the words stand in the newest snapshot", "they do", seen, decrypted)]
    checks += findings.checks()
    checks.append(Check("what does not belong there", "none", ", ".join(odd) or "none", not odd))
    return [Check(f"{client}: {check.subject}", check.expected, check.observed, check.ok) for check in checks]


def observe_shelf(directory: Path, client: str) -> Shelf:
    snapshots = directory / client / "snapshots"
    arrivals = [path.stat().st_mtime for path in snapshots.iterdir()] if snapshots.is_dir() else []
    return Shelf(
        client,
        tuple(sorted(arrivals)),
        remembered(REPOSITORY_STATE / f"check-{client}.json"),
        remembered(REPOSITORY_STATE / f"prune-{client}.json"),
    )


def observe_odd(repository: Path) -> list[str]:
    """Files that a repository does not have, and readable words where restic has none but the key's parameters."""
    odd = [str(path) for path in repository.iterdir() if path.name not in PARTS_OF_A_REPOSITORY]
    if (repository / "config").read_bytes().isascii():
        odd.append(f"{repository}/config is readable")
    for key in (repository / "keys").iterdir():
        try:
            known = set(json.loads(key.read_text())) <= PLAIN_IN_A_KEY
        except ValueError:
            known = False
        odd += [] if known else [str(key)]
    return odd


def observe_words(repository: Path, password_file: str, words: bytes) -> bool:
    """Whether the newest snapshot has the words in its canary, for those who have the key."""
    restic = ["restic", "--repo", str(repository), "--password-file", password_file, "--no-cache", "--no-lock"]
    dump = subprocess.run([*restic, "dump", "latest", CANARY], capture_output=True, check=False)
    return words in dump.stdout


def examine_care(params: dict[str, Any], shelves: Sequence[Shelf]) -> Control:
    now = time.time()
    checks = [check for check in judge_timers(observe_timers(CARE), [], 0, now) if check.subject != "next backup"]
    checks += judge_care(shelves, params["maximum_age_hours"], params["prune_maximum_age_days"], now)
    command = "systemctl list-timers 'airworthy-files-*'; journalctl -u airworthy-files-check"
    return judged("dr.plan", "quick", checks, command=command, remediation=REMEDIATION)


def examine_retention(params: dict[str, Any], shelves: Sequence[Shelf], directory: Path) -> Control:
    keep = {name: int(count) for name, count in params["keep"].items()}
    checks = judge_retention(shelves, keep, params["prune_maximum_age_days"], time.time())
    command = f"ls -l --time-style=long-iso {directory}/*/snapshots; journalctl -u airworthy-files-prune"
    return judged("data.retention", "quick", checks, command=command, remediation=REMEDIATION)


def examine_encryption(params: dict[str, Any], directory: Path, password_file: str) -> Control:
    checks = []
    for client in params["clients"]:
        repository, words = directory / client, f"airworthy canary of {client}".encode()
        parts = [str(path) for path in repository.iterdir() if path.is_dir() and path.name != "keys"]
        findings = search(parts, words, params["read_limit_mb"] * 1_000_000)
        checks += judge_encryption(
            client, observe_words(repository, password_file, words), findings, observe_odd(repository)
        )
    return judged(
        "data.backup_encrypted",
        "deep",
        checks,
        command=f"grep --recursive --count --text 'airworthy canary of' {directory} | grep -v ':0$'",
        remediation="remove what is readable from the repository, and find out who put it there",
    )


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "level": {"type": "str", "choices": ["quick", "deep"], "default": "quick"},
            "part": {"type": "str", "choices": ["client", "repository"], "required": True},
            "maximum_age_hours": {"type": "int", "default": 26},
            "clients": {"type": "list", "elements": "str", "default": []},
            "keep": {"type": "dict", "default": {}},
            "prune_maximum_age_days": {"type": "int", "default": 8},
            "read_limit_mb": {"type": "int", "default": 4096},
        },
        required_if=[("part", "repository", ["clients", "keep"])],
        supports_check_mode=True,
    )
    params, deep = module.params, module.params["level"] == "deep"
    if params["part"] == "client":
        controls = run_probes("quick", {"dr.plan": lambda: examine_client(params)})
        if deep and module.check_mode:
            reason = "The restore test writes a sample into a scratch directory."
            controls.append(not_run("dr.restore", "deep", reason).to_dict())
        elif deep:
            controls += run_probes("deep", {"dr.restore": examine_restore})
        module.exit_json(changed=False, controls=controls)
    told = remembered(CONFIGURATION / "files_repository.json")
    directory = Path(told.get("directory", "/srv/backup/restic"))
    shelves = [observe_shelf(directory, client) for client in params["clients"]]
    controls = run_probes(
        "quick",
        {
            "dr.plan": lambda: examine_care(params, shelves),
            "data.retention": lambda: examine_retention(params, shelves, directory),
        },
    )
    if deep:
        controls += run_probes(
            "deep", {"data.backup_encrypted": lambda: examine_encryption(params, directory, told["password_file"])}
        )
    module.exit_json(changed=False, controls=controls)


if __name__ == "__main__":
    main()
