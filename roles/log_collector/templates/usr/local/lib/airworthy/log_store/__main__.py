# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The logs of all servers: search them, see what went wrong, keep them small.

  python3 -I /usr/local/lib/airworthy/log_store search|errors|report|keep …

The exit code is 0; 1 if nothing was found or something could not be read or done; 2 if it was called wrongly.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from datetime import UTC, datetime

import command_line
import digest
import digest_page
import display
import keeping
import period
import report
from encrypting import Encryption
from search import Search
from wanted import Wanted


def main() -> int:
    now = datetime.now(UTC)
    arguments = command_line.parser(now).parse_args(command_line.joined(sys.argv[1:]))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal need not have all characters
    try:
        if not arguments.store.is_dir():
            raise NotADirectoryError(f"{arguments.store} is no directory")
        code = COMMANDS[arguments.command](arguments, now)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # whoever reads has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except PermissionError as error:
        print(f"{error}; the logs are for root and the group adm", file=sys.stderr)
    except OSError as error:
        print(error, file=sys.stderr)
    except KeyboardInterrupt:
        return 130
    return 1


def search(arguments: argparse.Namespace, now: datetime) -> int:
    since = arguments.since or period.asked("7d" if arguments.request_id or arguments.id else "1h", now)
    wanted = Wanted(
        period.Period(since, arguments.until), arguments.host, arguments.program, arguments.request_id, arguments.id,
        arguments.level, arguments.match,
    )  # fmt: skip
    form = arguments.form or ("short" if sys.stdout.isatty() else "json")
    shown = display.as_line if form == "short" else display.as_json
    found, is_found = Search(arguments.store, wanted, arguments.identity), False
    for entry in found.entries():
        is_found = True
        print(shown(entry))
    return 0 if is_found and not found.problems else 1


def errors(arguments: argparse.Namespace, now: datetime) -> int:
    asked = period.Period(arguments.since, min(arguments.until, period.text_of(now)))
    found, problems = digest.made(arguments.store, asked, arguments.identity)
    if arguments.form == "json":
        print(json.dumps(found.told(), indent=1))
    elif arguments.form == "html":
        print(digest_page.page(found), end="")
    else:
        print(digest.as_table(found))
    return 1 if problems else 0


def write_report(arguments: argparse.Namespace, now: datetime) -> int:
    return 1 if report.write(arguments.store, arguments.directory, arguments.days, now) else 0


def keep(arguments: argparse.Namespace, _now: datetime) -> int:
    encryption = Encryption(arguments.encrypt_to, arguments.readable_days) if arguments.encrypt_to else None
    return keeping.keep(arguments.store, arguments.days, arguments.max_mb, arguments.figures, encryption=encryption)


COMMANDS = {"search": search, "errors": errors, "report": write_report, "keep": keep}

if __name__ == "__main__":
    sys.exit(main())
