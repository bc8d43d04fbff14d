"""What the tests of the whole site share: the project's playbooks against the scenario's servers."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
Playbook = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def playbook() -> Playbook:
    """Run a playbook of the project against the site's servers: ``playbook("site.yml", "--check")``."""

    def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["ansible-playbook", name, "-i", "molecule/inventory", "--limit", "site,localhost", *arguments]
        return subprocess.run(command, cwd=ROOT, text=True, capture_output=True, timeout=1800)

    return run


@pytest.fixture(scope="session")
def certify(playbook: Playbook, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Any]]:
    """Certify the site at a level and return what certificate.json says, with the exit code as ``rc``."""

    def run(level: str, *arguments: str) -> dict[str, Any]:
        reports = tmp_path_factory.mktemp("reports")
        options = {"airworthy_certify_level": level, "airworthy_report_dir": str(reports)}
        result = playbook("certify.yml", "-e", json.dumps(options), *arguments)
        written = reports / "certificate.json"
        assert written.exists(), result.stdout + result.stderr
        return {"rc": result.returncode, "reports": reports, **json.loads(written.read_text())}

    return run
