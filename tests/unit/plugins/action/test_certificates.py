"""What a task says, and what it gets back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible.parsing.dataloader import DataLoader
from ansible_collections.airworthy.stack.plugins.action.certificates import ActionModule
from ansible_collections.airworthy.stack.plugins.plugin_utils import pki, private_files
from ansible_collections.airworthy.stack.plugins.plugin_utils.certificate_store import CertificateStore


def certificate(**options: Any) -> dict[str, Any]:
    defaults = {"names": [], "addresses": [], "days": 397, "certificate_file": None, "private_key_file": None}
    return defaults | {"name": "server"} | options


def converge(directory: Path, *certificates: dict[str, Any]) -> dict[str, Any]:
    store = CertificateStore(str(directory), DataLoader())
    private_files.ensure_directory(store.directory)
    arguments = {"common_name": "airworthy test CA", "renew_before_days": 30, "certificates": certificates}
    return ActionModule._converge(store, arguments, "web1")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "pki"


def test_it_returns_paths_and_no_keys(directory: Path) -> None:
    result = converge(directory, certificate(names=["web1"], addresses=["10.0.0.5"]))
    assert result["changed"]
    assert result["ca"] == f"{directory}/ca.crt"
    server = result["certificates"]["server"]
    assert server["certificate"] == f"{directory}/web1/server.crt"
    assert server["private_key"] == f"{directory}/web1/server.key"
    assert server["changed"]
    assert "PRIVATE KEY" not in str(result)
    read = pki.parse(Path(server["certificate"]).read_bytes(), Path(server["private_key"]).read_bytes())
    assert pki.covers(read.certificate, "web1")
    assert pki.covers(read.certificate, "10.0.0.5")


def test_the_difference_says_what_was_issued_and_why(directory: Path) -> None:
    converge(directory, certificate(names=["web1"]))
    result = converge(directory, certificate(names=["web1", "web1.example.org"]))
    assert result["diff"] == [{"prepared": f"issued {directory}/web1/server.crt: its names differ\n"}]
    result = converge(directory, certificate(names=["web1", "web1.example.org"]))
    assert (result["changed"], result["diff"]) == (False, [])


def test_names_and_addresses_may_be_mixed_and_repeated(directory: Path) -> None:
    result = converge(directory, certificate(names=["web1", "10.0.0.5", "web1"], addresses=["10.0.0.5"]))
    assert result["changed"]
    assert not converge(directory, certificate(names=["10.0.0.5", "web1"]))["changed"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "certificate server has no names: write names or addresses"),
        ({"names": ["a"], "certificate_file": "/a.crt"}, "private_key_file is None; write both, or neither"),
        ({"names": ["a"], "private_key_file": "/a.key", "certificate_file": ""}, "certificate_file is ''"),
    ],
)
def test_what_cannot_be_issued_is_refused(directory: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(AnsibleActionFail, match=message):
        converge(directory, certificate(**options))
