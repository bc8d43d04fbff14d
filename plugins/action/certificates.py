# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import os
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.airworthy.stack.plugins.plugin_utils import pki, private_files
from ansible_collections.airworthy.stack.plugins.plugin_utils.certificate_store import CertificateStore, Entry

CERTIFICATE = {
    "name": {"type": "str", "required": True},
    "names": {"type": "list", "elements": "str", "default": []},
    "addresses": {"type": "list", "elements": "str", "default": []},
    "days": {"type": "int", "default": 397},
    "certificate_file": {"type": "path"},
    "private_key_file": {"type": "path", "no_log": False},  # a path is no secret
}
ARGUMENTS = {
    "directory": {"type": "path", "required": True},
    "common_name": {"type": "str", "default": "airworthy CA"},
    "renew_before_days": {"type": "int", "default": 30},
    "certificates": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": CERTIFICATE,
    },
}


class ActionModule(ActionBase):
    """In process with `cryptography`: the modules of community.crypto take half a second each, and four of them."""

    _supports_check_mode = True
    _requires_connection = False
    _VALID_ARGS = frozenset(ARGUMENTS)

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(argument_spec=ARGUMENTS)
        host = str((task_vars or {})["inventory_hostname"])
        if os.path.basename(host) != host or host in (".", ".."):
            raise AnsibleActionFail(f"host {host!r} cannot have a directory of that name: rename it in the inventory")
        try:
            return self._ensure(arguments, host)
        except AnsibleError as error:
            raise AnsibleActionFail(str(error)) from error

    def _ensure(self, arguments: dict[str, Any], host: str) -> dict[str, Any]:
        store = CertificateStore(arguments["directory"], self._loader, dry_run=self._task.check_mode)
        if self._task.check_mode:
            return self._converge(store, arguments, host)
        with private_files.locked(store.directory):
            return self._converge(store, arguments, host)

    @staticmethod
    def _converge(store: CertificateStore, arguments: dict[str, Any], host: str) -> dict[str, Any]:
        wanted = arguments["certificates"]
        longest = max((item["days"] for item in wanted), default=0)
        authority, authority_reason = store.authority(arguments["common_name"], longest)
        entries: dict[str, Entry] = {}
        for item in wanted:
            names = [*item["names"], *item["addresses"]]
            if not names:
                raise AnsibleActionFail(f"certificate {item['name']} has no names: write names or addresses")
            certificate, key = item["certificate_file"], item["private_key_file"]
            if bool(certificate) != bool(key):
                raise AnsibleActionFail(
                    f"certificate {item['name']}: certificate_file is {certificate!r} and private_key_file is {key!r}; "
                    "write both, or neither, and the internal CA issues one"
                )
            if certificate:
                entry = store.brought(certificate, key, names)
            else:
                subject = pki.Subject(tuple(names))
                renew_before = arguments["renew_before_days"]
                entry = store.issued(authority, host, item["name"], subject, item["days"], renew_before)
            entries[item["name"]] = entry
        made = {entry.certificate: entry.reason for entry in entries.values()}
        made[store.path("ca.crt")] = authority_reason
        return {
            "ca": store.path("ca.crt"),
            "certificates": {name: entry.result() for name, entry in entries.items()},
            "changed": any(made.values()),
            "diff": [{"prepared": f"issued {path}: {reason}\n"} for path, reason in made.items() if reason],
        }
