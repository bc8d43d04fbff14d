# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What GoAccess makes of the records of nginx."""

from __future__ import annotations

from pathlib import Path

from display import printable
from search import Entry

PROGRAM = "nginx-access"
# By GoAccess' name of a column, that of the field. The client may be a network or a pseudonym.
FIELDS = {
    "%v": "host", "%h": "client", "%m": "method", "%U": "path", "%H": "protocol", "%s": "status", "%b": "bytes",
    "%T": "seconds", "%u": "agent",
}  # fmt: skip
FORMAT = "\t".join(["%d", "%t", *FIELDS])
# The first lines are no test of the format: they may be nonsense that a client has sent.
COMMAND = (
    "goaccess", "-", "--no-global-config", f"--log-format={FORMAT}", "--date-format=%Y-%m-%d", "--time-format=%H:%M:%S",
    "--no-ip-validation", "--num-tests=0", "--no-progress",
)  # fmt: skip


def command(title: str, target: Path) -> list[str]:
    return [*COMMAND, f"--html-report-title={title}", f"--output={target}"]


def lines(entry: Entry) -> str:
    fields = entry.record.get("fields")
    if not isinstance(fields, dict):
        return ""
    values = [printable(str(fields.get(name, ""))).strip() or "-" for name in FIELDS.values()]
    return "\t".join([entry.time[:10], entry.time[11:19], *values]) + "\n"
