from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.gateway.rig import Running, running_gateway

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from appserver.testing import FakeBackend


@pytest.fixture
async def api(backend: FakeBackend, home: Path) -> AsyncIterator[Running]:
    """A gateway whose user has an API key of the platform: no parameter is dropped."""
    (home / "auth.json").write_text('{"auth_mode": "apikey", "OPENAI_API_KEY": "sk-of-the-platform"}')
    (home / "auth.json").chmod(0o600)
    async with running_gateway(backend, home) as running:
        yield running


@pytest.fixture
async def chatgpt(backend: FakeBackend, home: Path) -> AsyncIterator[Running]:
    """A gateway whose user is signed in to ChatGPT."""
    async with running_gateway(backend, home, backend.grant()) as running:
        yield running
