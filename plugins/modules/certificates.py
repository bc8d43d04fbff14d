# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# The work is done on the controller, by plugins/action/certificates.py.

from __future__ import annotations

DOCUMENTATION = r"""
module: certificates
short_description: The internal CA and the certificates that it issues to a host
version_added: "0.1.0"
author: the airworthy.stack maintainers (@airworthy)
description:
  - Keeps a CA on the controller, and issues certificates to the host for which the task runs. All of it happens on the
    controller; the host is not contacted. A role delivers the files.
  - A certificate is issued anew before it expires, when its names differ, when the CA changed, and when the key is not
    its own.
  - Certificates that a user brought are examined and left where they are. One that is expired, not yet valid, of
    another key, or not for the wanted names is an error.
  - A CA that would expire before what it issues gets a successor with the same key, which verifies all that it issued.
options:
  directory:
    description: Where the CA and the certificates are kept, on the controller. Keys have mode 0600.
    type: path
    required: true
  common_name:
    description: Name of the CA when it is made.
    type: str
    default: airworthy CA
  renew_before_days:
    description: Issue anew when fewer days are left.
    type: int
    default: 30
  certificates:
    description: Certificates of the host.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: What it is called in the result, and its file.
        type: str
        required: true
      names:
        description: DNS names that it must cover. IP addresses are understood as well.
        type: list
        elements: str
        default: []
      addresses:
        description: IP addresses that it must cover.
        type: list
        elements: str
        default: []
      days:
        description: For how long it is issued; browsers accept no more than 398 days.
        type: int
        default: 397
      certificate_file:
        description: A certificate that you bring, on the controller, in PEM format with its chain. None is issued then.
        type: path
      private_key_file:
        description: The key of O(certificates[].certificate_file), on the controller.
        type: path
requirements: [cryptography]
attributes:
  action:
    support: full
    description: Runs on the controller only.
  check_mode:
    support: full
    description: Writes nothing and says what would be issued; the files of a new certificate do not exist then.
  diff_mode:
    support: full
    description: Says what was issued, and why.
"""

EXAMPLES = r"""
- name: The server has a certificate from the internal CA
  airworthy.stack.certificates:
    directory: "{{ airworthy_secrets_dir }}/pki"
    certificates:
      - name: server
        names: ["{{ inventory_hostname }}", localhost]
        addresses: [192.0.2.10, 127.0.0.1]
  register: __tls_certificates
"""

RETURN = r"""
ca:
  description: Path of the CA's certificate on the controller.
  returned: success
  type: str
  sample: /srv/inventory/secrets/pki/ca.crt
certificates:
  description: What the host has, by name.
  returned: success
  type: dict
  contains:
    certificate:
      description: Path on the controller; the certificate and its chain, without the root.
      type: str
      returned: success
    private_key:
      description: Path on the controller.
      type: str
      returned: success
    not_after:
      description: When it expires.
      type: str
      returned: success
      sample: "2027-12-25T09:00:00+00:00"
    changed:
      description: Whether it was issued now.
      type: bool
      returned: success
    reason:
      description: Why it was issued.
      type: str
      returned: success
      sample: it expires on 2027-12-25
    has_responder:
      description: Whether it names an OCSP responder; the internal CA has none.
      type: bool
      returned: success
"""
