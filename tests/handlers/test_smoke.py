from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from appserver.testing import FakeBackend
    from tests.conftest import ServerFactory

pytestmark = pytest.mark.anyio


async def test_a_turn_streams_in_memory(server: ServerFactory, backend: FakeBackend) -> None:
    async with server() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        turn = await peer.turn(await peer.start_thread())
        assert turn["status"] == "completed", turn


async def test_a_turn_streams_over_pipes(process: ServerFactory, backend: FakeBackend) -> None:
    async with process() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        turn = await peer.turn(await peer.start_thread())
        assert turn["status"] == "completed", turn
