# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where a template fails, found by rendering ever less of it."""

from __future__ import annotations

import pytest
from ansible_collections.airworthy.stack.plugins.plugin_utils.template_line import failing_line, prefixes
from jinja2 import Environment, StrictUndefined, TemplateError

TEMPLATES = [
    ("an expression", "a\n{{ one }}\n{{ gone }}\n{{ one }}", 3),
    ("inside blocks", "{% if one %}\n{% for x in [1] %}\n{{ x }}\n{{ gone }}\n{% endfor %}\n{% endif %}", 4),
    ("in the other branch", "{% if not one %}\n{{ gone }}\n{% else %}\n{{ gone }}\n{% endif %}", 4),
    ("the condition itself", "\n\n{% if gone %}\nx\n{% endif %}", 3),
    ("the list of a loop", "{% for x in gone %}\nx\n{% endfor %}", 1),
    ("an assignment", "{% set x = gone %}\n{{ x }}", 2),
    ("a block assignment", "{% set x %}\n{{ gone }}\n{% endset %}", 2),
    ("beside a raw part", "{% raw %}{{ gone }}\n{% endraw %}\n{# {{ gone }} #}\n{{ gone }}", 4),
    ("a macro, where it is called", "{% macro m() %}\n{{ gone }}\n{% endmacro %}\n{{ m() }}", 4),
    ("a missing include", "a\n{% include 'none' %}", 2),
    ("a tag of several lines", "{{\n  one\n}}\n{{\n  gone\n}}", 4),
    ("nothing at all", "{{ one }}\n", 0),
]


def fails(text: str) -> bool:
    try:
        Environment(undefined=StrictUndefined, autoescape=False).from_string(text).render(one=1)  # noqa: S701
    except (TemplateError, TypeError):
        return True
    return False


@pytest.mark.parametrize(("where", "text", "line"), TEMPLATES)
def test_the_line_is_found(where: str, text: str, line: int) -> None:
    assert failing_line(text, fails) == line, where


def test_every_beginning_is_a_template_of_its_own() -> None:
    text = "{% if a %}{% for x in y %}{{ x }}{% endfor %}{% else %}b{% endif %}"
    assert [beginning for _line, beginning in prefixes(text)] == [
        "{% if a %}{% endif %}",
        "{% if a %}{% for x in y %}{% endfor %}{% endif %}",
        "{% if a %}{% for x in y %}{{ x }}{% endfor %}{% endif %}",
        "{% if a %}{% for x in y %}{{ x }}{% endfor %}{% endif %}",
        "{% if a %}{% for x in y %}{{ x }}{% endfor %}{% else %}{% endif %}",
        text,
    ]
