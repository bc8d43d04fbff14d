# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible.template import Templar
from ansible_collections.airworthy.stack.plugins.plugin_utils import input_files, rules
from ansible_collections.airworthy.stack.plugins.plugin_utils.role_input import (
    RoleInput,
    Spec,
    load_roles,
    summary,
    validate,
    wanted,
)

ROLES = os.path.join(os.path.dirname(__file__), "..", "..", "roles")
# What is known only when a server has been asked can't be judged here; the roles that use it do.
FACT_MISSING = re.compile(r"'(airworthy_server|ansible_\w+)' is undefined|the address of \S+ is unknown")
MAGIC = ("inventory_hostname", "group_names", "groups", "ansible_inventory_sources", "ansible_play_hosts_all")


class ActionModule(ActionBase):
    _supports_check_mode = True
    _requires_connection = False
    _VALID_ARGS: frozenset[str] = frozenset()

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        variables = task_vars or {}
        roles = load_roles(ROLES, self._loader)
        values, errors = self._evaluate(roles, variables)
        errors += rules.errors(values)
        errors += rules.unknown_variables(variables, known_names(roles), [role.name for role in roles])
        errors += input_files.errors(values, self._loader)
        host = variables["inventory_hostname"]
        if errors:
            mistakes = "1 mistake" if len(errors) == 1 else f"{len(errors)} mistakes"
            lines = "\n".join(f"- {error}" for error in errors)
            return result | {
                "failed": True,
                "msg": f"The input for {host} has {mistakes}; nothing was changed:\n{lines}",
            }
        return result | {"changed": False, "msg": f"{len(values)} variables of {len(roles)} roles are valid"}

    def _evaluate(self, roles: list[RoleInput], variables: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """The options' values, in their types, without those that can't be known yet; and what is wrong with them."""
        values: dict[str, Any] = {name: variables.get(name) for name in MAGIC}
        errors: list[str] = []
        # A lookup of a secret must not make one while it is only looked at.
        scope = merged(roles) | dict(variables) | {"ansible_check_mode": True}
        templar = Templar(loader=self._loader, variables=scope)
        for role in roles:
            for name, spec in role.options.items():
                if name not in scope:
                    if spec.get("required") and rules.applies(role.name, values):
                        errors.append(missing(name, spec))
                    continue
                try:
                    value = templar.template(scope[name])
                except AnsibleError as error:
                    if given(name, variables, role) and not FACT_MISSING.search(str(error)):
                        errors.append(f"{name} cannot be evaluated: {str(error).strip()}")
                    continue
                if spec.get("required") and value in (None, ""):
                    errors.append(missing(name, spec))
                    continue
                value, wrong = validate(name, spec, value)
                errors += wrong
                if not wrong:
                    values[name] = value
        return values, errors


def given(name: str, variables: Mapping[str, Any], role: RoleInput) -> bool:
    """Whether the user wrote the value. Within a role, its defaults are among the variables."""
    value, default = variables.get(name), role.defaults.get(name)
    # Types first: to compare an encrypted value is to decrypt it, which may be what failed.
    return type(value) is not type(default) or value != default


def merged(roles: list[RoleInput]) -> dict[str, Any]:
    everything: dict[str, Any] = {}
    for role in roles:
        everything |= dict(role.defaults) | dict(role.derived)
    return everything


def known_names(roles: list[RoleInput]) -> set[str]:
    return {"airworthy_server"} | {name for role in roles for name in (*role.options, *role.defaults, *role.derived)}


def missing(name: str, spec: Spec) -> str:
    example = rules.REQUIRED_EXAMPLES.get(name, f"<{wanted(spec)}>")
    return f"{name} is missing: {summary(spec)}; write it in group_vars/all.yml of the inventory: {name}: {example}"
