"""What a fire drill takes for granted of the rules and of Alertmanager is what stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.airworthy.stack.plugins.plugin_utils.exporters import JOB_TIERS
from ansible_collections.airworthy.stack.plugins.plugin_utils.fires import FIRES, GROUP_INTERVAL, GROUP_WAIT, Fire

ROLES = Path(__file__).parents[4] / "roles"
RULES = ROLES / "monitoring/templates/etc/prometheus/rules.d/airworthy_alerts.yml.j2"
ALERTMANAGER = ROLES / "monitoring/templates/etc/alertmanager/alertmanager.yml.j2"
UNIT = {"s": 1, "m": 60}

each = pytest.mark.parametrize(("fault", "fire"), FIRES.items())


def seconds(text: str) -> int:
    return int(text[:-1]) * UNIT[text[-1]]


@each
def test_the_alert_of_a_fault_lasts_as_long_as_its_rule_says(fault: str, fire: Fire) -> None:
    document = yaml.safe_load(re.sub(r"\[\[ (\w+) \]\]", r"\1", RULES.read_text()))
    rules = [rule for group in document["groups"] for rule in group["rules"] if rule["alert"] == fire.alert]
    assert [seconds(rule["for"]) for rule in rules] == [fire.holds]


@each
def test_a_fault_is_brought_about_by_a_unit_of_hosts_that_can_have_it(fault: str, fire: Fire) -> None:
    assert fire.job in JOB_TIERS
    units = (ROLES / "exporters/templates").glob(f"*/etc/systemd/system/airworthy-fire-{fault}@.service.j2")
    assert len(list(units)) == 1


def test_alertmanager_waits_as_long_as_the_drill_believes() -> None:
    text = ALERTMANAGER.read_text()
    said = [re.search(rf"^  {name}: (\w+)$", text, re.MULTILINE) for name in ("group_wait", "group_interval")]
    assert [found and seconds(found[1]) for found in said] == [GROUP_WAIT, GROUP_INTERVAL]


def test_the_drill_waits_in_the_order_in_which_alerts_arrive() -> None:
    times = [fire.seconds(15) for fire in FIRES.values()]
    assert times == sorted(times)
    assert FIRES["disk"].seconds(15) == 30 + 300 + 45 + 30 + 120


def test_roles_and_drill_know_the_same_faults() -> None:
    specs = yaml.safe_load((ROLES / "monitoring/meta/argument_specs.yml").read_text())
    option = specs["argument_specs"]["main"]["options"]["monitoring_drill_faults"]
    assert option["choices"] == option["default"] == list(FIRES)
