# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Pages that other programs make of records, which they get by a pipe."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple, cast

import database_page
import requests_page
from search import Entry

LIMIT = 1800  # seconds
# No settings of a home directory, and times as they are in the records.
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC"}


class Page(NamedTuple):
    name: str
    program: str
    command: Callable[[str, Path], list[str]]  # with a title, into a file
    lines: Callable[[Entry], str]  # for its input


PAGES = (
    Page("database", database_page.PROGRAM, database_page.command, database_page.lines),
    Page("requests", requests_page.PROGRAM, requests_page.command, requests_page.lines),
)


class Failed(OSError):
    """A program could not do it, and has said why by itself."""


def write(page: Page, entries: Iterable[Entry], title: str, directory: Path, limit: float = LIMIT) -> None:
    """OSError if there is no new page; one that was there before stays then."""
    staged = directory / f".{page.name}.new.html"  # by the end of the name the programs know what is wanted
    staged.unlink(missing_ok=True)
    try:
        _run(page.command(title, staged), (page.lines(entry) for entry in entries), limit)
        staged.chmod(0o640)
        staged.rename(directory / f"{page.name}.html")
    finally:
        staged.unlink(missing_ok=True)


def _run(command: list[str], lines: Iterable[str], limit: float) -> None:
    pipe, null = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(command, stdin=pipe, stdout=null, env=ENVIRONMENT, start_new_session=True) as process:
        timer = threading.Timer(limit, os.killpg, [process.pid, signal.SIGKILL])
        timer.start()
        source = cast(IO[bytes], process.stdin)
        try:
            is_fed = _fed(source, lines)
            code = process.wait()
        except BaseException:
            process.kill()
            with suppress(BrokenPipeError):
                source.close()
            raise
        finally:
            timer.cancel()
    if code < 0:
        raise Failed(f"{command[0]} was killed ({signal.Signals(-code).name}); it may take {limit:g} s")
    if code or not is_fed:
        raise Failed(f"{command[0]} ended with {code}" + ("" if is_fed else " before it had read all"))


def _fed(pipe: IO[bytes], lines: Iterable[str]) -> bool:
    """Whether it has read all."""
    try:
        for line in lines:
            pipe.write(line.encode(errors="replace"))
        pipe.close()
    except BrokenPipeError:
        with suppress(BrokenPipeError):
            pipe.close()
        return False
    return True
