# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The reports of a day, in a directory of that day: the digest, as a page and as JSON, and pages of other programs."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from itertools import chain
from pathlib import Path

import command_pages
import digest
import digest_page
import index_page
import period
from command_pages import Page
from period import Period
from search import Search, beginning
from wanted import Wanted, may_be_in


def write(root: Path, directory: Path, days: int, now: datetime, pages: Sequence[Page] = command_pages.PAGES) -> int:
    """Of the day before `now`; reports older than `days` days go. How many logs and pages were not done wholly."""
    today = date.fromisoformat(period.text_of(now)[:10])
    day = today - timedelta(days=1)
    asked = Period(beginning(day), beginning(today))
    found, problems = digest.made(root, asked)
    target = directory / str(day)
    target.mkdir(mode=0o750, parents=True, exist_ok=True)
    _put(target / "errors.json", json.dumps(found.told(), indent=1) + "\n")
    _put(target / "errors.html", digest_page.page(found))
    problems += sum(_page(page, root, asked, target) for page in pages)
    oldest = str(today - timedelta(days=days))
    for old in list(directory.iterdir()):
        if index_page.NAME.fullmatch(old.name) and old.name < oldest:
            shutil.rmtree(old)
    _put(directory / "index.html", index_page.page(index_page.days(directory)))
    return problems


def _page(page: Page, root: Path, asked: Period, directory: Path) -> int:
    """Where there is no record of the program, there is no page. The others do not suffer if this one fails."""
    search = Search(root, Wanted(asked, programs=[page.program]))
    entries = search.unordered(may_be_in(asked))  # not merged: hosts have processes with the same number
    first = next(entries, None)
    if first is None:
        (directory / f"{page.name}.html").unlink(missing_ok=True)
        return search.problems
    try:
        command_pages.write(page, chain([first], entries), f"{page.name.capitalize()} {directory.name}", directory)
    except OSError as error:
        print(f"<3>{directory / page.name}.html is not written: {error}", file=sys.stderr, flush=True)
        return search.problems + 1
    return search.problems


def _put(path: Path, text: str) -> None:
    staged = path.with_name(f".{path.name}.new")
    descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o640)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)
    staged.rename(path)
