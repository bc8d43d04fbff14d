"""What a role documents is what it does: specifications and defaults agree, and nothing numeric is without a range."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.airworthy.stack.plugins.plugin_utils import ranges, rules

ROLES = Path(__file__).parents[3] / "roles"
NAMES = sorted(path.name for path in ROLES.iterdir() if path.is_dir())
KEYS = {"type", "elements", "choices", "default", "required", "no_log", "options", "description"}


def load(role: str, path: str) -> dict[str, Any]:
    file = ROLES / role / path
    return (yaml.safe_load(file.read_text()) or {}) if file.exists() else {}


def entries(role: str) -> dict[str, dict[str, Any]]:
    return load(role, "meta/argument_specs.yml")["argument_specs"]


def options(role: str) -> dict[str, dict[str, Any]]:
    return entries(role)["main"].get("options", {})


def every_option(options: Mapping[str, dict[str, Any]], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """The options and those inside them, with their paths."""
    for name, spec in options.items():
        yield f"{path}{name}", spec
        yield from every_option(spec.get("options", {}), f"{path}{name}.")


def test_roles_are_found() -> None:
    assert {"preflight", "tls", "nginx", "postgresql"} <= set(NAMES)


@pytest.mark.parametrize("role", NAMES)
def test_specifications_and_defaults_have_the_same_names(role: str) -> None:
    with_default = {name for name, spec in options(role).items() if not spec.get("required")}
    assert set(load(role, "defaults/main.yml")) == with_default


@pytest.mark.parametrize("role", NAMES)
def test_documented_defaults_are_the_defaults(role: str) -> None:
    documented = {name: spec.get("default") for name, spec in options(role).items() if not spec.get("required")}
    assert documented == load(role, "defaults/main.yml")


@pytest.mark.parametrize("role", NAMES)
def test_every_option_says_what_it_is(role: str) -> None:
    for name, spec in every_option(options(role)):
        assert set(spec) <= KEYS, name
        assert spec.get("type"), f"{name} has no type"
        assert spec.get("description"), f"{name} has no description"
        assert spec["type"] != "list" or spec.get("elements"), f"{name} does not say what its elements are"


@pytest.mark.parametrize("role", NAMES)
def test_every_variable_bears_the_name_of_its_role(role: str) -> None:
    prefix = "airworthy" if role == "preflight" else role
    for name in options(role):
        assert name.startswith(f"{prefix}_")
    for name in load(role, "vars/main.yml"):
        assert name.startswith((f"__{role}_", "airworthy_" if role == "preflight" else f"__{role}_"))


@pytest.mark.parametrize("role", NAMES)
def test_certify_takes_the_variables_of_main(role: str) -> None:
    has_tasks = (ROLES / role / "tasks" / "certify.yml").exists()
    assert ("certify" in entries(role)) is has_tasks
    if has_tasks:
        assert entries(role)["certify"]["options"] == options(role)


def templated(value: Any) -> bool:
    return "{{" in str(value)


@pytest.mark.parametrize("role", NAMES)
def test_defaults_are_valid(role: str) -> None:
    literal = {name: value for name, value in load(role, "defaults/main.yml").items() if not templated(value)}
    specs = {name: spec for name, spec in options(role).items() if name in literal}
    validated = ArgumentSpecValidator(specs).validate(literal)
    assert validated.error_messages == []
    assert list(rules.numbers_are_in_range(validated.validated_parameters)) == []
    assert list(rules.texts_have_their_shape(validated.validated_parameters)) == []


def test_ranges_and_shapes_are_of_variables_that_exist() -> None:
    known = {path for role in NAMES for path, spec in every_option(options(role))}
    assert set(ranges.BY_NAME) <= known
    assert set(rules.SHAPES) <= known
    required = {name for role in NAMES for name, spec in options(role).items() if spec.get("required")}
    assert set(rules.REQUIRED_EXAMPLES) == required
    assert set(rules.ROLE_TIERS) <= set(NAMES)
