# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the commands are told."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

import period
import store
from wanted import LEVELS

TIME = "a time: 2026-11-27T18:58:00Z, a day (its beginning in UTC), or 2h, 30m, 7d before now"


def parser(now: datetime) -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    common.add_argument("--store", type=Path, default=store.ROOT, help="where logs lie (%(default)s)")
    whole = argparse.ArgumentParser(
        prog="airworthy-logs", description="The logs of all servers.", allow_abbrev=False
    )  # fmt: skip
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")
    new = partial(commands.add_parser, parents=[common], allow_abbrev=False)
    _search(new("search", help="print records; exit code 1 if there is none"), now)
    _errors(new("errors", help="what went wrong, by kind"), now)
    _report(new("report", help="write the reports of yesterday to a directory"))
    _keep(new("keep", help="compress and encrypt days that are over, remove old ones"))
    return whole


def joined(arguments: Sequence[str]) -> list[str]:
    """`--since -2h` as `--since=-2h`: else argparse takes -2h for an option."""
    result: list[str] = []
    for argument in arguments:
        if result and result[-1] in {"--since", "--until"}:
            result[-1] += f"={argument}"
        else:
            result.append(argument)
    return result


def _period(command: argparse.ArgumentParser, now: datetime, since: str | None) -> None:
    time = partial(_asked, now=now)
    command.add_argument("--since", metavar="T", type=time, default=since, help=f"{TIME}; that or later")
    command.add_argument("--until", metavar="T", type=time, default=period.ENDLESS, help="earlier than that")


def _identity(command: argparse.ArgumentParser) -> None:
    meaning = "private key for days that are encrypted, as `age -i` takes it; /dev/stdin leaves none on this server"
    command.add_argument("--identity", metavar="FILE", type=_content, help=meaning)


def _content(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _asked(text: str, now: datetime) -> str:
    try:
        return period.asked(text, now)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _search(command: argparse.ArgumentParser, now: datetime) -> None:
    command.description = (
        "Prints records of the last hour, with --request-id or --id of the last 7 days, in the order of their times. "
        "A record that arrived late may stand after younger ones. Names of hosts and programs may be patterns: 'web*'."
    )
    command.add_argument("--host", metavar="H", action="append", default=[])
    command.add_argument("--program", metavar="P", action="append", default=[])
    command.add_argument("--request-id", metavar="ID", default="")
    command.add_argument("--id", metavar="ID", default="")
    command.add_argument("--level", choices=LEVELS, default="", help="that or worse")
    command.add_argument("--match", metavar="REGEX", type=_pattern, help="in the message or the fields")
    _period(command, now, None)
    _identity(command)
    form = command.add_mutually_exclusive_group()
    form.add_argument("--json", dest="form", action="store_const", const="json", help="JSON lines (else)")
    form.add_argument("--short", dest="form", action="store_const", const="short", help="a line each (on a terminal)")


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no regular expression: {error}") from None


def _errors(command: argparse.ArgumentParser, now: datetime) -> None:
    command.description = "Records of level err or worse and requests that failed, from the most frequent kind on."
    _period(command, now, "-24h")
    _identity(command)
    form = command.add_mutually_exclusive_group()
    form.add_argument("--json", dest="form", action="store_const", const="json")
    form.add_argument("--html", dest="form", action="store_const", const="html")


def _report(command: argparse.ArgumentParser) -> None:
    command.add_argument("--directory", type=Path, required=True, help="gets index.html and YYYY-MM-DD/*.html")
    command.add_argument("--days", type=_count, default=30, help="for which reports are kept (%(default)s)")


def _keep(command: argparse.ArgumentParser) -> None:
    command.add_argument("--days", type=_count, required=True, help="for which logs are kept")
    command.add_argument("--max-mb", type=_count, required=True, help="MiB that they may take; oldest days go first")
    command.add_argument("--encrypt-to", metavar="FILE", type=Path, help="public keys, as `age -R` takes them")
    command.add_argument("--readable-days", type=_count, default=7, help="that are not encrypted yet (%(default)s)")
    command.add_argument("--figures", type=Path, help="file to be written for Prometheus")


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return int(text)
