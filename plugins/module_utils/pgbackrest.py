# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What pgBackRest says of its repositories, for the modules that examine them."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Mapping
from typing import Any

OWNER = "postgres"
# Seconds for which an examination waits for a repository that does not answer; pgBackRest tries some times.
PATIENCE = 5
# With another key pgBackRest quotes what it makes of the first line of a list.
UNDECIPHERED = "key/value found outside of section"
WRONG_KEY = (
    "the repository cannot be read: its key is not the one with which it was made (secret backup_cipher), or its list "
    "of backups is damaged"
)
SEGMENT = re.compile(r"\b([0-9A-F]{8})([0-9A-F]{8})000000([0-9A-F]{2})-[0-9a-f]{40}")


class PgbackrestFailed(Exception):
    """pgBackRest could not do it; the message is its own."""


def command(stanza: str, *arguments: str) -> list[str]:
    return ["runuser", "-u", OWNER, "--", "pgbackrest", f"--stanza={stanza}", "--log-level-console=warn", *arguments]


def shown(stanza: str, *arguments: str) -> str:
    """The command as a person types it."""
    return " ".join(["sudo -u postgres pgbackrest", f"--stanza={stanza}", *arguments])


def run(stanza: str, *arguments: str, timeout: int = 120) -> str:
    asked = command(stanza, f"--io-timeout={PATIENCE}", *arguments)
    try:
        result = subprocess.run(
            asked, capture_output=True, text=True, errors="replace", check=False, cwd="/", timeout=timeout
        )
    except subprocess.TimeoutExpired as error:
        raise PgbackrestFailed(f"pgbackrest did not end within {timeout} s") from error
    if result.returncode:
        raise PgbackrestFailed(reason(result.stdout + result.stderr) or f"pgbackrest ended with {result.returncode}")
    return result.stdout


def reason(output: str) -> str:
    """What pgBackRest said is wrong, in one line and without time stamps."""
    if UNDECIPHERED in output:
        return WRONG_KEY
    lines = [line.partition("ERROR: ")[2] or line.strip() for line in output.splitlines() if line.strip()]
    return " ".join(lines[-6:])


def stanza_info(stanza: str) -> dict[str, Any]:
    """The stanza's entry of `pgbackrest info --output=json`."""
    # With a wrong key its message quotes control characters as they are.
    entries = json.loads(run(stanza, "--output=json", "info"), strict=False)
    found: dict[str, Any] = next(entry for entry in entries if entry["name"] == stanza)
    return found


def statuses(info: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
    """The status, with code and message, of each repository."""
    found = {repo["key"]: repo["status"] for repo in info.get("repo", [])}
    return {key: {**status, "message": reason(status["message"])} for key, status in found.items()}


def backups(info: Mapping[str, Any], repository: int) -> list[dict[str, Any]]:
    """The backups in one repository, the newest last."""
    return [backup for backup in info["backup"] if backup["database"]["repo-key"] == repository]


def segments(listing: Mapping[str, Any]) -> list[int]:
    """The numbers of the log's segments in `pgbackrest repo-ls --recurse --output=json`, of whatever timeline."""
    found = (SEGMENT.search(name) for name in listing)
    return sorted({segment_number(match[0][:24]) for match in found if match})


def segment_number(name: str) -> int:
    """Where a segment stands in the log: names count in two parts, of which the second one ends at FF."""
    return int(name[8:16], 16) * 256 + int(name[16:24], 16)


def gaps(numbers: Iterable[int], first: int) -> list[int]:
    """Segments from the first one on that are missing between others."""
    there = {number for number in numbers if number >= first}
    return sorted(set(range(first, max(there, default=first - 1) + 1)) - there)
