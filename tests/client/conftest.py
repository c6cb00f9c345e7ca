"""A client with a server of its own, on the home of the test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from appserver.client import AsyncAppServer, Subprocess, TokenRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from appserver.testing import FakeBackend

    Connect = Callable[..., AsyncAppServer]


@pytest.fixture
def provider(backend: FakeBackend) -> Callable[[TokenRequest], str]:
    """What gives the client tokens that are good at the backend."""
    return lambda request: backend.grant().access_token


@pytest.fixture
def connect(home: Path, backend: FakeBackend, provider: Callable[[TokenRequest], str]) -> Connect:
    """Make a client that is signed in with tokens: `async with connect(restart=...) as server`."""

    def make(**arguments: Any) -> AsyncAppServer:  # noqa: ANN401 - those of the client
        start = Subprocess(home=home, env=backend.environ(home))
        return AsyncAppServer(start, **{"token_provider": provider, **arguments})

    return make


@pytest.fixture
async def client(connect: Connect) -> AsyncIterator[AsyncAppServer]:
    """A client that is signed in."""
    async with connect() as server:
        yield server
