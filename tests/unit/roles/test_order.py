"""What a role renders is the same on each run: Ansible's filters on sets give another order each time."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
WITHOUT_ORDER = re.compile(r"\|\s*(union|difference|intersect|symmetric_difference)\b")
FILES = [
    path
    for name in ("roles", "playbooks")
    for path in sorted((ROOT / name).rglob("*"))
    if path.suffix in (".yml", ".j2")
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_filter_loses_the_order(path: Path) -> None:
    assert not WITHOUT_ORDER.findall(path.read_text()), "write `unique`, or `select` or `reject` with `in`"
