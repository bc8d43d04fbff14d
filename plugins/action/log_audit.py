# Copyright (c) the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ask from the controller, and search the logs of the server. Documented in plugins/modules/log_audit.py."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.airworthy.stack.plugins.module_utils.control import Control, run_probe
from ansible_collections.airworthy.stack.plugins.module_utils.web_client import LIMITED_SPEC, TARGET_SPEC, Target
from ansible_collections.airworthy.stack.plugins.plugin_utils import personal_data

MODULE = "airworthy.stack.log_search"
ARGUMENTS = {
    **TARGET_SPEC,
    "page": {"type": "str", "default": "/"},
    "api": {"type": "str", "default": ""},
    "sign_in": {"type": "str", "default": ""},
    "auth_requests": {"type": "int", "default": 10},
    "limited": LIMITED_SPEC,
    "canary": {"type": "str", "required": True},
    "waf_mode": {"type": "str", "choices": ["off", "detect", "block"], "default": "off"},
    "max_body_mb": {"type": "int", "default": 10},
    "access_log": {"type": "path", "default": "/var/log/nginx/access.log"},
}


class ActionModule(ActionBase):
    """The logs are looked at twice: how far they are, and what was added by the requests in between."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        options = self.validate_argument_spec(argument_spec=ARGUMENTS)[1]
        control = run_probe("data.pii", "deep", lambda: self._probe(options, task_vars))
        return result | {"changed": False, "controls": [control.to_dict()]}

    def _probe(self, options: dict[str, Any], task_vars: dict[str, Any] | None) -> Control:
        markers = personal_data.new_markers()
        since = self._search({}, task_vars)["positions"]
        person = personal_data.Person(Target.of(options), markers)
        requests = list(personal_data.samples(person, options))
        expected = [sample.request_id for sample in requests if sample.request_id]
        found = {"since": since, "texts": markers, "expected": expected, "expected_in": options["access_log"]}
        return personal_data.judge(requests, self._search(found, task_vars), options["access_log"])

    def _search(self, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        seen = self._execute_module(module_name=MODULE, module_args=arguments, task_vars=task_vars)
        if seen.get("failed"):
            raise RuntimeError(seen.get("msg", "no message"))
        return seen
