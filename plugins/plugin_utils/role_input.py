# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the roles of the collection take: options, defaults, derived variables; and one value against its option."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import ansible.template
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.yaml import yaml_load
from ansible.parsing.dataloader import DataLoader

# Since ansible-core 2.19 a file has to be trusted for its strings to be templates.
TRUSTED = {"trusted_as_template": True} if hasattr(ansible.template, "trust_as_template") else {}

SHARED = "preflight"  # the role whose derived variables everybody may use
SECRET_NAME = re.compile(r"password|secret|token|private_key$|credential", re.IGNORECASE)
SHOWN_LENGTH = 100

WANTED = {
    "bool": "true or false",
    "dict": "a mapping",
    "float": "a number",
    "int": "a whole number",
    "list": "a list",
    "path": "a path",
    "str": "a text",
}

Spec = Mapping[str, Any]


@dataclass(frozen=True)
class RoleInput:
    name: str
    options: Mapping[str, Spec]
    defaults: Mapping[str, Any]
    derived: Mapping[str, Any]


def load_roles(directory: str, loader: DataLoader) -> list[RoleInput]:
    def options(role: str) -> Mapping[str, Spec]:
        file = os.path.join(directory, role, "meta", "argument_specs.yml")
        if not os.path.exists(file):
            return {}
        with open(file, "rb") as content:  # ten times as quick as by the loader, and there are no templates in it
            return yaml_load(content)["argument_specs"].get("main", {}).get("options", {})

    def variables(role: str, path: str) -> Mapping[str, Any]:
        file = os.path.join(directory, role, path)
        return (loader.load_from_file(file, cache="none", **TRUSTED) or {}) if os.path.exists(file) else {}

    return [
        RoleInput(
            name=role,
            options=options(role),
            defaults=variables(role, "defaults/main.yml"),
            derived=variables(role, "vars/main.yml") if role == SHARED else {},
        )
        for role in sorted(os.listdir(directory))
        if os.path.isdir(os.path.join(directory, role))
    ]


def is_secret(name: str, spec: Spec) -> bool:
    """Whether the value must not be shown. The name of a file that holds a secret is none."""
    if spec.get("type") == "path":
        return False
    inner = spec.get("options") or {}
    return bool(spec.get("no_log") or SECRET_NAME.search(name)) or any(is_secret(key, inner[key]) for key in inner)


def shown(name: str, spec: Spec, value: Any) -> str:
    if is_secret(name, spec):
        return "a value that is not shown here"
    text = repr(value)
    return text if len(text) <= SHOWN_LENGTH else f"{text[:SHOWN_LENGTH]}…"


def wanted(spec: Spec) -> str:
    if choices := spec.get("choices"):
        of = "one of " + ", ".join(str(choice) for choice in choices)
        return f"a list, each {of}" if spec.get("type") == "list" else of
    kind = WANTED.get(spec.get("type", "str"), str(spec.get("type")))
    if elements := spec.get("elements"):
        return f"{kind}, each item {WANTED.get(elements, elements)}"
    return kind


def summary(spec: Spec) -> str:
    description = spec.get("description", "")
    first = description if isinstance(description, str) else description[0]
    return re.sub(r"\b[A-Z]\(([^)]*)\)", r"\1", first).rstrip(".")


def validate(name: str, spec: Spec, value: Any) -> tuple[Any, list[str]]:
    """The value in the option's type, and what is wrong with it."""
    if errors := list(_errors(name, spec, value)):
        return None, errors
    if value is None:
        return None, []
    # What is right by itself can still be wrong together (mutually_exclusive and its like): Ansible's words then.
    result = ArgumentSpecValidator({name: dict(spec)}).validate({name: value})
    return result.validated_parameters[name], [f"{name}: {message}" for message in result.error_messages]


def _errors(name: str, spec: Spec, value: Any) -> Iterator[str]:
    kind = spec.get("type", "str")
    if value is None:
        if "default" in spec:
            yield f"{name} is empty; write {wanted(spec)}, or remove the line for the default"
    elif kind == "list" and isinstance(value, list) and spec.get("elements"):
        item = {key: value for key, value in spec.items() if key not in ("type", "elements", "default")}
        for position, element in enumerate(value):
            yield from _errors(f"{name}[{position}]", item | {"type": spec["elements"]}, element)
    elif kind == "dict" and isinstance(value, Mapping) and spec.get("options"):
        yield from _entry_errors(name, spec["options"], value)
    elif _converts_by_accident(kind, value) or not _converts(name, spec, value):
        yield f"{name} is {shown(name, spec, value)}; write {wanted(spec)}: {summary(spec)}"


def _entry_errors(name: str, options: Mapping[str, Spec], value: Mapping[str, Any]) -> Iterator[str]:
    for key in value:
        if key not in options:
            yield f"{name} has {key!r}, which is unknown; write some of {', '.join(options)}"
    for key, spec in options.items():
        if value.get(key) not in (None, ""):
            yield from _errors(f"{name}.{key}", spec, value[key])
        elif spec.get("required"):
            yield f"{name} has no {key}; write {wanted(spec)}: {summary(spec)}"


def _converts_by_accident(kind: str, value: Any) -> bool:
    """Ansible would make a text of a list, brackets and all, and a number of true."""
    return (kind in ("str", "path") and isinstance(value, list | Mapping)) or (
        kind in ("int", "float", "str", "path") and isinstance(value, bool)
    )


def _converts(name: str, spec: Spec, value: Any) -> bool:
    alone = {key: value for key, value in spec.items() if key not in ("options", "required")}
    return not ArgumentSpecValidator({name: alone}).validate({name: value}).error_messages
