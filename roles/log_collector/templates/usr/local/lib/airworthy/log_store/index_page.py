# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The list of all reports, from the newest day on."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from page_frame import framed, safe

NAME = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
PAGES = {"errors": "Errors", "database": "Database", "requests": "Requests"}


class Day(NamedTuple):
    name: str
    kinds: int  # of errors
    pages: list[str]


def days(directory: Path) -> list[Day]:
    """Those of which there is a digest."""
    names = sorted((each.name for each in directory.iterdir() if NAME.fullmatch(each.name)), reverse=True)
    return [_day(directory / name) for name in names if (directory / name / "errors.json").is_file()]


def page(found: Iterable[Day]) -> str:
    items = "\n".join(f"<li><h2>{day.name}</h2><p>{_links(day)}</p></li>" for day in found)
    return framed("Reports of the logs, by day (UTC)", f"<ol>\n{items}\n</ol>")


def _day(directory: Path) -> Day:
    told = json.loads((directory / "errors.json").read_text(encoding="utf-8"))
    pages = [name for name in PAGES if (directory / f"{name}.html").is_file()]
    return Day(directory.name, len(told["kinds"]), pages)


def _links(day: Day) -> str:
    kinds = f"{day.kinds} {'kind' if day.kinds == 1 else 'kinds'} of errors"
    titles = {**PAGES, "errors": kinds if day.kinds else "No errors"}
    return "".join(f'<a href="{day.name}/{name}.html">{safe(titles[name])}</a>' for name in day.pages)
