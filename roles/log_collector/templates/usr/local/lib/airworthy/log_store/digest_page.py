# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The digest as a page."""

from __future__ import annotations

from digest import Digest, Kind
from page_frame import framed, safe


def page(digest: Digest) -> str:
    title = f"What went wrong from {digest.period.since[:16]} until {digest.period.until[:16]} (UTC)"
    body = "\n".join(_item(kind) for kind in digest.kinds)
    others = f"<li><h2><b>{digest.others}</b>of other kinds</h2></li>" if digest.others else ""
    return framed(title, f"<ol>\n{body}\n{others}</ol>" if digest.kinds else '<p class="good">No errors.</p>')


def _item(kind: Kind) -> str:
    times = kind.first[:19] if kind.count == 1 else f"{kind.first[:19]} to {kind.last[:19]}"
    request = f"<p><small>request {safe(kind.request_id)}</small></p>" if kind.request_id else ""
    return (
        f"<li><h2><b>{kind.count}</b>{safe(kind.program)}: {safe(kind.text)}</h2>"
        f"<p><small>{safe(', '.join(sorted(kind.hosts)))}, {times}</small></p>"
        f"<p><code>{safe(kind.example)}</code></p>{request}</li>"
    )
