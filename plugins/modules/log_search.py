#!/usr/bin/python
# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: log_search
short_description: Searches what was written to the logs of a host since a moment
version_added: "0.1.0"
author: the airworthy.stack maintainers (@airworthy)
description:
  - The first execution notes how far the logs are, which are the files below O(directory) and the journal. The second
    one searches what was added since, in whatever file it is by then. Both only read.
  - What is searched for is not logged by the execution itself.
extends_documentation_fragment: [airworthy.stack.attributes.reads_only]
options:
  directory:
    description: Files below it are logs, but for those of the journal, which is asked itself.
    type: path
    default: /var/log
  since:
    description: The RV(positions) that an earlier execution returned. Without it, nothing is searched.
    type: dict
  texts:
    description: What is searched for, by name.
    type: dict
    default: {}
  expected:
    description: Texts that have to turn up in O(expected_in). They are waited for.
    type: list
    elements: str
    default: []
  expected_in:
    description: The file that has to hold O(expected).
    type: path
    default: /var/log/nginx/access.log
  patience:
    description: Seconds to wait for O(expected) at most.
    type: int
    default: 10
"""

EXAMPLES = r"""
- name: How far the logs are
  airworthy.stack.log_search:
  register: before

- name: Who has logged the password
  airworthy.stack.log_search:
    since: "{{ before.positions }}"
    texts: {password: correct horse battery staple}
"""

RETURN = r"""
positions:
  description: How far the logs are.
  returned: without O(since)
  type: dict
searched:
  description: The logs to which something was added.
  returned: with O(since)
  type: list
  elements: str
  sample: [/var/log/nginx/access.log, journal of app@3000.service]
found:
  description: The logs that hold a text, by its name.
  returned: with O(since)
  type: dict
  sample: {password: [/var/log/nginx/error.log]}
missing:
  description: What of O(expected) did not turn up.
  returned: with O(since)
  type: list
  elements: str
"""

import os
import re
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ansible.module_utils.basic import AnsibleModule

RunCommand = Callable[..., tuple[int, Any, Any]]

PAUSE = 0.1
CURSOR = re.compile(r"^-- cursor: (\S+)$", re.MULTILINE)
UNIT = re.compile(rb"^_SYSTEMD_UNIT=(.+)$", re.MULTILINE)


def log_files(directory: str) -> Iterator[tuple[str, str, int]]:
    """Path, identity (which it keeps when it is rotated) and size of each log."""
    for path, directories, names in os.walk(directory):
        directories[:] = [name for name in directories if os.path.join(path, name) != "/var/log/journal"]
        for name in names:
            file = os.path.join(path, name)
            try:
                status = os.lstat(file)
            except FileNotFoundError:
                continue  # it was rotated just now, and turns up under its other name
            if stat.S_ISREG(status.st_mode):
                yield file, f"{status.st_dev}:{status.st_ino}", status.st_size


def positions(directory: str, run: RunCommand) -> dict[str, Any]:
    out = run(["journalctl", "--quiet", "--lines", "0", "--show-cursor"], check_rc=True)[1]
    cursor = CURSOR.search(out)
    return {
        "files": {identity: size for _path, identity, size in log_files(directory)},
        "cursor": cursor[1] if cursor else "",
    }


def added_to_files(directory: str, since: Mapping[str, int]) -> Iterator[tuple[str, bytes]]:
    for path, identity, size in log_files(directory):
        begin = since.get(identity, 0)
        if size == begin:
            continue
        with open(path, "rb") as file:
            file.seek(begin if begin < size else 0)  # one that was cut off begins anew
            yield path, file.read()


def added_to_journal(cursor: str, run: RunCommand) -> Iterator[tuple[str, bytes]]:
    """What each unit wrote. The journal is asked only when it has taken in all that was sent to it."""
    run(["journalctl", "--sync"], check_rc=True)
    after = [f"--after-cursor={cursor}"] if cursor else []
    out = run(["journalctl", "--quiet", "--output=export", "--all", *after], check_rc=True, encoding=None)[1]
    for entry in out.split(b"\n\n"):
        unit = UNIT.search(entry)
        yield f"journal of {unit[1].decode() if unit else 'the kernel and systemd'}", entry


def wait_for(texts: Sequence[str], path: str, directory: str, since: Mapping[str, int], patience: float) -> list[str]:
    """What did not turn up in the file in time: a request is logged when its answer is out already."""
    deadline = time.monotonic() + patience
    while True:
        content = b"".join(text for name, text in added_to_files(directory, since) if name == path)
        missing = [text for text in texts if text.encode() not in content]
        if not missing or time.monotonic() > deadline:
            return missing
        time.sleep(PAUSE)


def search(texts: Mapping[str, str], logs: Iterator[tuple[str, bytes]]) -> tuple[list[str], dict[str, list[str]]]:
    """The logs that were searched, and those in which each text is."""
    searched: dict[str, None] = {}
    found: dict[str, dict[str, None]] = {name: {} for name in texts}
    for place, content in logs:
        searched[place] = None
        for name, text in texts.items():
            if text.encode() in content:
                found[name][place] = None
    return list(searched), {name: list(places) for name, places in found.items()}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "default": "/var/log"},
            "since": {"type": "dict"},
            "texts": {"type": "dict", "default": {}, "no_log": True},
            "expected": {"type": "list", "elements": "str", "default": []},
            "expected_in": {"type": "path", "default": "/var/log/nginx/access.log"},
            "patience": {"type": "int", "default": 10},
        },
        supports_check_mode=True,
    )
    params, run = module.params, module.run_command
    if params["since"] is None:
        module.exit_json(changed=False, positions=positions(params["directory"], run))
    directory, files = params["directory"], params["since"]["files"]
    missing = wait_for(params["expected"], params["expected_in"], directory, files, params["patience"])

    def logs() -> Iterator[tuple[str, bytes]]:
        yield from added_to_journal(params["since"]["cursor"], run)
        yield from added_to_files(directory, files)

    searched, found = search(params["texts"], logs())
    module.exit_json(changed=False, searched=searched, found=found, missing=missing)


if __name__ == "__main__":
    main()
