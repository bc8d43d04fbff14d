# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster of its own, restored beside the running one, that nobody else can reach and that leaves nothing behind."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from process import COMMANDS, Failed, Server, Session, environment, identity, run
from repository import pgbackrest
from settings import Settings

PORT = 5499  # only names the socket: it listens nowhere else
START_SECONDS = 3600
STOP_SECONDS = 120

# As pg_controldata words them, and as the setting is called. A standby needs at least what its primary has.
FROM_PRIMARY = {
    "max_connections": "max_connections",
    "max_worker_processes": "max_worker_processes",
    "max_wal_senders": "max_wal_senders",
    "max_prepared_xacts": "max_prepared_transactions",
    "max_locks_per_xact": "max_locks_per_transaction",
}


def control_data(text: str) -> dict[str, str]:
    return {key.strip(): value.strip() for key, _colon, value in (line.partition(":") for line in text.splitlines())}


def needed(control: Mapping[str, str], primary: Mapping[str, int]) -> dict[str, int]:
    """The settings that recovery wants, as of the backup and as of now: they may have been raised in between."""
    found = {name: control.get(f"{word} setting") for word, name in FROM_PRIMARY.items()}
    return {name: max(int(value), primary.get(name, 0)) for name, value in found.items() if value}


def owner(data: Path) -> int | None:
    """The process of the postmaster that runs on this directory, if one does. A pid alone could be anybody's by now."""
    try:
        pid = int((data / "postmaster.pid").read_text().split()[0])
        return pid if Path(f"/proc/{pid}/cwd").resolve() == data.resolve() else None
    except (OSError, ValueError, IndexError):
        return None


def clean(root: Path) -> None:
    """Whatever a scratch cluster left there, also after a kill -9, is stopped and removed."""
    for data in root.glob("*/data"):
        if pid := owner(data):
            os.kill(pid, signal.SIGQUIT)
            deadline = time.monotonic() + 10
            while Path(f"/proc/{pid}").exists() and owner(data) and time.monotonic() < deadline:
                time.sleep(0.1)
            if owner(data) == pid:
                os.kill(pid, signal.SIGKILL)
                time.sleep(0.5)
    for directory in root.glob("scratch*"):
        shutil.rmtree(directory)


NOT_YET = re.compile("starting up|not yet accepting")  # said to whoever asks too early


class Scratch:
    def __init__(self, settings: Settings, root: Path, repository: int, primary: Mapping[str, int]) -> None:
        self.settings = settings
        self.repository = repository
        self.primary = primary
        self.directory = root / "scratch"
        self.data = self.directory / "data"
        self.log = self.directory / "log"
        self.server = Server(str(self.directory / "socket"), PORT, settings.binaries)
        self.process: subprocess.Popen[bytes] | None = None

    def pgbackrest(self, *arguments: str) -> list[str]:
        # Locks of its own: the asynchronous archiver of the running cluster must never wait for this.
        own = [f"--pg1-path={self.data}", f"--lock-path={self.directory / 'lock'}", "--log-level-file=off"]
        return pgbackrest(self.settings, self.repository, *own, *arguments)

    def restore(self, label: str) -> None:
        for path in (self.directory, self.data, self.directory / "socket"):
            path.mkdir(mode=0o700)
        tablespaces = f"--tablespace-map-all={self.directory / 'tablespaces'}"
        # A restore empties the spool, in which the running cluster's archiver has what it is at.
        apart = [f"--spool-path={self.directory / 'spool'}", tablespaces]
        kind = ["--type=default", "--archive-mode=off", f"--set={label}"]
        run(self.pgbackrest("--log-level-console=warn", *apart, *kind, "restore"))
        (self.directory / "hba.conf").write_text("local all postgres peer\n")
        (self.directory / "ident.conf").write_text("")

    def control(self) -> dict[str, str]:
        return control_data(run([str(self.settings.binaries / "pg_controldata"), str(self.data)]))

    def options(self, target: Mapping[str, str]) -> dict[str, str]:
        """On the command line, where they stand above what ALTER SYSTEM left in the restored directory."""
        fetch = shlex.join(self.pgbackrest("--no-archive-async", "--log-level-console=warn", "archive-get"))
        return {
            "config_file": str(self.directory / "postgresql.conf"),
            "hba_file": str(self.directory / "hba.conf"),
            "ident_file": str(self.directory / "ident.conf"),
            "data_directory": str(self.data),
            "external_pid_file": "",
            "listen_addresses": "",
            "unix_socket_directories": self.server.socket,
            "unix_socket_permissions": "0700",
            "port": str(PORT),
            "ssl": "off",
            "logging_collector": "off",
            "log_destination": "stderr",
            "archive_mode": "off",
            "restore_command": f'{fetch} %f "%p"',
            "primary_conninfo": "",
            "shared_preload_libraries": "",
            # A subscription of the original would fetch from its publisher, in the original's name.
            "max_logical_replication_workers": "0",
            "autovacuum": "off",
            "shared_buffers": "64MB",
            "maintenance_work_mem": "64MB",
            "max_parallel_workers_per_gather": "0",
            "max_wal_size": "512MB",
            "huge_pages": "off",
            "jit": "off",  # the drill's unit forbids memory that is both written and executed
            **{name: str(value) for name, value in needed(self.control(), self.primary).items()},
            **target,
        }

    def start(self, target: Mapping[str, str]) -> None:
        """Until it answers; how far it has recovered is another question."""
        (self.directory / "postgresql.conf").write_text("")
        options = [word for name, value in self.options(target).items() for word in ("-c", f"{name}={value}")]
        command = [str(self.settings.binaries / "postgres"), "-D", str(self.data), *options]
        COMMANDS.append(shlex.join([command[0], "-D", str(self.data), *(f"-c {n}={v}" for n, v in target.items())]))
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.data, env=environment(),
                start_new_session=True, **identity()
            )
        deadline = time.monotonic() + START_SECONDS
        ready = self.server.client("pg_isready", "--quiet")
        ready.remove("--no-password")
        while subprocess.run(ready, check=False, env=environment()).returncode:
            if self.process.poll() is not None:
                raise Failed(f"the restored cluster did not start: {self.last_words()}")
            if time.monotonic() > deadline:
                raise Failed(f"the restored cluster was not ready within {START_SECONDS} s: {self.last_words()}")
            time.sleep(0.1)

    def wait(self, state: str) -> None:
        """Until recovery is `paused` at its target, or has `ended`."""
        with self.session() as session:
            while True:
                try:
                    recovering, pause = session.rows(
                        "SELECT r, CASE WHEN r THEN pg_get_wal_replay_pause_state() END FROM pg_is_in_recovery() AS r"
                    )[0]
                except Failed as failure:
                    raise Failed(f"the restored cluster stopped: {self.last_words()}") from failure
                if (state == "ended" and recovering == "f") or (state == "paused" and pause == "paused"):
                    return
                if recovering == "f":
                    raise Failed("recovery ended before its target")
                time.sleep(0.2)

    def session(self, database: str = "postgres") -> Session:
        return Session(self.server, database)

    def stop(self) -> None:
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.send_signal(signal.SIGQUIT)
                self.process.wait(10)
        self.process = None

    def last_words(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        telling = [
            re.sub(r"^.*?(FATAL|PANIC|ERROR|HINT): +", r"\1: ", line)
            for line in lines[-40:]
            if re.search(r"(FATAL|PANIC|ERROR|HINT): ", line) and not NOT_YET.search(line)
        ]
        return "; ".join((telling or lines)[-3:])

    def remove(self) -> None:
        self.stop()
        clean(self.directory.parent)
