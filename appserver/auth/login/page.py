"""The page that the browser ends on: no script, no credential, nothing kept, no referrer, and nothing loaded."""

from __future__ import annotations

import base64
import hashlib
import html
from typing import Final

_STYLE: Final = (
    ":root { color-scheme: light dark } body { font: 1.1rem/1.5 system-ui, sans-serif; "
    "max-width: 34rem; margin: 20vh auto 0; padding: 0 1rem }"
)
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
_PAGE: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>{style}</style>
<h1>{title}</h1><p>{text}</p></html>
"""


def page(title: str, text: str) -> bytes:
    """Return the page with this title and text, which may hold anything."""
    filled = _PAGE.format(style=_STYLE, title=html.escape(title), text=html.escape(text))
    return filled.encode("utf-8", "replace")
