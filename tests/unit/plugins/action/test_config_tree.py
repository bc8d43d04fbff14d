# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The controller's half of config_tree: what it finds, renders, refuses and sends."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible.template import Templar, trust_as_template
from ansible_collections.airworthy.stack.plugins.action.config_tree import ActionModule
from ansible_collections.airworthy.stack.plugins.module_utils.config_tree import Rendered, unpack

SECRETS = [("default", VaultSecret(b"password"))]
VARIABLES = {"port": 443, "names": ["a", "b"], "indirect": trust_as_template("{{ nowhere }}")}


class Controller:
    """A role on disk, and the action as a task in it would be run."""

    def __init__(self, role: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.templates = role / "templates"
        self.role = role
        self.sent: dict[str, Any] = {}
        self.loader = DataLoader()
        self.loader.set_vault_secrets(SECRETS)
        monkeypatch.setattr(ActionModule, "_execute_module", self._execute)

    def write(self, name: str, content: str | bytes) -> None:
        path = self.templates / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def run(self, **args: Any) -> list[Rendered]:
        """The rendered trees that reach the server."""
        task = SimpleNamespace(
            args={"src": "etc/nginx", "dest": "/etc/nginx"} | args,
            async_val=0,
            check_mode=False,
            diff=False,
            get_search_path=lambda: [str(self.role)],
        )
        connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir=None))
        action = ActionModule(
            task=task,
            connection=connection,
            play_context=None,
            loader=self.loader,
            templar=Templar(loader=self.loader),
            shared_loader_obj=None,
        )
        action.run(task_vars=VARIABLES | {"ansible_search_path": [str(self.role)]})
        return unpack(self.sent["_payload"])

    def refuse(self, **args: Any) -> str:
        with pytest.raises(AnsibleActionFail) as failure:
            self.run(**args)
        assert self.sent == {}, "nothing may reach the server"
        return str(failure.value)

    def _execute(self, module_name: str, module_args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        assert module_name == "airworthy.stack.config_tree"
        self.sent = module_args
        return {"changed": True}


@pytest.fixture
def controller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Controller:
    return Controller(tmp_path / "role", monkeypatch)


def test_templates_are_rendered_and_all_else_is_copied(controller: Controller) -> None:
    controller.write("etc/nginx/nginx.conf.j2", "# {{ ansible_managed }}\nlisten {{ port }};\n")
    controller.write("etc/nginx/conf.d/raw.conf", "{{ not a template }}\n")
    controller.write("etc/nginx/logo.png", bytes(range(256)))
    (controller.templates / "etc/nginx/empty").mkdir()
    (tree,) = controller.run()
    assert tree.directories == ["conf.d", "empty"]
    assert tree.files == {
        "conf.d/raw.conf": b"{{ not a template }}\n",
        "logo.png": bytes(range(256)),
        "nginx.conf": b"# Ansible managed\nlisten 443;\n",
    }


RENDERED = [
    ("blocks leave no empty lines", "{% for n in names %}\nserver {{ n }};\n{% endfor %}\n", "server a;\nserver b;\n"),
    ("the last line end stays", "a\n", "a\n"),
    ("none is added", "a", "a"),
    ("backslashes stay", r"~ \.php$ '\n' {{ '\\d' }}", r"~ \.php$ '\n' \d"),
    ("a lone number is text", "{{ port }}", "443"),
    ("a lone list is text", "{{ names }}", "['a', 'b']"),
    ("characters are UTF-8", "# caf\u00e9", "# caf\u00e9"),
    ("nothing is nothing", "", ""),
    ("other templates can be included", "{% include 'part.j2' %}!", "part 443!"),
]


@pytest.mark.parametrize(("rule", "template", "text"), RENDERED)
def test_rendering_follows_the_rules_of_ansible(controller: Controller, rule: str, template: str, text: str) -> None:
    controller.write("part.j2", "part {{ port }}")
    controller.write("etc/nginx/a.j2", template)
    assert controller.run()[0].files == {"a": text.encode()}, rule


def test_variables_of_the_task_go_into_templates_and_not_to_the_server(controller: Controller) -> None:
    controller.write("etc/nginx/a.j2", "{{ port }} {{ password }}")
    assert controller.run(variables={"password": "hunter2", "port": 80})[0].files == {"a": b"80 hunter2"}
    assert "hunter2" not in str(controller.sent)


def test_encrypted_files_arrive_decrypted_and_marked_as_secret(controller: Controller) -> None:
    vault = VaultLib(SECRETS)
    controller.write("etc/nginx/key", vault.encrypt(b"hunter2"))
    controller.write("etc/nginx/env.j2", vault.encrypt(b"PORT={{ port }}"))
    controller.write("etc/nginx/public", "public")
    (tree,) = controller.run()
    assert tree.files == {"env": b"PORT=443", "key": b"hunter2", "public": b"public"}
    assert sorted(tree.secret) == ["env", "key"]


def test_options_of_the_task_are_defaults_of_its_trees(controller: Controller) -> None:
    controller.write("etc/app/env", "A=1")
    controller.write("etc/nginx/nginx.conf", "")
    trees = [{"src": "etc/app", "dest": "/etc/app", "mode": "0600"}, {"owner": "www-data"}]
    first, second = controller.run(trees=trees, owner="root")
    assert (first.files, second.files) == ({"env": b"A=1"}, {"nginx.conf": b""})
    assert [(tree["dest"], tree["owner"], tree["mode"]) for tree in controller.sent["trees"]] == [
        ("/etc/app", "root", "0600"),
        ("/etc/nginx", "www-data", "0644"),
    ]


FAILING = [
    ("an undefined variable", "\n{% if port %}\n{{ nowhere }}\n{% endif %}", "line 3: 'nowhere' is undefined"),
    ("an undefined variable in a condition", "\n{% if nowhere %}{% endif %}", "line 2: 'nowhere' is undefined"),
    ("an undefined variable behind a defined one", "\n\n{{ indirect }}", "line 3: 'nowhere' is undefined"),
    ("a missing attribute", "{{ port }}\n{{ port.number }}", "line 2: object of type 'int' has no attribute 'number'"),
    ("a syntax error", "a\n{{ port\n", "line 2: Syntax error in template"),
    ("an unknown filter", "a\n{{ port | nonesuch }}", "line 2: Syntax error in template: No filter named 'nonesuch'"),
    ("an impossible operation", "a\n{{ port / 0 }}", "line 2: Error rendering template: division by zero"),
]


@pytest.mark.parametrize(("mistake", "template", "message"), FAILING)
def test_a_template_that_fails_is_named_with_its_line(
    controller: Controller, mistake: str, template: str, message: str
) -> None:
    controller.write("etc/nginx/good.j2", "good")
    controller.write("etc/nginx/site.conf.j2", template)
    assert f"{controller.templates}/etc/nginx/site.conf.j2, {message}" in controller.refuse(), mistake


def test_a_template_that_is_not_utf8_is_named(controller: Controller) -> None:
    controller.write("etc/nginx/latin1.j2", b"caf\xe9")
    assert "latin1.j2 is not UTF-8 (byte 3); convert it, or drop .j2" in controller.refuse()


def test_a_file_and_a_template_for_it_are_refused(controller: Controller) -> None:
    controller.write("etc/nginx/a", "")
    controller.write("etc/nginx/a.j2", "")
    assert "holds both a and a.j2" in controller.refuse()


def test_a_link_to_a_directory_is_refused(controller: Controller) -> None:
    controller.write("etc/nginx/a/file", "")
    (controller.templates / "etc/nginx/b").symlink_to("a")
    assert "etc/nginx/b is a symbolic link to a directory" in controller.refuse()


def test_what_tools_leave_beside_programs_stays_on_the_controller(controller: Controller) -> None:
    for name in ("a.py", "__pycache__/a.cpython-311.pyc", "sub/__pycache__/b.pyc", "sub/.mypy_cache/3.11/cache.db"):
        controller.write(f"etc/nginx/{name}", "x")
    [tree] = controller.run()
    assert (list(tree.files), list(tree.directories)) == (["a.py"], ["sub"])


def test_a_source_must_be_a_directory_that_holds_files(controller: Controller) -> None:
    assert "src 'etc/nginx' is not a directory under the role's templates/" in controller.refuse()
    (controller.templates / "etc/nginx/empty").mkdir(parents=True)
    assert f"src 'etc/nginx' is {controller.templates}/etc/nginx, which holds no files" in controller.refuse()
    controller.write("etc/file", "")
    assert "which is not a directory; name the directory that holds it" in controller.refuse(src="etc/file")


BAD_TASKS = [
    ({"dest": ""}, "dest is ''; write an absolute path"),
    ({"dest": "etc"}, "write an absolute path"),
    ({"mode": 420}, "is '420'; write an octal number in quotes"),
    ({"swap": "slowly"}, "value of swap must be one of: directory, files, got: slowly"),
    ({"wner": "root"}, "wner"),
    ({"trees": [{"dest": "/"}]}, "name a directory below it"),
]


@pytest.mark.parametrize(("args", "message"), BAD_TASKS)
def test_bad_options_are_refused_before_anything_is_rendered(
    controller: Controller, args: dict[str, Any], message: str
) -> None:
    controller.write("etc/nginx/broken.j2", "{{")
    assert message in controller.refuse(**args)
