"""What the controller does for a release: ask once, and ship only what the server lacks."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.airworthy.stack.plugins.action.app_release import ActionModule

STEPS = [{"name": "install", "command": "npm ci"}]


class Release(ActionModule):
    """The action with a server that answers from a list."""

    def __init__(self, arguments: dict[str, Any], *answers: dict[str, Any]) -> None:
        self._task = SimpleNamespace(args=arguments)
        self._loader = SimpleNamespace(path_dwim=lambda path: path)
        shell = SimpleNamespace(tmpdir="/remote", join_path=lambda *parts: "/".join(parts))
        self._connection = SimpleNamespace(_shell=shell)
        self.answers = list(answers)
        self.executions: list[dict[str, Any]] = []
        self.sent: list[str] = []

    def _execute_module(self, **options: Any) -> dict[str, Any]:
        self.executions.append(options["module_args"])
        return self.answers.pop(0)

    def _transfer_file(self, local: str, remote: str) -> str:
        assert Path(local).stat().st_size > 0
        self.sent.append(remote)
        return remote

    def _fixup_perms2(self, *_arguments: Any, **_options: Any) -> None:
        """There is no server whose files need it."""

    def _remove_tmp_path(self, path: str, **_options: Any) -> None:
        self.removed = path


@pytest.fixture(autouse=True)
def no_ansible_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_: {})


@pytest.fixture
def src(tmp_path: Path) -> str:
    (tmp_path / "package.json").write_text("{}")
    return str(tmp_path)


def test_a_release_in_service_costs_one_execution(src: str) -> None:
    action = Release({"src": src, "steps": STEPS}, {"changed": False, "needs_archive": False})
    assert action.run() == {"changed": False}
    assert len(action.executions) == 1
    assert len(action.executions[0]["release"]) == 12
    assert action.sent == []


def test_a_new_release_is_shipped_once_and_the_archive_removed(src: str) -> None:
    action = Release({"src": src}, {"needs_archive": True}, {"changed": True, "needs_archive": False})
    assert action.run() == {"changed": True}
    assert action.sent == ["/remote/source.tar.gz"]
    first, second = action.executions
    assert second == {**first, "archive": "/remote/source.tar.gz"}
    assert action.removed == "/remote"


def test_checks_belong_to_the_release(src: str) -> None:
    names = set()
    for checks in ([], STEPS):
        action = Release({"src": src, "checks": checks}, {"needs_archive": False})
        action.run()
        names.add(action.executions[0]["release"])
    assert len(names) == 2


def test_sources_that_change_while_they_are_packed_are_not_shipped(src: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def pack(directory: str, archive: str) -> None:
        Path(archive).touch()
        Path(directory, "new.js").touch()

    monkeypatch.setattr("ansible_collections.airworthy.stack.plugins.plugin_utils.source_tree.pack", pack)
    action = Release({"src": src}, {"needs_archive": True})
    with pytest.raises(AnsibleActionFail, match="changed while it was being packed"):
        action.run()
    assert action.sent == []


def test_a_release_that_is_nowhere_is_said_to_be() -> None:
    with pytest.raises(AnsibleActionFail, match="release 4c1d is not on the server"):
        Release({"release": "4c1d"}, {"needs_archive": True}).run()


@pytest.mark.parametrize("arguments", [{}, {"src": "app", "release": "previous"}])
def test_either_sources_or_a_release(arguments: dict[str, str]) -> None:
    with pytest.raises(AnsibleActionFail, match="give either src"):
        Release(arguments).run()
