"""The built collection holds what git holds: no secret, no key, no cache of whoever built it."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_nothing_that_git_ignores_is_built(tmp_path: Path) -> None:
    subprocess.run(["ansible-galaxy", "collection", "build", "--output-path", tmp_path], cwd=ROOT, check=True)
    (built,) = tmp_path.glob("airworthy-stack-*.tar.gz")
    with tarfile.open(built) as archive:
        files = {member.name for member in archive.getmembers() if not member.isdir()}
    known = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        text=True,
        capture_output=True,
    ).stdout.split("\n")
    assert files - set(known) == {"MANIFEST.json", "FILES.json"}
    assert {"plugins/plugin_utils/certificate.html.j2", "playbooks/site.yml", "examples/app/package-lock.json"} <= files
