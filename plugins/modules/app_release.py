#!/usr/bin/python
# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: app_release
short_description: Brings a release of an application into service as a transaction
version_added: "0.1.0"
author: the airworthy.stack maintainers (@airworthy)
description:
  - Ships a source tree, builds it beside what is running, switches a symbolic link to it and restarts the instances
    one after another, each waited for by its health URL.
  - A step that fails leaves the old release serving. An instance that does not become healthy, or a check that fails
    afterwards, brings the previous release back. Either fails the task.
  - The name of a release is a hash of its sources, steps, checks and build inputs, so that a run that finds it in
    service does nothing. Instances that do not run it, or started before the files of their environment changed,
    are restarted. All of this is read off the server, so that a run that was killed is completed by the next one.
attributes:
  action:
    support: full
    description: The sources are hashed and packed on the controller.
  check_mode:
    support: full
    description: Says what would be done; needs neither the user nor Node.js on the server.
  diff_mode:
    support: full
    description: Shows the release in service before and after.
options:
  src:
    description:
      - Directory on the controller with the sources.
      - C(node_modules), C(.git), C(dist), C(.next), C(.env) and C(.env.*) at its top are never shipped;
        C(.env.example) is.
    type: path
  release:
    description:
      - A release that is on the server already, instead of O(src). V(previous) is the one that served before.
    type: str
  build_inputs:
    description: Public values that the build bakes in, such as C(NEXT_PUBLIC_APP_URL); a change makes a new release.
    type: dict
    default: {}
  dest:
    description: Directory of the application.
    type: path
    default: /opt/app
  name:
    description:
      - Name of the template unit without its C(@). Its instances that are not listed are stopped and disabled.
    type: str
    default: app
  instances:
    description: The instances, in the order in which they are restarted.
    type: list
    elements: dict
    required: true
    suboptions:
      unit:
        description: Name of the unit, such as C(app@3000.service).
        type: str
        required: true
      health_url:
        description: URL that answers 200 when the instance is healthy.
        type: str
        required: true
  user:
    description: System user who runs the steps. One that is missing is made with C(systemd-sysusers).
    type: str
    default: app
  environment_file:
    description: File with the environment, as in systemd's C(EnvironmentFile). Secrets in it are never shown.
    type: path
  restart_on:
    description: Further files that an instance reads when it starts.
    type: list
    elements: path
    default: []
  steps:
    description:
      - What makes a release of the sources. Each runs in the new release's directory as O(user), in a sandbox that
        can write to that directory and to a cache only.
    type: list
    elements: dict
    default: []
    suboptions: &step
      name:
        description: Name in the release's record.
        type: str
        required: true
      command:
        description: Command with its arguments. There is no shell.
        type: str
        required: true
      environment:
        description: Whether it gets the variables of O(environment_file).
        type: bool
        default: true
  checks:
    description: What must succeed when the release is in service; otherwise the previous one comes back.
    type: list
    elements: dict
    default: []
    suboptions: *step
  keep:
    description: Releases that are kept, the one in service included.
    type: int
    default: 5
  health_timeout:
    description: Seconds that an instance has to become healthy.
    type: int
    default: 30
  step_timeout:
    description: Seconds that a step may take.
    type: int
    default: 900
  archive:
    description: The packed sources on the server. The action sets it.
    type: path
"""

EXAMPLES = r"""
- name: This version of the application serves
  airworthy.stack.app_release:
    src: ../app
    environment_file: /etc/app/environment
    instances:
      - {unit: app@3000.service, health_url: "http://127.0.0.1:3000/healthz"}
      - {unit: app@3001.service, health_url: "http://127.0.0.1:3001/healthz"}
    steps:
      - {name: install, command: npm ci, environment: false}
      - {name: build, command: npm run build}
      - {name: migrate, command: npm run db:migrate}
    checks:
      - {name: smoke-test, command: npm run smoke-test}

- name: The version before it serves
  airworthy.stack.app_release:
    release: previous
    environment_file: /etc/app/environment
    instances:
      - {unit: app@3000.service, health_url: "http://127.0.0.1:3000/healthz"}
"""

RETURN = r"""
release:
  description: The release that serves, or would serve in check mode.
  returned: success
  type: str
  sample: 4c1d09a7b2e6
previous:
  description: The release that served before the run.
  returned: success
  type: str
  sample: 90ab5c2d7f31
actions:
  description: What was done, or would be done in check mode, in order.
  returned: always
  type: list
  elements: str
  sample: [build 4c1d09a7b2e6, switch to 4c1d09a7b2e6, restart app@3000.service, check 4c1d09a7b2e6]
steps:
  description: The steps that ran, with exit status and duration.
  returned: success
  type: list
  elements: dict
  sample: [{"name": "install", "command": "npm ci", "rc": 0, "seconds": 9.1, "started": "2026-01-31T10:00:00Z"}]
needs_archive:
  description: Whether the sources have to be shipped first. The action acts on it.
  returned: success
  type: bool
  sample: false
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.airworthy.stack.plugins.module_utils.release_deploy import DeployError, Deployment
from ansible_collections.airworthy.stack.plugins.module_utils.release_plan import Wish

STEP = {
    "name": {"type": "str", "required": True},
    "command": {"type": "str", "required": True},
    "environment": {"type": "bool", "default": True},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "src": {"type": "path"},
            "release": {"type": "str"},
            "build_inputs": {"type": "dict", "default": {}},
            "dest": {"type": "path", "default": "/opt/app"},
            "name": {"type": "str", "default": "app"},
            "instances": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "unit": {"type": "str", "required": True},
                    "health_url": {"type": "str", "required": True},
                },
            },
            "user": {"type": "str", "default": "app"},
            "environment_file": {"type": "path"},
            "restart_on": {"type": "list", "elements": "path", "default": []},
            "steps": {"type": "list", "elements": "dict", "default": [], "options": STEP},
            "checks": {"type": "list", "elements": "dict", "default": [], "options": STEP},
            "keep": {"type": "int", "default": 5},
            "health_timeout": {"type": "int", "default": 30},
            "step_timeout": {"type": "int", "default": 900},
            "archive": {"type": "path"},
        },
        supports_check_mode=True,
    )
    deployment = Deployment(module, Wish.from_params(module.params))
    try:
        result = deployment.predict() if module.check_mode else deployment.converge()
    except DeployError as error:
        module.fail_json(msg=str(error), actions=deployment.actions)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
