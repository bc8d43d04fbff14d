# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules that ask Prometheus have in common."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  hostname:
    description: The name for which the certificate must be valid.
    type: str
    required: true
  address:
    description: Where Prometheus is reached.
    type: str
    default: 127.0.0.1
  prometheus_port:
    description: The port of Prometheus.
    type: int
    default: 9090
  ca_file:
    description: The CA that issued the certificate, on the server.
    type: path
    required: true
  user:
    description: The user who may ask.
    type: str
    required: true
  password:
    description: The password of O(user).
    type: str
    required: true
  interval:
    description: Seconds between two scrapes.
    type: int
    default: 15
  timeout:
    description: Seconds to wait for an answer.
    type: int
    default: 10
"""
