"""Loads the programs that roles put on servers, which are no part of any package here."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

ROLES = Path(__file__).parents[2] / "roles"


def load_program(path: str) -> ModuleType:
    """The program at that path beneath roles/."""
    program = ROLES / path
    spec = importlib.util.spec_from_file_location(program.stem, program)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


@contextmanager
def program_directory(path: str) -> Iterator[None]:
    """Modules of that directory beneath roles/ import each other by name, as Python lets a directory that is run."""
    directory = str(ROLES / path)
    sys.path.insert(0, directory)
    try:
        yield
    finally:
        sys.path.remove(directory)
