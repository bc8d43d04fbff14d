#!/usr/bin/python
# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: alert_wait
short_description: Waits until a receiver was told of an alert
version_added: "0.1.0"
author: the airworthy.stack maintainers (@airworthy)
description:
  - Runs on a server that carries Alertmanager, and reads the history of alerts that the role
    P(airworthy.stack.monitoring#role) keeps in the journal (C(airworthy-alert-history.service)).
  - That nobody was told in time is no failure, but what it returns.
extends_documentation_fragment: [airworthy.stack.attributes.reads_only]
options:
  alert:
    description: The name of the alert.
    type: str
    required: true
  instance:
    description: The host that it is about.
    type: str
    required: true
  since:
    description: Seconds since the epoch, by the clock of that server, from which the history counts.
    type: float
    required: true
  timeout:
    description: Seconds to wait, from O(since) on.
    type: int
    default: 300
"""

EXAMPLES = r"""
- name: Somebody is told that the disk is full
  airworthy.stack.alert_wait:
    alert: DiskSpaceLow
    instance: db1
    since: 1764249600
"""

RETURN = r"""
seconds:
  description: Seconds from O(since) until the receiver was told; null if it was not.
  returned: always
  type: float
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.airworthy.stack.plugins.module_utils.alert_history import PAUSE, first, history
from ansible_collections.airworthy.stack.plugins.module_utils.waiting import wait_for


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "alert": {"type": "str", "required": True},
            "instance": {"type": "str", "required": True},
            "since": {"type": "float", "required": True},
            "timeout": {"type": "int", "default": 300},
        },
        supports_check_mode=True,
    )
    wanted, since = module.params, module.params["since"]
    patience = since + wanted["timeout"] - time.time()
    told = wait_for(
        lambda: first(history(since, module.run_command), wanted["alert"], wanted["instance"], "firing"),
        patience,
        pause=PAUSE,
    )
    module.exit_json(changed=False, seconds=round(told.at - since, 1) if told else None)


if __name__ == "__main__":
    main()
