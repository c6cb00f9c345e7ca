"""Where the clients of other projects are installed, and the executable that they are given in place of the reference.

`.ci/clients` installs them below `.venv/`. A test of one that is missing is skipped, and says so.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

INSTALLED = Path(__file__).resolve().parents[2] / ".venv"

CODEX_ACP = INSTALLED / "codex-acp" / "node_modules" / "@agentclientprotocol" / "codex-acp" / "dist" / "index.js"
TYPESCRIPT = INSTALLED / "typescript" / "node_modules" / "typescript" / "bin" / "tsc"

CODEX_GATEWAY = (
    INSTALLED / "codex-gateway" / ("Scripts/codex-gateway.exe" if sys.platform == "win32" else "bin/codex-gateway")
)


def node() -> str:
    """Return the path of Node.js, or skip the test."""
    return shutil.which("node") or pytest.skip("Node.js is not installed (.ci/run installs it)")


def installed(client: Path) -> str:
    """Return the path of a client's program, or skip the test."""
    return str(client) if client.exists() else pytest.skip(f"{client.name} is not installed (.ci/run installs it)")


def executable(directory: Path, name: str = "codex") -> Path:
    """Write an executable file that starts this server with this Python, and return its path."""
    if sys.platform == "win32":
        launcher = directory / f"{name}.cmd"
        launcher.write_text(f'@"{sys.executable}" -m appserver %*\n')
    else:
        launcher = directory / name
        launcher.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m appserver "$@"\n')
        launcher.chmod(0o755)
    return launcher
