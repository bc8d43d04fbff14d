# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the modules that examine an edge from outside have in common."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  domain:
    description: The name that users type. It is asked for in TLS and in C(Host), and the certificate must be for it.
    type: str
    required: true
  address:
    description: Connect here instead of resolving O(domain).
    type: str
  port:
    description: The port of HTTPS.
    type: int
    default: 443
  http_port:
    description: The port of plain HTTP.
    type: int
    default: 80
  ca_file:
    description: The only CA that is trusted, where the module runs. By default those of the system.
    type: path
  timeout:
    description: Seconds to wait for the edge at each step.
    type: int
    default: 10
attributes:
  check_mode:
    support: full
    description: Asks like any client, and changes nothing.
  diff_mode:
    support: none
    description: Changes nothing.
"""
