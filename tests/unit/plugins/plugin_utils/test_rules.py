"""Rules between variables, where a whole run (tests/bad_input) would say less than a table."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.airworthy.stack.plugins.plugin_utils import rules, rules_database, rules_environment

HOST = {"inventory_hostname": "web1", "group_names": ["server"], "groups": {"all": ["web1"], "server": ["web1"]}}


def test_a_host_of_group_server_has_every_tier() -> None:
    assert rules.tiers(HOST) == set(rules.TIERS)
    assert rules.tiers({"group_names": ["edge", "eu", "app"]}) == {"edge", "app"}
    assert rules.tiers({"group_names": ["eu"]}) == set()


def test_roles_apply_to_the_hosts_of_their_tier() -> None:
    edge = {"group_names": ["edge"]}
    assert rules.applies("nginx", edge)
    assert rules.applies("base", edge)
    assert not rules.applies("postgresql", edge)


@pytest.mark.parametrize("names", [{"server"}, {"edge", "database"}, {"server", "eu"}])
def test_a_host_with_a_tier_is_placed(names: set[str]) -> None:
    assert not list(rules.host_has_a_tier(HOST | {"group_names": sorted(names)}))


@pytest.mark.parametrize(
    ("groups", "play", "expected"),
    [
        ({"databse": ["db1"]}, ["web1"], "group databse is unknown, so db1 would get nothing; did you mean database?"),
        ({"Edge": ["web2"]}, ["web1"], "did you mean edge?"),
        ({"databse": ["db1"]}, ["web1", "db1"], None),  # it speaks for itself
        ({"apps": ["web2"], "app": ["web2"]}, ["web1"], None),  # a group of the user's own, placed otherwise
        ({"laptops": ["kim"]}, ["web1"], None),  # none of ours
    ],
)
def test_a_misspelt_group_is_reported_by_the_others(
    groups: dict[str, Any], play: list[str], expected: str | None
) -> None:
    found = list(rules.groups_are_spelt_right(HOST | {"groups": groups, "ansible_play_hosts_all": play}))
    assert len(found) == (expected is not None)
    assert not expected or expected in found[0]


@pytest.mark.parametrize(
    ("directory", "source", "refused"),
    [
        ("/srv/inventory/secrets", "/srv/inventory", True),
        ("/srv/inventory/a/secrets", "/srv/inventory/", True),
        ("/srv/inventory/.secrets", "/srv/inventory", False),
        ("/srv/inventory/.private/secrets", "/srv/inventory", False),
        ("/srv/inventory/a/.secrets", "/srv/inventory", False),
        ("/srv/inventory/group_vars/secrets", "/srv/inventory", False),
        ("/srv/inventory/secrets", "/srv/inventory/hosts.yml", False),
        ("/srv/inventory2/secrets", "/srv/inventory", False),
        ("/srv/secrets", "/srv/inventory", False),
    ],
)
def test_secrets_are_not_read_as_inventory(directory: str, source: str, refused: bool) -> None:
    values = {"airworthy_secrets_dir": directory, "ansible_inventory_sources": [source]}
    assert bool(list(rules.secrets_stay_out_of_the_inventory(values))) is refused


EXPORTERS = {"node": 9100, "process": 9256, "postgres": 9187, "pgbouncer": 9127, "nginx": 9113, "app": 9464}
PORTS = {
    "base_ssh_port": 22,
    "airworthy_app_port": 3000,
    "airworthy_app_instances": 2,
    "airworthy_database_port": 5432,
    "airworthy_pooler_port": 6432,
    "airworthy_exporter_ports": EXPORTERS,
}


@pytest.mark.parametrize(
    ("groups", "changed", "clashes"),
    [
        (["server"], {}, 0),
        (["server"], {"airworthy_pooler_port": 5432}, 1),
        (["server"], {"airworthy_app_port": 5431}, 1),
        (["server"], {"airworthy_app_port": 5431, "airworthy_app_instances": 1}, 0),
        (["server"], {"base_ssh_port": 443}, 1),
        (["database"], {"base_ssh_port": 443}, 0),
        (["app"], {"airworthy_app_port": 5432}, 0),
        (["app"], {"airworthy_app_port": 9100}, 1),
        (["database"], {"airworthy_exporter_ports": EXPORTERS | {"postgres": 9100}}, 1),
        (["edge"], {"airworthy_exporter_ports": EXPORTERS | {"postgres": 9100}}, 0),
        (["edge"], {"airworthy_exporter_ports": EXPORTERS | {"nginx": 443}}, 1),
        (["logs"], {"log_collector_web_port": 9100}, 1),
        (["app"], {"log_collector_web_port": 9100}, 0),
        (["app"], {"airworthy_app_port": 9464}, 0),
        (["app"], {"airworthy_app_port": 9464, "airworthy_app_metrics_path": "/metrics"}, 1),
    ],
)
def test_ports_clash_on_the_same_server_only(groups: list[str], changed: dict[str, int], clashes: int) -> None:
    assert len(list(rules.ports_differ({"group_names": groups, **PORTS, **changed}))) == clashes


def test_a_rule_is_silent_about_what_is_unknown() -> None:
    assert rules.errors(HOST) == []


def test_the_checklists_own_pool_fits() -> None:
    values = {"pgbouncer_default_pool_size": 20, "pgbouncer_min_pool_size": 5, "postgresql_max_connections": 100}
    assert not [error for rule in rules_database.RULES for error in rule(values)]
    assert not list(rules_database.pool_fits_the_database(values | {"pgbouncer_default_pool_size": 82}))
    assert list(rules_database.pool_fits_the_database(values | {"pgbouncer_default_pool_size": 83}))


@pytest.mark.parametrize("value", ["8MB", "8kB", "500ms", "1.5GB", 8, 1.1, "on", "off", "scram-sha-256", True, "'a b'"])
def test_settings_as_in_postgresql_conf(value: Any) -> None:
    assert not list(rules_database.settings_are_well_formed({"postgresql_settings": {"work_mem": value}}))


@pytest.mark.parametrize("value", ["8 MB", "8mb", "8M", "1 h", "8GiB", None, ["a"], {"a": 1}])
def test_settings_that_postgresql_would_refuse(value: Any) -> None:
    assert list(rules_database.settings_are_well_formed({"postgresql_settings": {"work_mem": value}}))


KNOWN = {"nginx_cors_allowed_origins", "nginx_cors_max_age", "airworthy_domain", "app_port", "app_environment"}


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("nginx_cors_allowed_origin", "nginx_cors_allowed_origins"),
        ("ngnix_cors_allowed_origins", "nginx_cors_allowed_origins"),
        ("airworhty_domain", "airworthy_domain"),
        ("nginx_cors_allowed_origins", None),
        ("nginx_version_of_my_own", None),
        ("my_port", None),
        ("ap_port", None),  # too short to tell
        ("domain", None),
        ("ansible_host", None),
    ],
)
def test_which_names_are_misspelt(name: str, near: str | None) -> None:
    found = rules.unknown_variables([name], KNOWN, ["nginx", "app"])
    assert found == ([f"{name} is unknown; did you mean {near}?"] if near else [])


@pytest.mark.parametrize("token", ["", None, 5, "a.b", "a.b.c", "a.!!!.c", "a.bnVsbA.c", "..."])
def test_what_is_no_token_says_nothing(token: Any) -> None:
    assert rules_environment._claims(token) == {}


def test_a_value_that_may_be_a_secret_is_not_shown() -> None:
    environment = dict.fromkeys(("NEXT_PUBLIC_API_KEY", "API-KEY", "PORT"), "hunter2") | {"TOKEN": "hunter2\n"}
    found = [error for rule in rules_environment.RULES for error in rule({"app_environment": environment})]
    assert len(found) == 4
    assert "hunter2" not in str(found)
