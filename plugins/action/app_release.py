# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import os
import tempfile
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.airworthy.stack.plugins.plugin_utils import source_tree

MODULE = "airworthy.stack.app_release"


class ActionModule(ActionBase):
    """Asks the server whether it has the release; only if not, the sources are packed and sent."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        arguments = {name: value for name, value in self._task.args.items() if value is not None}
        src = self._source(arguments)
        if src:
            arguments["release"] = self._release(src, arguments)
        answer = self._execute_module(module_name=MODULE, module_args=arguments, task_vars=task_vars)
        if answer.get("needs_archive"):
            if not src:
                raise AnsibleActionFail(f"release {arguments['release']} is not on the server; give its sources in src")
            answer = self._ship(src, arguments, task_vars)
        answer.pop("needs_archive", None)
        return result | answer

    def _source(self, arguments: dict[str, Any]) -> str | None:
        src, release = arguments.get("src"), arguments.get("release")
        if bool(src) == bool(release):
            raise AnsibleActionFail("give either src, a directory of sources, or release, one that is on the server")
        return os.path.realpath(self._loader.path_dwim(src)) if src else None

    def _ship(self, src: str, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        if not self._connection._shell.tmpdir:
            self._make_tmp_path()
        remote = self._connection._shell.join_path(self._connection._shell.tmpdir, "source.tar.gz")
        with tempfile.TemporaryDirectory() as directory:
            archive = os.path.join(directory, "source.tar.gz")
            source_tree.pack(src, archive)
            if self._release(src, arguments) != arguments["release"]:
                raise AnsibleActionFail(f"{src} changed while it was being packed; run again when it is at rest")
            self._transfer_file(archive, remote)
        try:
            self._fixup_perms2([self._connection._shell.tmpdir, remote])
            arguments = {**arguments, "archive": remote}
            return self._execute_module(module_name=MODULE, module_args=arguments, task_vars=task_vars)
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)

    def _release(self, src: str, arguments: dict[str, Any]) -> str:
        steps = [*(arguments.get("steps") or []), *(arguments.get("checks") or [])]
        return source_tree.release_id(src, steps, arguments.get("build_inputs") or {})
