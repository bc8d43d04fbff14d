# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The action plugin of this name does the work, on the controller; this is its documentation.

from __future__ import annotations

DOCUMENTATION = r"""
module: log_audit
short_description: Examines whether personal data of requests gets into the logs of a web server
version_added: "0.1.0"
author: the airworthy.stack maintainers (@airworthy)
description:
  - Proves the control C(data.pii), at level V(deep). Requests from the controller carry marked e-mail addresses,
    passwords and tokens, in query strings, bodies, cookies, C(Authorization) and C(Referer). They are served, refused
    and failed in each way that makes a web server write.
  - Then all logs of the host of the task, which is that of the server, are searched, files and journal alike. The
    requests themselves have to be in O(access_log), and nothing that was marked in any log.
  - The path of a request is logged. What an application puts there is not examined.
extends_documentation_fragment:
  - airworthy.stack.edge
  - airworthy.stack.edge.limits
options:
  page:
    description: A page that everybody may see.
    type: str
    default: /
  api:
    description: An address of the API, whatever it answers to a stranger. Empty to leave it out.
    type: str
    default: ""
  sign_in:
    description: Where the application takes a sign-in as JSON. Attempts that are wrong are sent. Empty to leave it out.
    type: str
    default: ""
  auth_requests:
    description: Attempts to sign in that a client has; one more is sent.
    type: int
    default: 10
  canary:
    description: Where an application behind the server fails; at C(/silent) below, it hangs up.
    type: str
    required: true
  waf_mode:
    description: Whether a web application firewall refuses attacks.
    type: str
    choices: ["off", detect, block]
    default: "off"
  max_body_mb:
    description: The largest request body that is accepted, in MiB. A larger one is announced, but not sent.
    type: int
    default: 10
  access_log:
    description: Where the server logs every request.
    type: path
    default: /var/log/nginx/access.log
"""

EXAMPLES = r"""
- name: Nothing personal gets into the logs
  airworthy.stack.log_audit:
    domain: app.example.org
    address: 203.0.113.10
    canary: /.well-known/airworthy/canary
    api: /api/me
    sign_in: /api/auth/sign-in
  register: __nginx_log_controls
"""

RETURN = r"""
controls:
  description: The control C(data.pii), as described in docs/certificate.md.
  returned: always
  type: list
  elements: dict
"""
