"""The methods behave the same whatever a client connects over, so many of these tests run over each transport."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from appserver.settings import load_settings
from tests.transports import TRANSPORTS, served

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from appserver.testing import FakeBackend
    from tests.conftest import ServerFactory
    from tests.peer import Peer


OVER_EACH = (
    # What a client sends and is sent. Elsewhere the subject lies behind the methods, and the tests wait for locks and
    # backends: to wait again for each transport would show nothing more.
    "test_account_login",
    "test_account_logout",
    "test_account_read",
    "test_smoke",
    "test_thread_history",
    "test_thread_life",
    "test_thread_list",
    "test_thread_settings",
    "test_turn_interrupt",
    "test_turn_start",
    "test_turn_steer",
    "test_turn_tools",
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "transport" in metafunc.fixturenames:
        is_over_each = metafunc.module.__name__.rpartition(".")[2] in OVER_EACH
        metafunc.parametrize("transport", TRANSPORTS if is_over_each else TRANSPORTS[:1])


@pytest.fixture
def server(home: Path, backend: FakeBackend, transport: str) -> ServerFactory:
    """Start a server in this process: `async with server("key=value") as peer`."""

    def start(*overrides: str, initialize: bool = True) -> AbstractAsyncContextManager[Peer]:
        return served(load_settings(backend.environ(home), overrides), transport, initialize=initialize)

    return start
