# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role tells this program, in /etc/airworthy/backup/recovery.json."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from process import Server

FILE = Path("/etc/airworthy/backup/recovery.json")
STATE = Path("/var/lib/airworthy/recovery")
# root's alone: what root writes into a directory of postgres could be led astray.
RESTORES = Path("/var/lib/airworthy/restore")


@dataclass(frozen=True)
class Drill:
    directory: Path = Path("/var/lib/airworthy/drill")
    tables: tuple[str, ...] = ()  # schema.table; by default those of the first database, up to table_limit_mb
    table_limit_mb: int = 2048
    archive_wait_seconds: int = 600


@dataclass(frozen=True)
class Settings:
    stanza: str
    version: int
    data_directory: Path
    databases: tuple[str, ...]
    cluster: str = "main"
    port: int = 5432
    drill: Drill = field(default_factory=Drill)

    @property
    def binaries(self) -> Path:
        return Path(f"/usr/lib/postgresql/{self.version}/bin")

    @property
    def unit(self) -> str:
        return f"postgresql@{self.version}-{self.cluster}.service"

    @property
    def server(self) -> Server:
        return Server("/run/postgresql", self.port, self.binaries)


def load(path: Path = FILE) -> Settings:
    told = json.loads(path.read_text())
    drill = told["drill"]
    return Settings(
        stanza=told["stanza"],
        version=told["version"],
        cluster=told["cluster"],
        port=told["port"],
        data_directory=Path(told["data_directory"]),
        databases=tuple(told["databases"]),
        drill=Drill(**{**drill, "directory": Path(drill["directory"]), "tables": tuple(drill["tables"])}),
    )
