#!/usr/bin/python
# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_reload
short_description: Makes the running Postgres read its configuration, by a restart only where nothing less will do
version_added: "0.1.0"
author: the airworthy.stack maintainers (@airworthy)
description:
  - Lets the server itself parse the files on disk first. A mistake in postgresql.conf, pg_hba.conf or pg_ident.conf
    fails the task with file, line and reason, and the server goes on with what it has loaded.
  - Reloads when a configuration or TLS file is newer than what is loaded. Read off the live server, not notified, so
    that it also happens when the run that changed the files was killed.
  - Restarts when a setting on disk differs from the one in force and can only be set at the start.
attributes:
  check_mode:
    support: full
    description: Predicts from the files on disk, which check mode has not changed yet.
  diff_mode:
    support: none
    description: The actions are in the result.
options:
  port:
    description: The port on which the server is configured to listen.
    type: int
    default: 5432
  unit:
    description: The systemd unit of the cluster, which a restart is asked of.
    type: str
    required: true
  timeout:
    description: Seconds within which the server must have reloaded or come back.
    type: int
    default: 60
"""

EXAMPLES = r"""
- name: The running server has read its configuration
  airworthy.stack.postgresql_reload:
    unit: postgresql@17-main.service
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode.
  returned: always
  type: list
  elements: str
  sample: [restart]
reasons:
  description: Settings that need the restart, or files that are newer than what is loaded.
  returned: always
  type: list
  elements: str
  sample: [shared_buffers]
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.airworthy.stack.plugins.module_utils.postgresql import (
    SOCKET_DIRECTORY,
    PostgresUnavailable,
    psycopg2,
    rows,
    session,
    socket_exists,
    value,
)

# What the server reports of a setting that is fine but can only be set at its start.
START_ONLY = "setting could not be applied"

FILE_SETTINGS = """
SELECT sourcefile AS file, sourceline AS line, name, error FROM pg_file_settings WHERE error IS NOT NULL"""

RULE_ERRORS = """
SELECT current_setting('hba_file') AS file, line_number AS line, error FROM pg_hba_file_rules WHERE error IS NOT NULL
UNION ALL
SELECT current_setting('ident_file'), line_number, error FROM pg_ident_file_mappings WHERE error IS NOT NULL"""

PENDING = "SELECT name FROM pg_settings WHERE pending_restart"
LOADED_AT = "SELECT extract(epoch FROM pg_conf_load_time())::float"
PATHS = """
SELECT regexp_replace(current_setting('config_file'), '[^/]*$', '') AS path
UNION SELECT setting FROM pg_settings
WHERE name IN ('hba_file', 'ident_file', 'ssl_cert_file', 'ssl_key_file', 'ssl_ca_file') AND setting LIKE '/%'"""


@dataclass(frozen=True)
class State:
    """What the server says of its files, and what it has loaded."""

    mistakes: tuple[str, ...]  # file:line: reason
    start_only: tuple[str, ...]  # settings that wait for a restart
    loaded_at: float
    changed: dict[str, float]  # configuration and TLS files, and when each was put in place


def plan(state: State) -> tuple[str, list[str]]:
    """The action, if any, and its reasons."""
    newer = sorted(path for path, changed_at in state.changed.items() if changed_at > state.loaded_at)
    if state.start_only:
        return "restart", sorted(state.start_only)
    return ("reload", newer) if newer else ("", [])


def observe(port: int) -> State:
    with session(port=port) as connection:
        settings = rows(connection, FILE_SETTINGS)
        mistakes = [row for row in settings if row["error"] != START_ONLY] + rows(connection, RULE_ERRORS)
        pending = {row["name"] for row in settings if row["error"] == START_ONLY}
        pending |= {row["name"] for row in rows(connection, PENDING)}
        return State(
            mistakes=tuple(f"{row['file']}:{row['line']}: {row['error']}" for row in mistakes),
            start_only=tuple(sorted(pending)),
            loaded_at=value(connection, LOADED_AT),
            changed=put_in_place(row["path"] for row in rows(connection, PATHS)),
        )


def put_in_place(paths: Any) -> dict[str, float]:
    """When each file was put where it is: ctime, which a rename moves and `touch` cannot forge."""
    files = [file for path in map(Path, paths) for file in ([path] if path.is_file() else path.rglob("*.conf"))]
    return {str(file): file.stat().st_ctime for file in files}


def listening_port(port: int) -> int:
    """Where the server listens now: on its port, or, while that is being changed, on that of the only server."""
    # a pooler in the same directory has a socket, but no lock
    servers = [int(path.suffixes[-2][1:]) for path in Path(SOCKET_DIRECTORY).glob(".s.PGSQL.*.lock")]
    return servers[0] if port not in servers and len(servers) == 1 else port


def reload(port: int, loaded_at: float, timeout: int) -> None:
    with session(port=port, autocommit=True) as connection:
        value(connection, "SELECT pg_reload_conf()")
        deadline = time.monotonic() + timeout
        while value(connection, LOADED_AT) <= loaded_at:
            if time.monotonic() > deadline:
                raise PostgresUnavailable(f"Postgres did not reload within {timeout} seconds; look at its log")
            time.sleep(0.05)


def restart(module: AnsibleModule, port: int) -> None:
    """systemd waits until the server accepts connections, or says that it does not."""
    unit = module.params["unit"]
    rc, _out, error = module.run_command(["systemctl", "restart", "--", unit])
    if rc:
        journal = module.run_command(["journalctl", "--no-pager", "-o", "cat", "-n", "20", "-u", unit])[1]
        module.fail_json(msg=f"{unit} did not restart: {error.strip()}. Its last words:\n{journal.strip()}", rc=rc)
    observe(port)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "port": {"type": "int", "default": 5432},
            "unit": {"type": "str", "required": True},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    wanted_port = module.params["port"]
    now = listening_port(wanted_port)
    if module.check_mode and (psycopg2 is None or not socket_exists(now)):
        module.exit_json(changed=True, actions=["restart"], reasons=["Postgres does not run yet"])
    try:
        state = observe(now)
        if state.mistakes:
            module.fail_json(
                msg="Postgres would not accept the configuration on disk, and goes on with what it has loaded. "
                "Correct:\n" + "\n".join(state.mistakes)
            )
        action, reasons = plan(state)
        if action == "reload" and not module.check_mode:
            reload(now, state.loaded_at, module.params["timeout"])
        if action == "restart" and not module.check_mode:
            restart(module, wanted_port)
    except PostgresUnavailable as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(action), actions=[action] if action else [], reasons=reasons)


if __name__ == "__main__":
    main()
