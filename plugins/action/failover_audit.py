# Copyright (c) the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Load the site while an instance of it is killed. Documented in plugins/modules/failover_audit.py."""

from __future__ import annotations

import time
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.airworthy.stack.plugins.module_utils.control import Control, not_run, run_probe
from ansible_collections.airworthy.stack.plugins.module_utils.web_client import Target, ask
from ansible_collections.airworthy.stack.plugins.module_utils.web_load import under_load
from ansible_collections.airworthy.stack.plugins.modules.failover_audit import ARGUMENTS
from ansible_collections.airworthy.stack.plugins.plugin_utils import failover

MODULE = "airworthy.stack.failover_audit"

# Requests of each user for each path, before the instance is killed and after it is back.
ROUNDS = 3


class ActionModule(ActionBase):
    """The load runs in the controller's process, and for as long as the module is at work on the application's host."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        options = self.validate_argument_spec(argument_spec=ARGUMENTS)[1]
        self._killed = False
        if self._task.check_mode:
            control = not_run("edge.lb", "deep", "In check mode no instance is killed.")
        else:
            control = run_probe("edge.lb", "deep", lambda: self._probe(options, task_vars))
        return result | {"changed": self._killed, "controls": [control.to_dict()]}

    def _probe(self, options: dict[str, Any], task_vars: dict[str, Any] | None) -> Control:
        target, paths, users = Target.of(options), options["paths"], options["users"]
        total = options["total"] or len(options["instances"])
        answers = {path: ask(target, path) for path in paths}
        ready = [failover.enough_instances(total), *failover.site_is_well(answers)]
        if not all(check.ok for check in ready):
            return failover.judge(total, answers, None, [])
        rounds, patience = ROUNDS * users * len(paths), options["time_limit"]
        with under_load(target, paths, users) as load:
            load.wait_for_more(rounds, patience)
            ordered = time.monotonic()
            seen = self._kill(options, task_vars)
            over = time.monotonic()
            load.wait_for_more(rounds, patience)
        fall = failover.Fall(ordered, over, seen["before"], seen["after"], seen["seconds"])
        return failover.judge(total, answers, fall, load.requests, options["sticky"])

    def _kill(self, options: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        arguments = {name: value for name, value in options.items() if name != "probe_key"}  # a secret of the edge
        seen = self._execute_module(module_name=MODULE, module_args=arguments, task_vars=task_vars)
        if seen.get("failed"):
            raise RuntimeError(seen.get("msg", "no message"))
        self._killed = True
        return seen
