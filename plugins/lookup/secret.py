# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: secret
author: the airworthy.stack maintainers (@airworthy)
version_added: "0.1.0"
short_description: A secret of the inventory, generated once
description:
  - Returns the secret of that name, a file under C(airworthy_secrets_dir) on the controller.
  - A missing one is generated, safely also when several hosts ask at once. In check mode nothing is written,
    and a missing one is made up for the run.
  - A file may be encrypted with Ansible Vault. Plain text that others can read, and an empty file, are refused.
options:
  _terms:
    description: Names of secrets. Letters, digits, C(-) and C(_).
    required: true
    type: list
    elements: str
  length:
    description: Characters of a secret that is generated; URL-safe letters, digits, C(-) and C(_).
    type: int
    default: 32
  hash:
    description: Return a hash instead, the same one until the secret changes.
    type: str
    choices: [bcrypt]
requirements: [bcrypt]
"""

EXAMPLES = r"""
- name: The application's password for the database
  ansible.builtin.debug:
    msg: "{{ lookup('airworthy.stack.secret', 'database_app') | length }}"

- name: What the exporters compare a password with
  ansible.builtin.debug:
    msg: "{{ lookup('airworthy.stack.secret', 'exporters', hash='bcrypt') | length }}"
"""

RETURN = r"""
_raw:
  description: The secrets, or their hashes, in the order of the names.
  type: list
  elements: str
"""

from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase
from ansible_collections.airworthy.stack.plugins.plugin_utils.secret_store import SecretStore


class LookupModule(LookupBase):
    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        self.set_options(var_options=variables, direct=kwargs)
        variables = variables or {}
        if not variables.get("airworthy_secrets_dir"):
            raise AnsibleError(
                "airworthy_secrets_dir is undefined: let the role depend on airworthy.stack.preflight, "
                'or write in group_vars/all.yml: airworthy_secrets_dir: "{{ inventory_dir }}/.secrets"'
            )
        store = SecretStore(
            directory=str(self._templar.template(variables["airworthy_secrets_dir"])),
            loader=self._loader,
            dry_run=bool(variables.get("ansible_check_mode")),
        )
        get = store.bcrypt if self.get_option("hash") else store.secret
        return [get(str(name), self.get_option("length")) for name in terms]
