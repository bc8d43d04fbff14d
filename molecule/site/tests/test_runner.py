"""Orchestration tooling runs the site through ansible-runner and reads events and certificate."""

from __future__ import annotations

import json
from pathlib import Path

import ansible_runner

ROOT = Path(__file__).parents[3]


def test_the_site_and_its_certificate_through_ansible_runner(tmp_path: Path) -> None:
    private = tmp_path / "private"
    (private / "env").mkdir(parents=True)
    (private / "env" / "envvars").write_text(json.dumps({"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}))
    (private / "env" / "extravars").write_text(json.dumps({"airworthy_report_dir": str(tmp_path / "reports")}))
    common = {
        "private_data_dir": str(private),
        "project_dir": str(ROOT),
        "inventory": str(ROOT / "molecule" / "inventory"),
        "limit": "site,localhost",
        "quiet": True,
    }

    site = ansible_runner.run(playbook="site.yml", **common)
    assert (site.status, site.rc) == ("successful", 0)
    assert set(site.stats["ok"]) >= {"airworthy-site12", "airworthy-site13"}
    assert not site.stats["changed"], "the server was converged before"

    certified = ansible_runner.run(playbook="certify.yml", **common)
    assert (certified.status, certified.rc) == ("successful", 0)
    examined = {event["event_data"].get("role") for event in certified.events if event["event"] == "runner_on_ok"}
    assert {"nginx", "postgresql"} <= examined
    certificate = json.loads((tmp_path / "reports" / "certificate.json").read_text())
    assert certificate["verdict"] == "pass"
