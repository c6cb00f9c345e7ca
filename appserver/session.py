"""The client of a connection: set by the handshake, read where requests are sent in the client's name."""

from __future__ import annotations

import os
import sys

from appserver import __version__

DEFAULT_ORIGINATOR = "appserver"

PROTOCOL_VERSION = "0.163.0"
"""The version of the reference whose protocol this is. Clients read it from the user agent and gate features on it."""


class Session:
    """The client of this connection. Until the handshake it has no name."""

    def __init__(self) -> None:
        self.initialized = False
        self.originator = DEFAULT_ORIGINATOR
        self.user_agent = _user_agent(DEFAULT_ORIGINATOR, "")
        self.client_version = ""
        self.opted_out: frozenset[str] = frozenset()

    def begin(self, name: str, version: str, opted_out: frozenset[str]) -> None:
        """Take the client's name, version, and the notifications that it does not want."""
        self.initialized = True
        self.originator = _header_safe(name) or DEFAULT_ORIGINATOR
        self.client_version = _header_safe(version)
        self.user_agent = _user_agent(self.originator, f" ({self.originator}; {self.client_version})")
        self.opted_out = opted_out


def platform_family() -> str:
    """Return "unix" or "windows", as the reference names them."""
    return "windows" if sys.platform == "win32" else "unix"


def platform_os() -> str:
    """Return "linux", "macos", "windows", or the platform's own name."""
    return {"darwin": "macos", "win32": "windows"}.get(sys.platform, sys.platform)


def _user_agent(originator: str, suffix: str) -> str:
    machine = os.uname().machine if hasattr(os, "uname") else "unknown"
    return f"{originator}/{PROTOCOL_VERSION} ({platform_os()}; {machine}) appserverd/{__version__}{suffix}"


def _header_safe(text: str) -> str:
    """Replace what may not stand in an HTTP header field (RFC 9110, section 5.5): it comes from the client."""
    return "".join(one if " " <= one <= "~" else "_" for one in text).strip()
