# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The digest of a day, as a page and as JSON, in a directory of that day."""

from __future__ import annotations

import json
import os
import re
import shutil
from datetime import date, datetime, timedelta
from pathlib import Path

import digest
import digest_page
import period
from search import beginning

NAME = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def write(root: Path, directory: Path, days: int, now: datetime) -> int:
    """Of the day before `now`; reports older than `days` days go. How many logs could not be read wholly."""
    today = date.fromisoformat(period.text_of(now)[:10])
    day = today - timedelta(days=1)
    found, problems = digest.made(root, period.Period(beginning(day), beginning(today)))
    target = directory / str(day)
    target.mkdir(mode=0o750, parents=True, exist_ok=True)
    _put(target / "errors.json", json.dumps(found.told(), indent=1) + "\n")
    _put(target / "errors.html", digest_page.page(found))
    oldest = str(today - timedelta(days=days))
    for old in list(directory.iterdir()):
        if NAME.fullmatch(old.name) and old.name < oldest:
            shutil.rmtree(old)
    return problems


def _put(path: Path, text: str) -> None:
    staged = path.with_name(f".{path.name}.new")
    descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o640)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)
    staged.rename(path)
