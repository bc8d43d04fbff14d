# Copyright (c) the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Have the application fail, and follow the error. Documented in plugins/modules/error_trace_audit.py."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.airworthy.stack.plugins.module_utils.web_client import Target, ask
from ansible_collections.airworthy.stack.plugins.modules.error_trace_audit import ARGUMENTS

MODULE = "airworthy.stack.error_trace_audit"


class ActionModule(ActionBase):
    """The controller asks as a user would, and the module looks for the answer's id on the collector."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        options = self.validate_argument_spec(argument_spec=ARGUMENTS)[1]
        arguments = {name: value for name, value in options.items() if name != "probe_key"}  # a secret of the edge
        if options["path"]:
            answer = ask(Target.of(options), options["path"])
            arguments |= {"status": answer.status, "request_id": answer.first("X-Request-Id")}
        return result | self._execute_module(module_name=MODULE, module_args=arguments, task_vars=task_vars)
