"""The life of the gateway's process: a listening socket, the HTTP server on it, and an end in order."""

from __future__ import annotations

import socket
import sys
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import TYPE_CHECKING

import anyio
import uvicorn

from appserver.errors import ConfigError
from appserver.gateway import jsonrpc
from appserver.gateway.app import application
from appserver.gateway.gateway import Gateway
from appserver.gateway.request_heads import BoundedHeads
from appserver.memory import collect_as_usual
from appserver.signals import ending_signals

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

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
    # Accepted sockets have it, too. asyncio sets it only where a socket's protocol is given, and without it the second
    # write of an answer waits 40 ms for the client's acknowledgement of the first.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.setblocking(False)
    return listener


async def serve(
    settings: Settings, environment: Environment, listener: socket.socket, on_ready: Callable[[], None]
) -> int:
    """Serve until a signal asks for the end; return 128 plus its number. Raises ConfigError.

    `on_ready` is called once.
    """
    stopping, exit_code = anyio.Event(), 0
    problem: ConfigError | None = None

    async def heed_signals() -> None:
        nonlocal exit_code
        with anyio.open_signal_receiver(*ending_signals()) as received:
            async for number in received:
                exit_code = 128 + int(number)
                stopping.set()

    async with anyio.create_task_group() as group:
        if sys.platform != "win32":  # there, SIGTERM ends a process without asking it
            group.start_soon(heed_signals)
        group.start_soon(collect_as_usual)
        try:
            async with Gateway.running(settings, environment) as gateway, serving(gateway, listener):
                on_ready()
                await stopping.wait()
        except ConfigError as exc:
            problem = exc  # raised out of the block, its task group would wrap it
        group.cancel_scope.cancel()
    if problem is not None:
        raise problem
    return exit_code


@asynccontextmanager
async def serving(gateway: Gateway, listener: socket.socket) -> AsyncIterator[None]:
    """Serve for the length of the block. Then running requests get their time, and others are turned away."""
    async with anyio.create_task_group() as group:
        group.start_soon(gateway.forwarding.run)
        group.start_soon(gateway.forwarded.run, partial(jsonrpc.respond, gateway))
        async with anyio.create_task_group() as clients:
            server = _HttpServer(gateway)
            clients.start_soon(server.serve, [listener])
            await server.started_event.wait()
            yield
            await gateway.drain()
            server.should_exit = True
        group.cancel_scope.cancel()


class _HttpServer(uvicorn.Server):
    """uvicorn, with the signals left to us: it would close the socket at once, and clients are to get a 503."""

    def __init__(self, gateway: Gateway) -> None:
        self.started_event = anyio.Event()
        super().__init__(
            uvicorn.Config(
                application(gateway),
                http=BoundedHeads,
                ws="websockets-sansio",
                ws_max_size=gateway.environment.max_body_bytes,
                ws_per_message_deflate=False,  # a small message could become a large one
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
        self.started_event.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
