"""Every role is tested: a scenario that nobody runs, or one without tests, would be silently green."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.airworthy.stack.plugins.module_utils.catalogue import CATALOGUE

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()
CHAINS = re.findall(r"\$\((\w+)\)", " ".join(re.findall(r"^\tmolecule/run (.*)$", MAKEFILE, re.MULTILINE)))
SCENARIOS = " ".join(re.findall(rf"^(?:{'|'.join(CHAINS)}) := (.*)$", MAKEFILE, re.MULTILINE)).split()
ROLES = {path.name for path in (ROOT / "roles").iterdir()} - {"preflight"}  # tests/bad_input is its scenario
PROVED = {line.id: line.proved_by for line in CATALOGUE.values() if line.proved_by}


def test_every_scenario_is_run() -> None:
    folders = {path.parent.name for path in (ROOT / "molecule").glob("*/molecule.yml")} - {"default"}
    assert set(SCENARIOS) == folders == ROLES | {"site"}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_scenario_has_independent_tests(scenario: str) -> None:
    assert list((ROOT / "molecule" / scenario / "tests").glob("test_*.py"))


@pytest.mark.parametrize(("control", "role"), PROVED.items())
def test_every_control_has_a_sabotage_in_which_it_fails(control: str, role: str) -> None:
    cases = yaml.safe_load((ROOT / "molecule" / role / "sabotage.yml").read_text())
    assert control in {case["control"] for case in cases["sabotage"] + cases.get("sabotage_deep", [])}
