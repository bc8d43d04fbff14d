"""The lookup as a template calls it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.constants import config
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.airworthy.stack.plugins.lookup import secret

NAME = "airworthy.stack.secret"


def look_up(terms: list[str], variables: dict[str, Any], **options: Any) -> list[str]:
    loader = DataLoader()
    # What Ansible's plugin loader does.
    config.initialize_plugin_configuration_definitions("lookup", NAME, yaml.safe_load(secret.DOCUMENTATION)["options"])
    plugin = secret.LookupModule(loader=loader, templar=Templar(loader, variables=variables))
    plugin._load_name = NAME
    return plugin.run(terms, variables, **options)


def test_the_directory_may_be_a_template(tmp_path: Path) -> None:
    variables = {"base": str(tmp_path), "airworthy_secrets_dir": trust_as_template("{{ base }}/.secrets")}
    [first, second] = look_up(["database_app", "exporters"], variables)
    assert (tmp_path / ".secrets" / "database_app").read_text() == f"{first}\n"
    assert first != second
    assert look_up(["database_app"], variables) == [first]


def test_the_length_and_the_hash_are_options(tmp_path: Path) -> None:
    variables = {"airworthy_secrets_dir": str(tmp_path / "secrets")}
    assert len(look_up(["long"], variables, length="48")[0]) == 48
    [hashed] = look_up(["exporters"], variables, hash="bcrypt")
    assert hashed.startswith("$2b$")
    assert look_up(["exporters"], variables, hash="bcrypt") == [hashed]


def test_check_mode_writes_nothing(tmp_path: Path) -> None:
    variables = {"airworthy_secrets_dir": str(tmp_path / "secrets"), "ansible_check_mode": True}
    assert len(look_up(["database_app"], variables)[0]) == 32
    assert not (tmp_path / "secrets").exists()


def test_an_unknown_hash_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AnsibleError, match="md5"):
        look_up(["exporters"], {"airworthy_secrets_dir": str(tmp_path)}, hash="md5")


def test_without_a_directory_the_error_says_what_to_write() -> None:
    with pytest.raises(AnsibleError, match=r"airworthy_secrets_dir is undefined: .*group_vars/all\.yml"):
        look_up(["database_app"], {})
