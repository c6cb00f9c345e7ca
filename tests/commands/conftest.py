"""The command line against the fake backend, signed in or not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.commands.running import CommandLine

if TYPE_CHECKING:
    from pathlib import Path

    from appserver.testing import FakeBackend

NOT_INHERITED = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "APPSERVER_LOG", "CODEX_CA_CERTIFICATE", "SSL_CERT_FILE")
"""Variables of the developer's machine that change what commands do. So do those of proxies."""


@pytest.fixture
def appserver(home: Path, backend: FakeBackend) -> CommandLine:
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in NOT_INHERITED and not name.upper().endswith("_PROXY")
    }
    return CommandLine(home, {**inherited, **backend.environ(home)})


@pytest.fixture
async def signed_in(appserver: CommandLine) -> CommandLine:
    """The command line, with a ChatGPT login on its home."""
    assert (await appserver("login", "--device-auth")).code == 0
    return appserver
