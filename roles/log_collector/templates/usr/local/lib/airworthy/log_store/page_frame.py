# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What our pages have in common. Each stands for itself: no script, nothing from elsewhere."""

from __future__ import annotations

from html import escape

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
  a { color: inherit; margin-right: 1rem; } .good { color: var(--good); }
"""


def framed(title: str, body: str) -> str:
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{safe(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{safe(title)}</h1>
{body}
</body>
</html>
"""


def safe(text: str) -> str:
    return escape(printable(text))
