"""Helpers for tests of account methods: logins that are stored already, and what was said in which order."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import anyio.to_thread

if TYPE_CHECKING:
    from pathlib import Path

    from appserver.testing import Grant
    from tests.peer import Peer

BROWSE_SECONDS = 10.0
"""What one request of the test's browser may take."""


def store_login(home: Path, grant: Grant, account: str = "org-1") -> None:
    """Put a managed login into a home as another program would."""
    tokens = {**grant.as_dict(), "account_id": account}
    write_auth(home, {"auth_mode": "chatgpt", "OPENAI_API_KEY": None, "tokens": tokens, "last_refresh": "2026-01-01"})


def write_auth(home: Path, document: object) -> None:
    """Replace auth.json in one step."""
    temporary = home / "auth.json.other"
    temporary.write_text(json.dumps(document))
    temporary.chmod(0o600)
    temporary.replace(home / "auth.json")


def stored(home: Path) -> Any:  # noqa: ANN401 - whatever stands in the file
    """Read auth.json; None if there is none."""
    path = home / "auth.json"
    return json.loads(path.read_bytes()) if path.exists() else None


def said(peer: Peer, start: int = 0) -> list[str]:
    """What the server said from message number `start` on: methods, and "result" or "error" for answers."""
    return [
        message.get("method") or ("result" if "result" in message else "error") for message in peer.messages[start:]
    ]


async def browse(url: str) -> tuple[int, str]:
    """Open a URL as a browser does, through its redirects, and return the last page's status and text."""
    return await anyio.to_thread.run_sync(_browse, url)


def _browse(url: str) -> tuple[int, str]:
    while True:
        parts = urlsplit(url)
        connection = http.client.HTTPConnection("127.0.0.1", parts.port, timeout=BROWSE_SECONDS)
        try:
            connection.request("GET", f"{parts.path}?{parts.query}")
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        if response.status != 302:
            return response.status, text
        url = response.headers["location"]
