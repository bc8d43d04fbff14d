"""The built collection holds what git holds: no secret, no key, no cache of whoever built it."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from pathlib import Path

ROOT = Path(__file__).parents[2]

# What lies about in a checkout that was used.
USED = (
    ".cache/sanity/file",
    ".venv/bin/python",
    "examples/app/node_modules/express/index.js",
    "inventories/demo/.secrets/database_app",
    "lab/id_ed25519",
    "lab/id_ed25519.pub",
    "molecule/inventory/.secrets/pki/ca.key",
    "plugins/modules/__pycache__/config_tree.cpython-311.pyc",
    "reports/demo/certificate.html",
)


def test_nothing_that_git_ignores_is_built(tmp_path: Path) -> None:
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(listing, cwd=ROOT, check=True, text=True, capture_output=True).stdout.split("\0")
    known = {name for name in listed if (ROOT / name).is_file()}
    checkout = tmp_path / "checkout"
    for name in known:
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, checkout / name)
    for name in USED:
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text("not to be published")

    subprocess.run(["ansible-galaxy", "collection", "build", "--output-path", tmp_path], cwd=checkout, check=True)
    (built,) = tmp_path.glob("airworthy-stack-*.tar.gz")
    with tarfile.open(built) as archive:
        files = {member.name for member in archive.getmembers() if not member.isdir()}
    assert files - known == {"MANIFEST.json", "FILES.json"}
    assert {"plugins/plugin_utils/certificate.html.j2", "playbooks/site.yml", "examples/app/package-lock.json"} <= files
