"""The task itself: what it reads, what it writes, when it fails."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.airworthy.stack.plugins.action import certificate as action
from ansible_collections.airworthy.stack.plugins.module_utils.catalogue import LINES

ROOT = Path(__file__).parents[4]
NOW = datetime.datetime(2026, 11, 23, 22, 41, 7, tzinfo=datetime.UTC)
FILES = ["certificate.html", "certificate.json", "certificate.prom", "certificate.xml"]
QUICK = sum(bool(line.proved_by) and "quick" in line.levels for line in LINES)


def records(status: str = "pass") -> list[dict[str, Any]]:
    proved = [line for line in LINES if line.proved_by and "quick" in line.levels]
    return [
        {"id": line.id, "level": "quick", "status": status, "expected": "this", "observed": "that"} for line in proved
    ]


def certify(status: str = "pass", **options: Any) -> Any:
    variables = {
        "groups": {"all": ["web1"], "server": ["web1"], "edge": []},
        "hostvars": {"web1": {"group_names": ["server"], "__all_controls": {"controls": records(status)}}},
    }
    given = {"level": "quick", "hosts": ["web1"], "unreachable": [], "waivers": [], "inventory": "test", **options}
    return action.certify(given, variables, NOW)


def test_the_files_tell_the_same(tmp_path: Path) -> None:
    path = action.write(certify("fail"), tmp_path / "reports" / "test")
    assert path == tmp_path / "reports" / "test" / "certificate.html"
    assert sorted(os.listdir(path.parent)) == FILES
    told = json.loads((path.parent / "certificate.json").read_text())
    assert told["verdict"] == "fail"
    assert told["generated"] == "2026-11-23T22:41:07Z"
    failures = ElementTree.parse(path.parent / "certificate.xml").getroot().get("failures")
    assert failures == str(told["counts"]["fail"]) == str(QUICK)
    assert told["headline"] in path.read_text()


def test_the_json_has_the_documented_keys() -> None:
    assert list(certify().to_dict()) == [
        "collection", "version", "inventory", "generated", "level", "hosts",
        "verdict", "headline", "lines", "counts", "notes", "controls",
    ]  # fmt: skip
    assert list(certify().to_dict()["controls"][0]) == [
        "id", "section", "title", "host", "level", "status",
        "expected", "observed", "evidence", "remediation", "duration",
    ]  # fmt: skip


def test_a_write_that_breaks_off_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "certificate.html"
    target.write_text("old")

    def fail(*_: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no space left"):
        action.replace(target, "new")
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["certificate.html"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hosts": ["web2"]}, "hosts names web2, not in the inventory: web1"),
        ({"waivers": [{"id": "db.pool"}]}, "airworthy_waivers\\[0\\]: reason is missing or empty"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(AnsibleActionFail, match=message):
        certify(**options)


def test_the_version_comes_from_a_checkout_and_from_an_installed_collection(tmp_path: Path) -> None:
    (tmp_path / "galaxy.yml").write_text("version: 0.1.0\n")
    assert action.collection_version(tmp_path) == "0.1.0"
    (tmp_path / "MANIFEST.json").write_text('{"collection_info": {"version": "0.2.0"}}')
    assert action.collection_version(tmp_path) == "0.2.0"


@pytest.mark.parametrize(("status", "code"), [("pass", 0), ("fail", 2)])
def test_the_playbook_ends_with_the_verdict(tmp_path: Path, status: str, code: int) -> None:
    """In a real run, in check mode, with a host that never answered and variables as modules register them."""
    playbook = [
        {
            "hosts": "localhost",
            "gather_facts": False,
            "vars": {"records": records(status)},
            "tasks": [
                {"ansible.builtin.set_fact": {"__all_controls": {"controls": "{{ records }}"}}},
                {
                    "airworthy.stack.certificate": {
                        "hosts": ["localhost"],
                        "inventory": "test",
                        "dest": str(tmp_path / "reports"),
                    }
                },
            ],
        }
    ]
    (tmp_path / "play.json").write_text(json.dumps(playbook))
    (tmp_path / "inventory").write_text("[server]\nlocalhost ansible_connection=local\n")
    run = subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", "--check", "-i", "inventory", "play.json"],
        cwd=tmp_path,
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections"), "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == code, run.stdout + run.stderr
    assert f"{status.upper()}: " in run.stdout
    assert sorted(os.listdir(tmp_path / "reports")) == FILES
    assert json.loads((tmp_path / "reports" / "certificate.json").read_text())["verdict"] == status
