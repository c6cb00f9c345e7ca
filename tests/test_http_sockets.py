"""The sockets of the HTTP stack: what is read and written, what bounds it, and who is woken when."""

from __future__ import annotations

import asyncio
import itertools
import socket as sockets
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import httpcore
import pytest
from anyio.abc import SocketAttribute, SocketListener

from appserver.http_sockets import READ_AHEAD_BYTES, READS_PER_ROUND, Rounds, Socket, Sockets
from appserver.loopback import bind
from tests.auth.oauth_rig import closed_port_url
from tests.wire import self_signed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from anyio.abc import SocketStream

pytestmark = pytest.mark.anyio

SOON = 0.02
"""A bound that is to be met."""

PATIENCE = 10.0
"""For what takes no time at all."""

NEVER = 60.0
"""One that is not."""

MORE_THAN_A_SOCKET_TAKES = 32 * 1024 * 1024


@asynccontextmanager
async def connected(
    **options: Any,  # noqa: ANN401 - of connect_tcp
) -> AsyncIterator[tuple[httpcore.AsyncNetworkStream, SocketStream]]:
    """Connect to a listener; yields both ends."""
    async with await SocketListener.from_socket(bind(0)) as listener:
        port = listener.extra_attributes[SocketAttribute.local_port]()
        ours = await Sockets().connect_tcp("127.0.0.1", port, timeout=NEVER, **options)
        theirs = await listener.accept()
        async with theirs:
            yield ours, theirs
            await ours.aclose()


async def overfill(stream: httpcore.AsyncNetworkStream, seconds: float) -> None:
    """Write until that fails: a system may let the buffers of a connection grow."""
    while True:
        await stream.write(bytes(MORE_THAN_A_SOCKET_TAKES), seconds)


async def test_what_has_come_is_read_in_order_up_to_so_many_bytes_and_nothing_at_the_end() -> None:
    async with connected() as (ours, theirs):
        await theirs.send(b"abcdef")
        assert await ours.read(4, NEVER) == b"abcd"
        assert await ours.read(4, NEVER) == b"ef"
        await theirs.send_eof()
        assert [await ours.read(4, NEVER) for _ in range(2)] == [b"", b""]


async def test_what_is_written_arrives() -> None:
    async with connected() as (ours, theirs):
        await ours.write(b"", NEVER)
        await ours.write(b"abc", NEVER)
        assert await theirs.receive() == b"abc"


async def test_nobody_waits_to_write_to_an_end_that_has_said_all_and_what_it_said_can_be_read() -> None:
    async with connected() as (ours, theirs):

        async def answer() -> None:
            await theirs.receive(1)
            await theirs.send(b"too large")
            await theirs.send_eof()

        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(answer)
                with pytest.raises(httpcore.WriteError):
                    await overfill(ours, NEVER)
        with pytest.raises(httpcore.WriteError):
            await ours.write(b"x", NEVER)
        assert await ours.read(9, NEVER) == b"too large"


async def test_a_connection_that_breaks_is_an_error_once_all_has_been_read() -> None:
    async with connected() as (ours, theirs):
        await theirs.send(b"abc")
        assert await ours.read(3, NEVER) == b"abc"
        raw = theirs.extra_attributes[SocketAttribute.raw_socket]()
        raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset in place of an end
        await theirs.aclose()
        with pytest.raises(httpcore.ReadError):
            await ours.read(1, NEVER)
        with pytest.raises(httpcore.WriteError):
            await ours.write(b"x", NEVER)


async def test_each_wait_for_bytes_has_a_bound_of_its_own() -> None:
    async with connected() as (ours, theirs):
        await theirs.send(b"a")
        assert await ours.read(1, NEVER) == b"a"
        with pytest.raises(httpcore.ReadTimeout), anyio.fail_after(NEVER):
            await ours.read(1, SOON)  # sooner than the bound before
        await theirs.send(b"b")
        assert await ours.read(1, SOON + NEVER) == b"b"


async def test_a_wait_for_bytes_can_be_cancelled_and_begun_again() -> None:
    async with connected() as (ours, theirs):
        with anyio.move_on_after(SOON) as scope:
            await ours.read(1, NEVER)
        assert scope.cancelled_caught
        await theirs.send(b"a")
        assert await ours.read(1, NEVER) == b"a"


async def test_an_end_that_does_not_take_what_is_written_is_given_up() -> None:
    async with connected() as (ours, _):
        with pytest.raises(httpcore.WriteTimeout):
            await overfill(ours, SOON)


async def test_a_refused_connection_is_an_error_with_its_cause() -> None:
    port = int(closed_port_url().rpartition(":")[2])
    with pytest.raises(httpcore.ConnectError) as raised:
        await Sockets().connect_tcp("127.0.0.1", port, timeout=NEVER)
    assert isinstance(raised.value.__cause__, ConnectionRefusedError)


async def test_a_connection_that_takes_too_long_is_given_up() -> None:
    with pytest.raises(httpcore.ConnectTimeout):
        await Sockets().connect_tcp("127.0.0.1", 1, timeout=0)


async def test_local_address_and_options_are_those_that_were_asked_for() -> None:
    option = (sockets.SOL_SOCKET, sockets.SO_KEEPALIVE, 1)
    async with connected(local_address="127.0.0.1", socket_options=[option]) as (ours, theirs):
        assert theirs.extra_attributes[SocketAttribute.remote_address]()[0] == "127.0.0.1"
        assert ours.get_extra_info("socket").getsockopt(*option[:2]) == 1


async def test_an_idle_connection_is_readable_once_the_other_end_has_left() -> None:
    async with connected() as (ours, theirs):
        assert not ours.get_extra_info("is_readable")
        await theirs.send_eof()
        assert await ours.read(1, NEVER) == b""
        assert ours.get_extra_info("is_readable")


async def test_tls_that_fails_closes_the_connection(tmp_path: Path) -> None:
    self_signed(tmp_path)
    context = ssl.create_default_context(cafile=tmp_path / "cert.pem")
    async with connected() as (ours, theirs):
        async with anyio.create_task_group() as group:
            group.start_soon(_refuse_tls, theirs)
            with pytest.raises(httpcore.ConnectError):
                await ours.start_tls(context, "127.0.0.1", NEVER)
        with pytest.raises(httpcore.ConnectTimeout):
            async with connected() as (other, _):
                await other.start_tls(context, "127.0.0.1", SOON)


async def _refuse_tls(stream: SocketStream) -> None:
    await stream.receive()
    await stream.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")


class Paused(asyncio.Transport):
    """A transport that only notes whether it is to read."""

    reading = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


async def test_a_socket_reads_no_further_ahead_than_its_bound() -> None:
    transport, socket = Paused(), Socket(Rounds())
    socket.connection_made(transport)
    socket.data_received(bytes(READ_AHEAD_BYTES))
    assert transport.reading
    socket.data_received(b"x")
    assert not transport.reading
    assert len(await socket.read(READ_AHEAD_BYTES)) == READ_AHEAD_BYTES
    assert transport.reading


async def test_however_many_readers_there_are_the_loop_looks_at_everything_else_between_two_rounds() -> None:
    rounds, loop = Rounds(), asyncio.get_running_loop()
    readers = [loop.create_future() for _ in range(5 * READS_PER_ROUND)]
    readers[READS_PER_ROUND + 1].cancel()
    for reader in readers:
        rounds.wake(reader)
    woken = [sum(reader.done() for reader in readers)]
    while not all(reader.done() for reader in readers):
        await asyncio.sleep(0)
        woken.append(sum(reader.done() for reader in readers))
    assert max(after - before for before, after in itertools.pairwise(woken)) <= READS_PER_ROUND
    assert woken[0] == READS_PER_ROUND + 1  # and the one that was cancelled
