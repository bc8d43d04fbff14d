# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Other programs, run as the system's user postgres and never through a shell, and conversations with psql."""

from __future__ import annotations

import os
import pwd
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SUPERUSER = "postgres"
SEPARATOR = "\x1f"
DONE = "airworthy: the statement is done"

COMMANDS: list[str] = []  # what ran, in order, for the record


class Refused(Exception):
    """Nothing was done: what was found, and what to do."""


class Failed(Exception):
    """What was begun did not succeed: what was found, and what to do."""


@dataclass(frozen=True)
class Server:
    """A running Postgres, by its socket."""

    socket: str
    port: int
    binaries: Path

    def client(self, program: str, *arguments: str) -> list[str]:
        where = [f"--host={self.socket}", f"--port={self.port}", "--no-password"]
        return [str(self.binaries / program), *where, *arguments]


def identity() -> dict[str, Any]:
    """How a child becomes postgres: its groups, too, since one of them may read the key of the TLS certificate."""
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam(SUPERUSER)
    groups = os.getgrouplist(SUPERUSER, entry.pw_gid)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": groups}


def become_postgres() -> None:
    if os.geteuid() == 0:
        who = identity()
        os.setgroups(who["extra_groups"])
        os.setgid(who["group"])
        os.setuid(who["user"])


def environment(options: str = "") -> dict[str, str]:
    """Nothing of the caller's: a PGHOST or PGBACKREST_STANZA there would lead elsewhere."""
    return {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "LC_ALL": "C.UTF-8",
        "PGAPPNAME": "airworthy recovery",
        "PGOPTIONS": f"-c client_min_messages=warning -c statement_timeout=0 -c lock_timeout=60s {options}".strip(),
    }


def run(command: Sequence[str], *, privileged: bool = False, check: bool = True) -> str:
    """The output. A program that fails says why in what is raised."""
    COMMANDS.append(shlex.join(command))
    result = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env=environment(),
        stdin=subprocess.DEVNULL,
        **({} if privileged else identity()),
    )
    if check and result.returncode:
        raise Failed(f"{Path(command[0]).name} ended with {result.returncode}: {last_words(result)}")
    return result.stdout


def last_words(result: subprocess.CompletedProcess[str]) -> str:
    """Its errors in one line: those that pgBackRest and Postgres mark as such, else the end of what it said."""
    lines = [line.strip() for line in (result.stdout + result.stderr).splitlines() if line.strip()]
    marked = [number for number, line in enumerate(lines) if any(word in line for word in ("ERROR:", "FATAL:"))]
    chosen = lines[marked[0] : marked[0] + 6] if marked else lines[-3:]
    return " ".join(line.partition("ERROR: ")[2] or line for line in chosen) or "it said nothing"


class Session:
    """A psql that stays connected, so that one transaction can outlive a statement."""

    def __init__(self, server: Server, database: str) -> None:
        arguments = ["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-F", SEPARATOR, "-d", database]
        self.process = subprocess.Popen(
            server.client("psql", *arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
            env=environment(),
            **identity(),
        )

    def rows(self, sql: str) -> list[list[str]]:
        assert self.process.stdin and self.process.stdout and self.process.stderr
        try:
            self.process.stdin.write(f"{sql};\n\\echo {DONE}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # why stands in what it said, below
        found: list[list[str]] = []
        for line in self.process.stdout:
            if line.rstrip("\n") == DONE:
                return found
            found.append(line.rstrip("\n").split(SEPARATOR))
        error = " ".join(self.process.stderr.read().split())
        raise Failed(f"Postgres did not do what it was asked: {error or 'the connection broke off'}")

    def value(self, sql: str) -> str:
        return self.rows(sql)[0][0]

    def close(self) -> None:
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            try:
                if stream:
                    stream.close()
            except BrokenPipeError:
                pass
        self.process.wait()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, error: object, *_rest: object) -> None:
        if error is not None:
            self.process.kill()  # it may be waiting for an answer that never comes
        self.close()


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def identifier(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
