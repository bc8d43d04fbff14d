"""One value against its option: converted, or refused in words that say what to write and show no secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible_collections.airworthy.stack.plugins.plugin_utils.role_input import load_roles, shown, summary, validate

STEP = {
    "name": {"type": "str", "required": True, "description": "Its name."},
    "count": {"type": "int", "description": "How often."},
}
TEXT = {"type": "str", "default": "x", "description": "Some text."}
LEVEL = {"type": "str", "choices": ["quick", "deep"], "default": "quick", "description": "How deep."}
NAMES = {"type": "list", "elements": "str", "default": [], "description": "Names."}
KINDS = {"type": "list", "elements": "str", "choices": ["ssd", "hdd"], "default": [], "description": "Kinds."}
STEPS = {"type": "list", "elements": "dict", "default": [], "options": STEP, "description": "Steps."}
MAPPING = {"type": "dict", "default": {}, "description": "Anything."}
PASSWORD = {"type": "str", "no_log": True, "description": "A password."}


@pytest.mark.parametrize(
    ("spec", "value", "expected"),
    [
        ({"type": "int", "default": 1}, "20", 20),
        ({"type": "bool", "default": True}, "no", False),
        ({"type": "float", "default": 1.0}, 2, 2.0),
        (TEXT, 17, "17"),
        (LEVEL, "deep", "deep"),
        (NAMES, "a,b", ["a", "b"]),
        (NAMES, ["a", 1], ["a", "1"]),
        (STEPS, [{"name": "install", "count": "2"}], [{"name": "install", "count": 2}]),
        (MAPPING, {"a": [1]}, {"a": [1]}),
        ({"type": "str"}, None, None),
    ],
)
def test_right(spec: dict[str, Any], value: Any, expected: Any) -> None:
    assert validate("v", spec | {"description": "."}, value) == (expected, [])


@pytest.mark.parametrize(
    ("spec", "value", "expected"),
    [
        ({"type": "int", "description": "Port."}, "abc", ["v is 'abc'; write a whole number: Port"]),
        ({"type": "int", "description": "Port."}, True, ["v is True; write a whole number: Port"]),
        ({"type": "int", "description": "Port."}, 3.5, ["v is 3.5; write a whole number: Port"]),
        ({"type": "bool", "description": "On."}, "maybe", ["v is 'maybe'; write true or false: On"]),
        (TEXT, ["a"], ["v is ['a']; write a text: Some text"]),
        (TEXT, {"a": 1}, ["v is {'a': 1}; write a text: Some text"]),
        (TEXT, None, ["v is empty; write a text, or remove the line for the default"]),
        (LEVEL, "shallow", ["v is 'shallow'; write one of quick, deep: How deep"]),
        (NAMES, {"a": 1}, ["v is {'a': 1}; write a list, each item a text: Names"]),
        (NAMES, ["a", ["b"]], ["v[1] is ['b']; write a text: Names"]),
        (KINDS, ["ssd", "tape"], ["v[1] is 'tape'; write one of ssd, hdd: Kinds"]),
        (MAPPING, ["a"], ["v is ['a']; write a mapping: Anything"]),
        (STEPS, ["install"], ["v[0] is 'install'; write a mapping: Steps"]),
        (STEPS, [{"name": "a"}, {"count": 1}], ["v[1] has no name; write a text: Its name"]),
        (STEPS, [{"name": "a", "nmae": 1}], ["v[0] has 'nmae', which is unknown; write some of name, count"]),
        (STEPS, [{"name": "a", "count": "b"}], ["v[0].count is 'b'; write a whole number: How often"]),
    ],
)
def test_wrong(spec: dict[str, Any], value: Any, expected: list[str]) -> None:
    assert validate("v", spec, value) == (None, expected)


@pytest.mark.parametrize(
    ("name", "spec"),
    [("v", PASSWORD), ("database_password", TEXT), ("v", STEPS | {"options": {"password": TEXT}})],
)
def test_a_secret_is_never_shown(name: str, spec: dict[str, Any]) -> None:
    assert shown(name, spec, "hunter2") == "a value that is not shown here"
    _value, errors = validate(name, spec, {"password": ["hunter2"]})
    assert errors
    assert "hunter2" not in str(errors)


def test_a_long_value_is_cut() -> None:
    assert len(shown("v", TEXT, "a" * 1000)) < 120


def test_the_summary_is_the_first_sentence_without_markup() -> None:
    assert summary({"description": ["Port of C(nginx), see V(x).", "More."]}) == "Port of nginx, see x"


def test_roles_are_read_with_what_they_have(tmp_path: Path) -> None:
    (tmp_path / "nginx" / "defaults").mkdir(parents=True)
    (tmp_path / "nginx" / "defaults" / "main.yml").write_text("nginx_port: 80\n")
    (tmp_path / "README.md").write_text("no role")
    [role] = load_roles(str(tmp_path), DataLoader())
    assert (role.name, role.defaults, role.options, role.derived) == ("nginx", {"nginx_port": 80}, {}, {})
