# Copyright (c) the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the argument specs of modules that have a host log something have in common."""

from __future__ import annotations

from typing import Any

COLLECTOR_SPEC: dict[str, Any] = {
    "type": "dict",
    "required": True,
    "options": {
        "address": {"type": "str", "required": True},
        "port": {"type": "int", "required": True},
        "name": {"type": "str", "required": True},
    },
}
