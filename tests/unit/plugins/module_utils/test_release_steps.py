"""How a step is started: what may be in an argument list, and what may not."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible_collections.airworthy.stack.plugins.module_utils.release_plan import Step, Wish
from ansible_collections.airworthy.stack.plugins.module_utils.release_steps import Steps

WISH = Wish("4c1d", "/opt/app", "app", {}, environment_file="/etc/app/environment", step_timeout=60)


def command(step: Step) -> list[str]:
    module = SimpleNamespace()
    return Steps(module, WISH)._command(step, "/opt/app/releases/4c1d.partial")  # type: ignore[arg-type]


def test_a_step_is_a_named_unit_of_the_user_that_can_write_to_its_release_only() -> None:
    words = command(Step("build", "npm run build"))
    assert words[0] == "systemd-run"
    assert words[words.index("--") + 1 :] == ["npm", "run", "build"]
    for word in (
        "--unit=app-release.service",
        "--property=User=app",
        "--property=ProtectSystem=strict",
        "--property=ReadWritePaths=/opt/app/releases/4c1d.partial",
        "--property=RuntimeMaxSec=60",
    ):
        assert word in words


@pytest.mark.parametrize("environment", [True, False])
def test_the_environment_comes_by_file_and_only_if_it_shall(environment: bool) -> None:
    words = command(Step("build", "npm run build", environment))
    assert ("--property=EnvironmentFile=/etc/app/environment" in words) is environment


def test_quotes_group_words_and_there_is_no_shell() -> None:
    words = command(Step("odd", "echo 'two words' $HOME; ls"))
    assert words[words.index("--") + 1 :] == ["echo", "two words", "$HOME;", "ls"]
