"""The sockets of the HTTP stack: a network backend for httpcore on asyncio's transports.

Readers are woken in rounds, between which the event loop runs other tasks: however many responses stream, a client's
request waits for one round at most, and all bytes that arrive meanwhile are read together. httpcore's own backend
registers the socket, sets a timer and enters a cancel scope for each read, which costs more than the rest of a delta.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import anyio
import httpcore

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Iterator

READS_PER_ROUND = 32
"""Readers in one round: about two milliseconds of work."""

READ_AHEAD_BYTES = 256 * 1024
"""Unread bytes of one socket above which the transport stops reading, so that the server has to wait."""

NEXT_ADDRESS_SECONDS = 0.25
"""After which the next address of a host is tried beside one that does not answer (RFC 8305, section 5)."""


class Sockets(httpcore.AsyncNetworkBackend):
    """Opens sockets, and wakes their readers in rounds."""

    def __init__(self) -> None:
        self._rounds = Rounds()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect. Raises httpcore.ConnectTimeout, ConnectError."""
        with _bounded(timeout, httpcore.ConnectTimeout, httpcore.ConnectError):
            transport, socket = await asyncio.get_running_loop().create_connection(
                lambda: Socket(self._rounds),
                host,
                port,
                local_addr=None if local_address is None else (local_address, 0),
                # Not for one address: asyncio can lose the socket of a race that is cancelled as it is won.
                happy_eyeballs_delay=None if _is_address(host) else NEXT_ADDRESS_SECONDS,
            )
            for option in socket_options or ():
                transport.get_extra_info("socket").setsockopt(*option)
        return socket


class Rounds:
    """Wakes a number of readers at once, and the others later, in the order in which their bytes arrived."""

    def __init__(self) -> None:
        self._woken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def wake(self, reader: asyncio.Future[None]) -> None:
        """Wake a reader, in this round or a later one."""
        if self._woken < READS_PER_ROUND:
            self._wake(reader)
        else:
            self._waiting.append(reader)

    def _wake(self, reader: asyncio.Future[None]) -> None:
        if not self._woken:
            reader.get_loop().call_soon(self._next_round)
        if not reader.done():  # it may have been cancelled meanwhile
            self._woken += 1
            reader.set_result(None)

    def _next_round(self) -> None:
        self._woken = 0
        while self._waiting and self._woken < READS_PER_ROUND:
            self._wake(self._waiting.popleft())


class Socket(asyncio.Protocol, httpcore.AsyncNetworkStream):
    """A connected socket, with or without TLS."""

    def __init__(self, rounds: Rounds) -> None:
        self._loop = asyncio.get_running_loop()
        self._rounds = rounds
        self._transport: asyncio.Transport
        self._received = bytearray()
        self._read_ahead = True
        """Whether the transport reads."""
        self._ended = False
        """Whether nothing more will come: the other end has said so, or the connection is lost."""
        self._lost = False
        self._error: Exception | None = None
        self._reader: asyncio.Future[None] | None = None
        self._reader_deadline = 0.0
        self._reader_timer: asyncio.TimerHandle | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    # Called by httpcore

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return what has come, no bytes at the end. Raises httpcore.ReadTimeout, ReadError."""
        if not self._received and not self._ended:
            await self._news(timeout)
        if self._received:
            return self._take(max_bytes)
        if self._error is not None:
            raise httpcore.ReadError(str(self._error)) from self._error
        return b""

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write, and wait until most of it has left. Raises httpcore.WriteTimeout, WriteError.

        The latter also where nothing more will come: a server that has answered and said so need not take the rest.
        """
        if not buffer:
            return
        if not self._ended:
            self._transport.write(buffer)
        if not self._writable.is_set():
            with _bounded(timeout, httpcore.WriteTimeout, httpcore.WriteError):
                await self._writable.wait()
        if self._ended:
            raise httpcore.WriteError(str(self._error or "the connection is closed")) from self._error

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> Self:
        """Speak TLS from here on. Raises httpcore.ConnectTimeout, ConnectError."""
        with _bounded(timeout, httpcore.ConnectTimeout, httpcore.ConnectError):
            try:
                transport = await self._loop.start_tls(
                    self._transport, self, ssl_context, server_hostname=server_hostname
                )
            except BaseException:
                self._transport.abort()
                raise
        if transport is None:
            raise httpcore.ConnectError("closed by the other end")
        self._transport = transport
        return self

    async def aclose(self) -> None:
        """Close at once: unread bytes are dropped, and no bytes are left to be written."""
        self._transport.abort()
        await asyncio.sleep(0)  # the descriptor is closed in the loop's next step

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - as httpcore declares it
        """Tell about the connection: "is_readable" (an idle one has ended if it is), "ssl_object"."""
        if info == "is_readable":
            return self._ended or bool(self._received)
        return self._transport.get_extra_info(info)

    # Called by asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a stream's
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._read_ahead and len(self._received) > READ_AHEAD_BYTES:
            self._read_ahead = False
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        """Note that nothing more will come. Returns False: the transport closes itself."""
        self._ended = True
        self._wake()
        self._writable.set()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = self._lost = True
        self._error = exc
        self._wake()
        self._writable.set()
        if self._reader_timer is not None:
            self._reader_timer.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # Reading

    async def _news(self, timeout: float | None) -> None:
        """Wait until there is something to read or an end. Raises httpcore.ReadTimeout."""
        self._reader = self._loop.create_future()
        if timeout is not None:
            self._set_deadline(self._loop.time() + timeout)
        try:
            await self._reader
        except TimeoutError:
            raise httpcore.ReadTimeout("nothing came in time") from None
        finally:
            self._reader = None

    def _take(self, max_bytes: int) -> bytes:
        if len(self._received) <= max_bytes:
            data = bytes(self._received)
            self._received.clear()
        else:
            data = bytes(self._received[:max_bytes])
            del self._received[:max_bytes]
        if not self._read_ahead and len(self._received) <= READ_AHEAD_BYTES and not self._lost:
            self._read_ahead = True
            self._transport.resume_reading()
        return data

    def _wake(self) -> None:
        if self._reader is not None:
            reader, self._reader = self._reader, None
            self._rounds.wake(reader)

    def _set_deadline(self, deadline: float) -> None:
        """Set the deadline of the reader. A timer that is set already stays: setting one costs more than a read."""
        self._reader_deadline = deadline
        if self._reader_timer is not None and self._reader_timer.when() > deadline:
            self._reader_timer.cancel()
            self._reader_timer = None
        if self._reader_timer is None:
            self._reader_timer = self._loop.call_at(deadline, self._check_deadline)

    def _check_deadline(self) -> None:
        self._reader_timer = None
        if self._reader is None or self._reader.done():
            return
        if self._loop.time() < self._reader_deadline:
            self._set_deadline(self._reader_deadline)
        else:
            self._reader.set_exception(TimeoutError())


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


@contextmanager
def _bounded(
    timeout: float | None, too_late: type[httpcore.TimeoutException], failed: type[httpcore.NetworkError]
) -> Iterator[None]:
    """Bound the block to a number of seconds, and raise its failures as httpcore's exceptions."""
    try:
        with anyio.fail_after(timeout):
            yield
    except TimeoutError as exc:
        raise too_late(str(exc)) from exc
    except OSError as exc:
        raise failed(str(exc)) from exc
