# Copyright (c) the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Collect the controls of all hosts and write the certificate. Documented in plugins/modules/certificate.py."""

from __future__ import annotations

import datetime
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible import constants as C
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.airworthy.stack.plugins.module_utils.catalogue import tiers_of
from ansible_collections.airworthy.stack.plugins.plugin_utils import exposition, junit, page, summary, waivers
from ansible_collections.airworthy.stack.plugins.plugin_utils.certificate import Certificate, Host, assemble, plain

COLLECTION = Path(__file__).resolve().parents[2]

ARGUMENTS = {
    "level": {"type": "str", "choices": ["quick", "deep"], "default": "quick"},
    "hosts": {"type": "list", "elements": "str", "required": True},
    "unreachable": {"type": "list", "elements": "str", "default": []},
    "waivers": {"type": "list", "elements": "raw", "default": []},
    "inventory": {"type": "str", "required": True},
    "dest": {"type": "path", "required": True},
}

COLOURS = {
    "pass": C.COLOR_OK,
    "fail": C.COLOR_ERROR,
    "error": C.COLOR_ERROR,
    "waived": C.COLOR_WARN,
    "not_applicable": C.COLOR_SKIP,
    "not_run": C.COLOR_SKIP,
    "not_yet": C.COLOR_SKIP,
}

display = Display()


class ActionModule(ActionBase):
    """Runs in the controller's process; nothing is sent to a server."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        options = self.validate_argument_spec(argument_spec=ARGUMENTS)[1]
        certificate = certify(options, task_vars or {}, datetime.datetime.now(datetime.UTC))
        path = write(certificate, Path(options["dest"]))
        for text, status in summary.render(certificate, str(path), display.columns):
            display.display(text, color=COLOURS.get(status or ""))
        return {
            "changed": False,
            "failed": certificate.verdict != "pass",
            "msg": f"Verdict: {certificate.verdict}. {certificate.headline}.",
            "verdict": certificate.verdict,
            "counts": certificate.counts,
            "lines": certificate.lines,
            "path": str(path),
        }


def certify(options: Mapping[str, Any], task_vars: Mapping[str, Any], now: datetime.datetime) -> Certificate:
    """The certificate of what the hosts' variables hold."""
    inventory_hosts = [str(host) for host in task_vars["groups"]["all"]]
    unknown = [host for host in options["hosts"] if host not in inventory_hosts]
    if unknown:
        raise AnsibleActionFail(f"hosts names {', '.join(unknown)}, not in the inventory: {', '.join(inventory_hosts)}")
    accepted, problems = waivers.parse(options["waivers"], inventory_hosts)
    if problems:
        raise AnsibleActionFail("The waivers can't be used.\n" + "\n".join(problems))
    hosts = [
        Host.of(name, task_vars["hostvars"][name], reachable=name not in options["unreachable"])
        for name in options["hosts"]
    ]
    inventory_tiers = tiers_of(group for group, members in task_vars["groups"].items() if members)
    controls, notes = waivers.apply(accepted, assemble(hosts, options["level"], inventory_tiers), now.date())
    return Certificate(
        collection="airworthy.stack",
        version=collection_version(COLLECTION),
        inventory=plain(options["inventory"]),
        generated=now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        level=options["level"],
        hosts=[host.name for host in hosts],
        controls=controls,
        notes=notes,
    )


def write(certificate: Certificate, directory: Path) -> Path:
    """Write the four forms, each whole or not at all, and return the page's path."""
    directory.mkdir(parents=True, exist_ok=True)
    replace(directory / "certificate.json", json.dumps(certificate.to_dict(), indent=2, ensure_ascii=False) + "\n")
    replace(directory / "certificate.xml", junit.render(certificate))
    replace(directory / "certificate.prom", exposition.render(certificate))
    replace(directory / "certificate.html", page.render(certificate))
    return directory.absolute() / "certificate.html"


def replace(path: Path, content: str) -> None:
    """Write a file so that a reader sees the old one or the new one."""
    descriptor, new = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(content)
        os.chmod(new, 0o644)
        os.replace(new, path)
    except BaseException:
        os.unlink(new)
        raise


def collection_version(root: Path) -> str:
    """The version of an installed collection (MANIFEST.json) or of a checkout (galaxy.yml)."""
    manifest = root / "MANIFEST.json"
    if manifest.exists():
        return str(json.loads(manifest.read_text(encoding="utf-8"))["collection_info"]["version"])
    return str(yaml.safe_load((root / "galaxy.yml").read_text(encoding="utf-8"))["version"])
