# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The controller's half of config_tree: finds the trees, renders them, sends all in one module execution."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase
from jinja2 import TemplateSyntaxError

try:
    from ansible.template import trust_as_template
except ImportError:  # before ansible-core 2.19 every text could be a template

    def trust_as_template(value: str) -> str:
        return value


from ansible_collections.airworthy.stack.plugins.module_utils.config_tree import (
    Rendered,
    TreeError,
    check_options,
    pack,
    tree_options,
)
from ansible_collections.airworthy.stack.plugins.plugin_utils.template_line import failing_line

SUFFIX = ".j2"
CACHES = {"__pycache__", ".mypy_cache"}  # what running and checking programs of a role leaves beside them
RULES = {"trim_blocks": True, "lstrip_blocks": False, "newline_sequence": "\n"}  # those of ansible.builtin.template


class ActionModule(ActionBase):
    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        try:
            trees = self._trees()
            rendered = [self._render(tree, task_vars) for tree in trees]
        except TreeError as error:
            raise AnsibleActionFail(str(error)) from None  # the text says it all; the cause would repeat the template
        result.update(
            self._execute_module(
                module_name="airworthy.stack.config_tree",
                module_args={"trees": trees, "_payload": pack(rendered)},
                task_vars=task_vars,
            )
        )
        return result

    def _trees(self) -> list[dict[str, Any]]:
        """The options of every tree, with those of the task as defaults."""
        common = {name: value for name, value in self._task.args.items() if name not in ("trees", "variables")}
        validator = ArgumentSpecValidator(tree_options(required=True))
        trees = []
        for own in self._task.args.get("trees") or [{}]:
            validation = validator.validate({**common, **own})
            if validation.error_messages:
                raise TreeError("; ".join(validation.error_messages))
            check_options(validation.validated_parameters)
            trees.append(validation.validated_parameters)
        return trees

    def _render(self, tree: dict[str, Any], task_vars: dict[str, Any]) -> Rendered:
        root = self._source(tree["src"])
        search = [root, os.path.dirname(root), *task_vars.get("ansible_search_path", [])]
        variables = {"ansible_managed": "Ansible managed", **task_vars, **(self._task.args.get("variables") or {})}
        templar = self._templar.copy_with_new_env(
            searchpath=[path for base in search for path in (os.path.join(base, "templates"), base)],
            available_variables=variables,
        )
        rendered = Rendered()
        for path, is_directory in walk(root):
            source = os.path.join(root, path)
            if is_directory:
                rendered.directories.append(path)
                continue
            content, encrypted = self._read(source)
            if path.endswith(SUFFIX):
                path = path.removesuffix(SUFFIX)
                content = render(templar, source, content)
            if path in rendered.files:
                raise TreeError(f"{root} holds both {path} and {path}{SUFFIX}; remove one of them")
            rendered.files[path] = content
            if encrypted:
                rendered.secret.append(path)
        if not rendered.files:
            raise TreeError(f"src {tree['src']!r} is {root}, which holds no files")
        return rendered

    def _source(self, src: str) -> str:
        try:
            root = self._find_needle("templates", src)
        except AnsibleError as error:
            raise TreeError(f"src {src!r} is not a directory under the role's templates/: {error}") from error
        if not os.path.isdir(root):
            raise TreeError(f"src {src!r} is {root}, which is not a directory; name the directory that holds it")
        return root

    def _read(self, source: str) -> tuple[bytes, bool]:
        """The content of a file, decrypted, and whether it had to be."""
        plain = self._loader.get_real_file(source)
        try:
            with open(plain, "rb") as file:
                return file.read(), plain != source
        finally:
            self._loader.cleanup_tmp_file(plain)


def walk(root: str) -> Iterator[tuple[str, bool]]:
    """Every path below root, relative to it, and whether it is a directory; sorted."""
    for directory, directories, files in os.walk(root):
        directories[:] = sorted(set(directories) - CACHES)
        for name in directories:
            path = os.path.join(directory, name)
            if os.path.islink(path):
                raise TreeError(f"{path} is a symbolic link to a directory; put the directory itself there")
            yield os.path.relpath(path, root), True
        for name in sorted(files):
            yield os.path.relpath(os.path.join(directory, name), root), False


def render(templar: Any, source: str, content: bytes) -> bytes:
    """One rendered template; an error names the template, the line and what is wrong with it."""
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise TreeError(
            f"{source} is not UTF-8 (byte {error.start}); convert it, or drop {SUFFIX} from its name to have it copied"
        ) from error
    try:
        return _template(templar, text).encode()
    except Exception as error:  # before ansible-core 2.19, whatever a filter raises
        raise TreeError(f"{source}, line {_line(templar, text, error)}: {error}") from error


def _template(templar: Any, text: str) -> str:
    return str(templar.template(trust_as_template(text), escape_backslashes=False, overrides=RULES))


def _line(templar: Any, text: str, error: Exception) -> int:
    cause: BaseException | None = error
    while cause:
        if isinstance(cause, TemplateSyntaxError) and cause.lineno:
            return cause.lineno
        cause = cause.__cause__ or cause.__context__
    return failing_line(text, lambda beginning: _fails(templar, beginning))


def _fails(templar: Any, text: str) -> bool:
    try:
        _template(templar, text)
    except Exception:
        return True  # render() raises the error of the whole template
    return False
