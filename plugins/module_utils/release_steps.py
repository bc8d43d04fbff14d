# Copyright (c) the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Runs the steps of a release, each as a transient unit of systemd, and keeps the account that becomes its record.

systemd reads the environment file itself, so that no secret passes through here or through an argument list; and a step
that outlives a killed run has a name by which the next one stops it.
"""

from __future__ import annotations

import os
import pwd
import shlex
import subprocess
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.airworthy.stack.plugins.module_utils.release import last_words, now
from ansible_collections.airworthy.stack.plugins.module_utils.release_plan import Step, Wish


class Unfit(Exception):
    """A step, an instance or a check says that the release cannot serve."""


class Steps:
    def __init__(self, module: AnsibleModule, wish: Wish) -> None:
        self.module = module
        self.wish = wish
        self.unit = f"{wish.name}-release.service"
        self.account: list[dict[str, Any]] = []

    def stop_leftover(self) -> None:
        """What a killed run left behind must not write into the new tree."""
        self.module.run_command(["systemctl", "stop", "--", self.unit])

    def user(self) -> pwd.struct_passwd:
        try:
            return pwd.getpwnam(self.wish.user)
        except KeyError:
            self.module.run_command(["systemd-sysusers"], check_rc=True)
        try:
            return pwd.getpwnam(self.wish.user)
        except KeyError:
            raise Unfit(f"the user {self.wish.user} is unknown; make it, or have it in sysusers.d") from None

    def run(self, step: Step, directory: str, stdin: str = os.devnull) -> None:
        started, clock = now(), time.monotonic()
        with open(stdin, "rb") as source:
            done = subprocess.run(
                self._command(step, directory),
                stdin=source,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
            )
        self.note(step.name, step.command, started, clock, done.returncode)
        if done.returncode:
            words = last_words(done.stdout.decode("utf-8", "replace"), self.wish.environment_file)
            raise Unfit(
                f"step {step.name} ({step.command}) of release {self.wish.release} ended with status "
                f"{done.returncode}. Its last words:\n{words}"
            )

    def note(self, name: str, command: str, started: str, clock: float, rc: int) -> None:
        seconds = round(time.monotonic() - clock, 2)
        self.account.append({"name": name, "command": command, "rc": rc, "seconds": seconds, "started": started})

    def _command(self, step: Step, directory: str) -> list[str]:
        cache = f"/var/cache/{self.wish.name}"
        properties = {
            "User": self.wish.user,
            "WorkingDirectory": directory,
            "CacheDirectory": self.wish.name,
            "RuntimeMaxSec": self.wish.step_timeout,
            "ReadWritePaths": directory,
            "ProtectSystem": "strict",
            "ProtectHome": "yes",
            "PrivateTmp": "yes",
            "NoNewPrivileges": "yes",
            "UMask": "0022",
        }
        if step.environment and self.wish.environment_file:
            properties["EnvironmentFile"] = self.wish.environment_file
        variables = {
            "HOME": cache,
            "npm_config_cache": f"{cache}/npm",
            "npm_config_update_notifier": "false",
            "npm_config_fund": "false",
            "NODE_EXTRA_CA_CERTS": "/etc/ssl/certs/ca-certificates.crt",  # Node.js does not ask the system's store
        }
        command = ["systemd-run", "--quiet", "--wait", "--pipe", "--collect", "--service-type=exec"]
        command += [f"--unit={self.unit}"]
        command += [f"--property={name}={value}" for name, value in properties.items()]
        command += [f"--setenv={name}={value}" for name, value in variables.items()]
        return [*command, "--", *shlex.split(step.command)]
