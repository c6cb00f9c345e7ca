"""The page that the browser ends on: no script, no credential, nothing kept, no referrer, and nothing loaded."""

from __future__ import annotations

import base64
import hashlib
import html
from enum import Enum
from typing import Final

_STYLE: Final = """
:root { color-scheme: light dark; --page: #f4f5f7; --card: #fff; --text: #1c1e21; --quiet: #5b616a; --edge: #dfe2e6;
  --done: #15803d; --failed: #b91c1c; --expired: #a16207 }
@media (prefers-color-scheme: dark) { :root { --page: #16181b; --card: #212429; --text: #eceef1; --quiet: #a5abb4;
  --edge: #363b42; --done: #4ade80; --failed: #f87171; --expired: #facc15 } }
* { box-sizing: border-box }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1rem; background: var(--page);
  color: var(--text); font: 1.0625rem/1.55 system-ui, sans-serif }
main { width: 100%; max-width: 30rem; padding: 2.5rem 2rem; text-align: center; background: var(--card);
  border: 1px solid var(--edge); border-radius: 1rem }
svg { width: 3.5rem; height: 3.5rem; fill: none; stroke: currentColor; stroke-width: 2; stroke-linecap: round;
  stroke-linejoin: round }
.done svg { color: var(--done) }
.failed svg { color: var(--failed) }
.expired svg { color: var(--expired) }
h1 { margin: .75rem 0 .5rem; font-size: 1.5rem; line-height: 1.25 }
p { margin: .5rem 0 0; overflow-wrap: anywhere; text-wrap: balance }
p + p { color: var(--quiet) }
"""
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

HEADERS: Final = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",  # the page's own URL holds the code
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"  # what default-src says nothing of
    ),
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Connection": "close",
}


class Look(Enum):
    """What a page shows at a glance: the drawing above its title."""

    DONE = '<path d="M8 12.5l2.7 2.7L16 9.5"/>'
    FAILED = '<path d="M9 9l6 6M15 9l-6 6"/>'
    EXPIRED = '<path d="M12 7v5l3 2"/>'


AGAIN: Final = "Go back to the application to sign in again."

_PAGE: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
<main class="{name}"><svg viewBox="0 0 24 24" aria-hidden="true"><circle cx="12" cy="12" r="10"/>{drawing}</svg>
<h1>{title}</h1>{paragraphs}</main></html>
"""


def page(look: Look, title: str, *paragraphs: str) -> bytes:
    """Return the page with this title and these paragraphs, which may hold anything."""
    filled = _PAGE.format(
        style=_STYLE,
        name=look.name.lower(),
        drawing=look.value,
        title=html.escape(title),
        paragraphs="".join(f"<p>{_shown(text)}</p>" for text in paragraphs),
    )
    return filled.encode("utf-8", "replace")


def _shown(text: str) -> str:
    """Return a text as a sentence: messages of errors, and what an issuer says, end in a full stop or do not."""
    sentence = text if text.endswith((".", "!", "?")) else f"{text}."
    return html.escape(sentence).replace("sign-in", "sign&#8209;in")  # in one line
