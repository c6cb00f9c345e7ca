"""The page that the browser ends on: no script, no credential, nothing kept, and no referrer."""

from __future__ import annotations

import html
from typing import Final

HEADERS: Final = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",  # the page's own URL holds the code
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
    "Connection": "close",
}
_PAGE: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>:root {{ color-scheme: light dark }} body {{ font: 1.1rem/1.5 system-ui, sans-serif; \
max-width: 34rem; margin: 20vh auto 0; padding: 0 1rem }}</style>
<h1>{title}</h1><p>{text}</p></html>
"""


def page(title: str, text: str) -> bytes:
    """Return the page with this title and text, which may hold anything."""
    return _PAGE.format(title=html.escape(title), text=html.escape(text)).encode("utf-8", "replace")
