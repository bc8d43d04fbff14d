# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What Prometheus and Alertmanager say by their APIs, over TLS and with a password."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from ansible_collections.airworthy.stack.plugins.module_utils.web_client import Target, ask, basic_auth

# The argument spec of what the documentation fragment `prometheus` describes.
API_SPEC: dict[str, dict[str, Any]] = {
    "hostname": {"type": "str", "required": True},
    "address": {"type": "str", "default": "127.0.0.1"},
    "prometheus_port": {"type": "int", "default": 9090},
    "ca_file": {"type": "path", "required": True},
    "user": {"type": "str", "required": True},
    "password": {"type": "str", "required": True, "no_log": True},
    "interval": {"type": "int", "default": 15},
    "timeout": {"type": "int", "default": 10},
}


class Silent(Exception):
    """A service does not answer as it should; the text says which, and what it does instead."""


@dataclass(frozen=True)
class Sample:
    """One series of an answer, as it was last."""

    labels: Mapping[str, str]
    value: float

    def has(self, **labels: str) -> bool:
        return all(self.labels.get(name) == text for name, text in labels.items())


@dataclass(frozen=True)
class Api:
    """One of the two services."""

    target: Target
    user: str
    password: str

    @classmethod
    def of(cls, params: Mapping[str, Any], port: int) -> Api:
        """The service at a port of what a module's parameters name."""
        target = Target(params["hostname"], params["address"], port, port, params["ca_file"], params["timeout"])
        return cls(target, params["user"], params["password"])

    def get(self, path: str, **parameters: str) -> Any:
        """What stands in the answer; Prometheus wraps it in `data`, Alertmanager does not."""
        full = f"{path}?{urlencode(parameters)}" if parameters else path
        answer = ask(self.target, full, headers=basic_auth(self.user, self.password))
        if answer.status != 200:
            raise Silent(f"{self.target.url(path)}: {answer} {answer.body[:200].strip()}".strip())
        try:
            found = json.loads(answer.body)
        except json.JSONDecodeError as error:
            raise Silent(f"{self.target.url(path)}: no JSON ({error})") from error
        return found["data"] if isinstance(found, dict) and "data" in found else found

    def query(self, expression: str, **parameters: str) -> list[Sample]:
        found = self.get("/api/v1/query", query=expression, **parameters)
        if found["resultType"] != "vector":
            raise ValueError(f"{expression} is a {found['resultType']}, not a vector")
        return [Sample(series["metric"], float(series["value"][1])) for series in found["result"]]


def moment(text: str) -> float:
    """Seconds since the epoch of a time as both services write it, with up to nine decimals."""
    whole, dot, rest = text.replace("Z", "+00:00").partition(".")
    if dot:
        decimals = rest[: next((place for place, sign in enumerate(rest) if not sign.isdigit()), len(rest))]
        text = f"{whole}.{decimals[:6]:0<6}{rest[len(decimals):]}"
    else:
        text = whole
    return datetime.fromisoformat(text).timestamp()
