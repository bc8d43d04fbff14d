# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The digest as a page that stands for itself: no script, nothing from elsewhere."""

from __future__ import annotations

from html import escape

from digest import Digest, Kind
from display import printable

STYLE = """
  :root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 20%, transparent); --good: #1a7f37; }
  @media (prefers-color-scheme: dark) { :root { --good: #57ab5a; } }
  body { font: 15px/1.45 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 1.5rem; }
  h1 { font-size: 1.5rem; margin: 0 0 .25rem; }
  ol { list-style: none; padding: 0; }
  li { border-top: 1px solid var(--line); padding: .75rem 0; overflow-wrap: anywhere; }
  h2 { font-size: 1rem; margin: 0; } h2 b { margin-right: .5rem; font-variant-numeric: tabular-nums; }
  p { margin: .25rem 0; } code { font-size: .85rem; } small { opacity: .75; }
  .good { color: var(--good); }
"""


def page(digest: Digest) -> str:
    title = f"What went wrong from {digest.period.since[:16]} until {digest.period.until[:16]} (UTC)"
    body = "\n".join(_item(kind) for kind in digest.kinds)
    others = f"<li><h2><b>{digest.others}</b>of other kinds</h2></li>" if digest.others else ""
    found = f"<ol>\n{body}\n{others}</ol>" if digest.kinds else '<p class="good">No errors.</p>'
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{_safe(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{_safe(title)}</h1>
{found}
</body>
</html>
"""


def _item(kind: Kind) -> str:
    times = kind.first[:19] if kind.count == 1 else f"{kind.first[:19]} to {kind.last[:19]}"
    request = f"<p><small>request {_safe(kind.request_id)}</small></p>" if kind.request_id else ""
    return (
        f"<li><h2><b>{kind.count}</b>{_safe(kind.program)}: {_safe(kind.text)}</h2>"
        f"<p><small>{_safe(', '.join(sorted(kind.hosts)))}, {times}</small></p>"
        f"<p><code>{_safe(kind.example)}</code></p>{request}</li>"
    )


def _safe(text: str) -> str:
    return escape(printable(text))
