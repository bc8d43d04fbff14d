# Copyright (c) the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Waiting for what others do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def wait_for(
    said: Callable[[], Any],
    seconds: float,
    *,
    pause: float,
    enough: Callable[[Any], Any] = bool,
    sleep: Callable[[float], None] | None = None,
) -> Any:
    """What is said as soon as that is enough, or when the time is over. It is asked at least once."""
    deadline = time.monotonic() + seconds
    while not enough(last := said()) and time.monotonic() < deadline:
        (sleep or time.sleep)(pause)
    return last
