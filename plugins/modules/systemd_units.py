#!/usr/bin/python
# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: systemd_units
short_description: Converges a list of systemd units, and what they have loaded, in one execution
version_added: "0.1.0"
author: the airworthy.stack maintainers (@airworthy)
description:
  - Enables, starts and stops units as listed; reloads systemd when unit files changed.
  - A running unit that has not loaded its files yet is reloaded or restarted. This is read off the server, not
    notified, so that it also happens when the run that changed the files was killed, and never twice.
  - A unit that does not come up fails the task with the last lines of its journal.
attributes:
  check_mode:
    support: full
    description: Predicts; a unit that does not exist yet is taken as one that the packages will bring.
  diff_mode:
    support: none
    description: The actions are in the result.
options:
  units:
    description: The units, in the order in which they are started.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name with its suffix, such as C(nginx.service).
        type: str
        required: true
      enabled:
        description: Whether it starts at boot. Left as it is by default.
        type: bool
      state:
        description: Whether it runs now. Left as it is by default.
        type: str
        choices: [started, stopped]
      reload_on:
        description:
          - Files and directories that the running service has read. When anything below them changed after the unit
            last started or was last reloaded by this module, it is reloaded.
        type: list
        elements: path
        default: []
      restart_on:
        description: The same for what only a restart makes it read. The unit's own files always count.
        type: list
        elements: path
        default: []
"""

EXAMPLES = r"""
- name: The web server runs with this configuration
  airworthy.stack.systemd_units:
    units:
      - name: nginx.service
        enabled: true
        state: started
        reload_on: [/etc/nginx, /etc/airworthy/tls]
      - name: nftables.service
        reload_on: [/etc/nftables.conf, /etc/nftables.d]
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, in order.
  returned: always
  type: list
  elements: str
  sample: [daemon-reload, reload nginx.service]
"""

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

STAMPS = Path("/run/airworthy/units")  # a tmpfs: a boot starts every unit anew
PROPERTIES = (
    "Id,LoadState,ActiveState,SubState,UnitFileState,NeedDaemonReload,"
    "FragmentPath,DropInPaths,ActiveEnterTimestampMonotonic"
)
RUNNING = {"active", "reloading", "activating"}
ENABLED = {"enabled", "enabled-runtime", "static", "alias", "indirect", "generated"}


@dataclass(frozen=True)
class Unit:
    """A unit as it is."""

    name: str
    exists: bool
    running: bool
    enabled: bool
    stale_definition: bool
    loaded_at: float  # when it last read its files; 0 when it is not running
    started_at: float
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wish:
    """A unit as it shall be."""

    name: str
    enabled: bool | None = None
    state: str | None = None
    reload_on: list[str] = field(default_factory=list)
    restart_on: list[str] = field(default_factory=list)


def newest_change(paths: list[str] | tuple[str, ...]) -> float:
    """When anything at or below the paths was last put in place: ctime, which a rename moves and touch can't forge."""
    newest = 0.0
    for path in paths:
        if not os.path.lexists(path):
            continue
        newest = max(newest, os.stat(path).st_ctime)
        for directory, subdirectories, files in os.walk(path):
            for name in subdirectories + files:
                newest = max(newest, os.lstat(os.path.join(directory, name)).st_ctime)
    return newest


def plan(wish: Wish, unit: Unit, changed: dict[str, float]) -> list[str]:
    """The systemctl verbs that lead from unit to wish. ``changed`` has the newest change of each list of files."""
    verbs = []
    if wish.enabled is not None and wish.enabled != unit.enabled:
        verbs.append("enable" if wish.enabled else "disable")
    if wish.state == "stopped":
        return verbs + (["stop"] if unit.running else [])
    if not unit.running:
        return verbs + (["start"] if wish.state == "started" else [])
    if max(changed["restart_on"], changed["definition"]) > unit.started_at:
        verbs.append("restart")
    elif changed["reload_on"] > unit.loaded_at:
        verbs.append("reload")
    return verbs


def parse_show(text: str, now: float, monotonic: float) -> list[dict[str, str]]:
    """The blocks of ``systemctl show``, with the time of the start as seconds since the epoch."""
    blocks = []
    for block in text.strip().split("\n\n"):
        properties = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        entered = int(properties.get("ActiveEnterTimestampMonotonic", "0")) / 1e6
        properties["started_at"] = str(now - (monotonic - entered)) if entered else "0"
        blocks.append(properties)
    return blocks


class Systemd:
    def __init__(self, module: AnsibleModule) -> None:
        self.module = module

    def observe(self, names: list[str]) -> list[Unit]:
        _rc, text, _err = self.module.run_command(["systemctl", "show", "-p", PROPERTIES, "--", *names], check_rc=True)
        blocks = parse_show(text, time.time(), time.clock_gettime(time.CLOCK_MONOTONIC))
        return [self._unit(name, block) for name, block in zip(names, blocks, strict=True)]

    def _unit(self, name: str, properties: dict[str, str]) -> Unit:
        # a unit that waits to be started again after a crash is activating, but nothing runs
        running = properties["ActiveState"] in RUNNING and properties["SubState"] != "auto-restart"
        started_at = float(properties["started_at"]) if running else 0.0
        stamp = STAMPS / name
        reloaded_at = stamp.stat().st_mtime if running and stamp.exists() else 0.0
        dropins = properties["DropInPaths"].split()
        files = [properties["FragmentPath"], *dropins]
        # systemd 252 does not notice the first drop-in of a unit
        unseen = {str(path) for path in Path(f"/etc/systemd/system/{name}.d").glob("*.conf")} - set(dropins)
        return Unit(
            name=name,
            exists=properties["LoadState"] in {"loaded", "masked"},
            running=running,
            enabled=properties["UnitFileState"] in ENABLED,
            stale_definition=properties["NeedDaemonReload"] == "yes" or bool(unseen),
            loaded_at=max(started_at, reloaded_at),
            started_at=started_at,
            # what a package ships is not younger than the process that its own scripts restarted
            files=tuple(path for path in files if path.startswith("/etc/")),
        )

    def run(self, verb: str, unit: str) -> None:
        begun = time.time()
        rc, out, err = self.module.run_command(["systemctl", verb, "--", unit])
        alive = verb in {"enable", "disable", "stop"} or self.observe([unit])[0].running
        if rc or not alive:
            journal = self.module.run_command(["journalctl", "--no-pager", "-o", "cat", "-n", "20", "-u", unit])[1]
            self.module.fail_json(
                msg=f"{unit} could not {verb}: {(err or out).strip() or 'it stopped again'}. "
                f"Its last words:\n{journal.strip()}",
                unit=unit,
                rc=rc,
            )
        if verb == "reload":
            STAMPS.mkdir(parents=True, exist_ok=True)
            (STAMPS / unit).touch()
            os.utime(STAMPS / unit, (begun, begun))  # what changed while it was reloading counts as not read


def converge(module: AnsibleModule, wishes: list[Wish]) -> list[str]:
    systemd = Systemd(module)
    actions = []
    units = systemd.observe([wish.name for wish in wishes])
    # new unit files are not known to systemd, and so not stale either, before the reload
    if any(unit.stale_definition or not unit.exists for unit in units):
        if any(unit.stale_definition for unit in units):
            actions.append("daemon-reload")
        if not module.check_mode:
            module.run_command(["systemctl", "daemon-reload"], check_rc=True)
            units = systemd.observe([wish.name for wish in wishes])
    for wish, unit in zip(wishes, units, strict=True):
        if not unit.exists and not module.check_mode and wish.state != "stopped":
            module.fail_json(msg=f"the unit {unit.name} does not exist on this server; is its package installed?")
        changed = {
            "reload_on": newest_change(wish.reload_on),
            "restart_on": newest_change(wish.restart_on),
            "definition": newest_change(unit.files),
        }
        for verb in plan(wish, unit, changed):
            actions.append(f"{verb} {unit.name}")
            if not module.check_mode:
                systemd.run(verb, unit.name)
    return actions


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "units": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "enabled": {"type": "bool"},
                    "state": {"type": "str", "choices": ["started", "stopped"]},
                    "reload_on": {"type": "list", "elements": "path", "default": []},
                    "restart_on": {"type": "list", "elements": "path", "default": []},
                },
            },
        },
        supports_check_mode=True,
    )
    actions = converge(module, [Wish(**unit) for unit in module.params["units"]])
    module.exit_json(changed=bool(actions), actions=actions)


if __name__ == "__main__":
    main()
