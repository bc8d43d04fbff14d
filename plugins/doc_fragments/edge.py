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
  probe_key:
    description:
      - The secret with which a request chooses the client that it is counted for, and gets in where only the edge's own
        proxies are served. Without it, the audit is a client like any other.
    type: str
    default: ""
attributes:
  check_mode:
    support: full
    description: Asks like any client, and changes nothing.
  diff_mode:
    support: none
    description: Changes nothing.
"""

    PAGES = r"""
options:
  page:
    description: A page that everybody may see.
    type: str
    default: /
  static:
    description:
      - A static file. By default the first one below O(static_prefixes) that O(page) refers to; there must be one.
    type: str
    default: ""
  static_prefixes:
    description: Below these paths the page's static files are found. An empty list leaves static files out.
    type: list
    elements: str
    default: [/static/, /_next/static/]
"""

    LIMITS = r"""
options:
  limited:
    description: Where the rate of a client is limited.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Everything below it counts.
        type: str
        required: true
      burst:
        description: Requests that a client may send at once.
        type: int
        required: true
      probe_method:
        description: A method that is served there.
        type: str
        default: GET
"""
