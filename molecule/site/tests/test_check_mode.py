"""On a converged server, --check --diff shows nothing and changes nothing."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable


def test_a_converged_server_shows_no_difference(playbook: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    result = playbook("site.yml", "--check", "--diff")
    assert result.returncode == 0, result.stdout + result.stderr
    recaps = re.findall(r"ok=\d+ +changed=(\d+) ", result.stdout)
    assert recaps == ["0", "0"], result.stdout
    assert not re.search(r"^(---|\+\+\+) ", result.stdout, re.MULTILINE)
