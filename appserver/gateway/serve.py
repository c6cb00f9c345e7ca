"""The life of the gateway's process: a listening socket, the HTTP server on it, and an end in order."""

from __future__ import annotations

import socket
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio
import uvicorn

from appserver.errors import ConfigError
from appserver.gateway.app import application
from appserver.gateway.gateway import Gateway
from appserver.memory import collect_as_usual
from appserver.signals import ending_signals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from appserver.gateway.environment import Environment
    from appserver.settings import Settings

BACKLOG = 2048
"""Connections that wait to be accepted: a burst is served, not refused."""

IDLE_SECONDS = 75
"""What a kept connection may be idle: longer than balancers keep theirs (60), so that they end it and not we."""

CLOSE_SECONDS = 1
"""What connections get to close once no request runs."""


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises ConfigError."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as exc:
        raise ConfigError(f"{host}:{port} cannot be listened on: {exc.strerror}") from None
    listener.setblocking(False)
    return listener


async def serve(
    settings: Settings, environment: Environment, listener: socket.socket, on_ready: Callable[[], None]
) -> int:
    """Serve until a signal asks for the end; return 128 plus its number. Raises ConfigError.

    `on_ready` is called once.
    """
    gateway = Gateway(settings, environment)
    server = _HttpServer(gateway)
    exit_code = 0
    async with anyio.create_task_group() as group:

        async def heed_signals() -> None:
            nonlocal exit_code
            with anyio.open_signal_receiver(*ending_signals()) as received:
                async for number in received:
                    exit_code = 128 + int(number)
                    group.start_soon(end)

        async def end() -> None:
            await gateway.drain()
            server.should_exit = True

        if sys.platform != "win32":
            group.start_soon(heed_signals)
        group.start_soon(collect_as_usual)
        async with gateway.server.running():
            server.on_started = on_ready
            await server.serve([listener])
        group.cancel_scope.cancel()
    return exit_code


class _HttpServer(uvicorn.Server):
    """uvicorn, with the signals left to us: it would refuse connections at once, and they get a 503."""

    def __init__(self, gateway: Gateway) -> None:
        self.on_started: Callable[[], None] = lambda: None
        super().__init__(
            uvicorn.Config(
                application(gateway),
                http="httptools",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=IDLE_SECONDS,
                timeout_graceful_shutdown=CLOSE_SECONDS,
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.on_started()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
