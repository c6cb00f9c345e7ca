"""Two nodes as processes on one PostgreSQL: a round of each scene of the storm."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.gateway.storm import SCENES, Nodes, two_nodes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from appserver.testing import FakeBackend

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")]


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
async def test_two_nodes_lose_nothing_when_they_are(
    scene: Callable[[Nodes], Awaitable[None]], backend: FakeBackend, home: Path, empty_postgres: str
) -> None:
    async with two_nodes(backend, home, empty_postgres) as nodes:
        await scene(nodes)
