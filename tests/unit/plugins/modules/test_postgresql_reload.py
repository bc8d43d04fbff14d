# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""When the running server must read its files again, and when nothing less than a restart will do."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.airworthy.stack.plugins.modules import postgresql_reload
from ansible_collections.airworthy.stack.plugins.modules.postgresql_reload import State, plan

CASES = [
    ("nothing changed", (), {"pg_hba.conf": 50.0}, ("", [])),
    ("a file was put in place later", (), {"pg_hba.conf": 150.0, "server.crt": 50.0}, ("reload", ["pg_hba.conf"])),
    ("a certificate was renewed", (), {"server.crt": 150.0}, ("reload", ["server.crt"])),
    ("a setting waits for a restart", ("shared_buffers",), {"a.conf": 50.0}, ("restart", ["shared_buffers"])),
    ("both", ("port", "huge_pages"), {"a.conf": 150.0}, ("restart", ["huge_pages", "port"])),
]


@pytest.mark.parametrize(("story", "start_only", "changed", "expected"), CASES, ids=[case[0] for case in CASES])
def test_the_least_that_will_do(
    story: str, start_only: tuple[str, ...], changed: dict[str, float], expected: tuple[str, list[str]]
) -> None:
    assert plan(State(mistakes=(), start_only=start_only, loaded_at=100.0, changed=changed)) == expected


def test_only_what_the_server_reads_counts(tmp_path: Path) -> None:
    for name in ("postgresql.conf", "conf.d/airworthy.conf", "pg_hba.conf", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "server.crt").write_text("")
    seen = postgresql_reload.put_in_place([str(tmp_path), str(tmp_path / "server.crt")])
    assert {Path(path).name for path in seen} == {"airworthy.conf", "pg_hba.conf", "postgresql.conf", "server.crt"}


SOCKETS = [
    ("as configured", [".s.PGSQL.5432", ".s.PGSQL.5432.lock", ".s.PGSQL.6432"], 5432),
    ("the port is being changed", [".s.PGSQL.5433", ".s.PGSQL.5433.lock", ".s.PGSQL.6432"], 5433),
    ("only a pooler runs", [".s.PGSQL.6432"], 5432),
    ("no telling which", [".s.PGSQL.5433.lock", ".s.PGSQL.5434.lock"], 5432),
]


@pytest.mark.parametrize(("story", "names", "port"), SOCKETS, ids=[case[0] for case in SOCKETS])
def test_the_server_is_found_while_its_port_changes(
    story: str, names: list[str], port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql_reload, "SOCKET_DIRECTORY", str(tmp_path))
    for name in names:
        (tmp_path / name).touch()
    assert postgresql_reload.listening_port(5432) == port
