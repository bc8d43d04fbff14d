# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the modules that have a host log something have in common."""

from __future__ import annotations


class ModuleDocFragment:
    COLLECTOR = r"""
options:
  collector:
    description: Where the logs of this host go.
    type: dict
    required: true
    suboptions:
      address:
        description: Address of the collector.
        type: str
        required: true
      port:
        description: Its port.
        type: int
        required: true
      name:
        description: The name in its certificate.
        type: str
        required: true
"""
