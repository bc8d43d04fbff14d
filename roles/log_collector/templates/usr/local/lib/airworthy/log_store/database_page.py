# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What pgBadger makes of the records of PostgreSQL. It reads PostgreSQL's own log, so they become that again."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from search import Entry

PROGRAM = "postgresql"
PREFIX = "%m [%p] user=%u,db=%d,app=%a "
# Without auto_explain's lines: a slow statement would count twice, since it is logged without its plan, too.
COMMAND = ("pgbadger", "--quiet", "--format=stderr", f"--prefix={PREFIX}", "--noexplain", "--extension=html")
SEVERITIES = {"emerg": "PANIC", "alert": "PANIC", "crit": "FATAL", "err": "ERROR", "warning": "WARNING"}
# What PostgreSQL adds to a message, with its own prefix again. All other lines that go on begin with a tab.
PART = re.compile(r"\[\d+\] .*?(?P<name>DETAIL|HINT|CONTEXT|LOCATION|STATEMENT):  (?P<text>.*)")
PARAMETER = re.compile(r"\$\d+")


def command(title: str, target: Path) -> list[str]:
    return [*COMMAND, f"--title={title}", f"--outfile={target}", "-"]


def lines(entry: Entry) -> str:
    record = entry.record
    fields = record["fields"] if isinstance(record.get("fields"), dict) else {}
    pid = str(record.get("pid", ""))
    user, database = (_name(fields, name, r"[^\w\[\].-]") for name in ("user", "database"))
    application = _name(fields, "application", r"[^\w\[\]./@ -]")
    time = f"{entry.time[:10]} {entry.time[11:23]} UTC"
    prefix = f"{time} [{pid if pid.isdecimal() else 0}] user={user},db={database},app={application} "
    severity = SEVERITIES.get(str(record.get("level")), "LOG")
    first, *others = str(record.get("message") or "").splitlines() or [""]
    if first.startswith("duration: "):
        first, others = _without_parameters(first), [_without_parameters(line) for line in others]
    return "".join([f"{prefix}{severity}:  {first}\n", *(_further(line, prefix) for line in others)])


def _further(line: str, prefix: str) -> str:
    part = PART.match(line)
    return f"{prefix}{part['name']}:  {part['text']}\n" if part else f"\t{line.removeprefix(chr(9))}\n"


def _name(fields: dict[str, Any], name: str, unusual: str) -> str:
    """Who connects chooses it, and must not end the prefix with it."""
    return re.sub(unusual, "_", str(fields.get(name) or ""), flags=re.ASCII)


def _without_parameters(text: str) -> str:
    """Values are not logged. pgBadger would put nothing in the place of $1."""
    return PARAMETER.sub("?", text)
