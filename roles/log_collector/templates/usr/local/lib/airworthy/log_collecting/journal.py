# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the collector says of itself."""

from __future__ import annotations

import sys


def tell(said: str) -> None:
    """A warning."""
    print(f"<4>{said}", file=sys.stderr, flush=True)
