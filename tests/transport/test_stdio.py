"""Descriptors of every kind, real ones. What only a process of its own can show is in test_stdio_process.py."""

from __future__ import annotations

import os
import socket
import struct
import sys
import threading
from typing import TYPE_CHECKING

import anyio
import pytest
from anyio.lowlevel import checkpoint

if sys.platform == "win32":
    pytest.skip("descriptors have no readiness there; the tests of the process cover it", allow_module_level=True)

import fcntl
import termios
import tty

from appserver.transport.base import TransportClosed
from appserver.transport.framing import Line, Oversized
from appserver.transport.stdio import Stdio

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.anyio

BOUND = 10.0
CAP = 1024
MUCH = b"x" * 1_000_000 + b"\n"  # more than any pipe or socket buffers


class Pipes:
    """Two pipes and the transport between them."""

    def __init__(self) -> None:
        self.stdin, self.to_stdin = os.pipe()
        self.from_stdout, self.stdout = os.pipe()
        self.stdio = Stdio(self.stdin, self.stdout, CAP)

    def end_input(self) -> None:
        os.close(self.to_stdin)
        self.to_stdin = -1

    def stop_reading(self) -> None:
        os.close(self.from_stdout)
        self.from_stdout = -1

    def close(self) -> None:
        for fd in (self.stdin, self.to_stdin, self.from_stdout, self.stdout):
            if fd >= 0:
                os.close(fd)


@pytest.fixture
def pipes() -> Iterator[Pipes]:
    made = Pipes()
    yield made
    made.close()


async def receive(stdio: Stdio) -> list[Line] | None:
    with anyio.fail_after(BOUND):
        return await stdio.receive()


async def test_lines_come_in_as_they_are_completed(pipes: Pipes) -> None:
    os.write(pipes.to_stdin, b"one\ntwo\r\nthr")
    assert await receive(pipes.stdio) == [b"one", b"two"]
    os.write(pipes.to_stdin, b"ee\n")
    assert await receive(pipes.stdio) == [b"three"]
    assert not pipes.stdio.uses_threads


async def test_the_end_of_input_comes_after_the_last_line_and_stays(pipes: Pipes) -> None:
    os.write(pipes.to_stdin, b"one\nlast")
    pipes.end_input()
    assert await receive(pipes.stdio) == [b"one"]
    assert await receive(pipes.stdio) == [b"last"]
    assert await receive(pipes.stdio) is None
    assert await receive(pipes.stdio) is None


async def test_a_line_above_the_cap_is_read_past(pipes: Pipes) -> None:
    os.write(pipes.to_stdin, b"x" * (CAP + 1) + b"\nnext\n")
    assert await receive(pipes.stdio) == [Oversized(b"x" * (CAP + 1), CAP + 1), b"next"]


async def test_waiting_for_input_can_be_cancelled_and_resumed(pipes: Pipes) -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await pipes.stdio.receive()
    os.write(pipes.to_stdin, b"one\n")
    assert await receive(pipes.stdio) == [b"one"]


def test_the_blocking_half_reads_the_same(pipes: Pipes) -> None:
    assert not pipes.stdio.input_comes(within=0)
    os.write(pipes.to_stdin, b"one\nlast")
    assert pipes.stdio.input_comes(within=0)
    assert pipes.stdio.receive_blocking() == [b"one"]
    pipes.end_input()
    assert pipes.stdio.receive_blocking() == [b"last"]
    assert pipes.stdio.receive_blocking() is None


async def test_what_the_blocking_half_began_to_read_the_other_half_completes(pipes: Pipes) -> None:
    os.write(pipes.to_stdin, b"on")
    assert pipes.stdio.receive_blocking() == []
    os.write(pipes.to_stdin, b"e\n")
    assert await receive(pipes.stdio) == [b"one"]


async def test_a_full_pipe_makes_the_sender_wait_and_loses_nothing(pipes: Pipes) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(pipes.stdio.send, MUCH)
        for _ in range(5):
            await checkpoint()
        read = b""
        with anyio.fail_after(BOUND):
            while len(read) < len(MUCH):
                await anyio.wait_readable(pipes.from_stdout)
                read += os.read(pipes.from_stdout, 65536)
    assert read == MUCH


async def test_a_sender_that_waits_for_a_full_pipe_can_be_cancelled(pipes: Pipes) -> None:
    with anyio.move_on_after(0.05) as scope:
        await pipes.stdio.send(MUCH)
    assert scope.cancelled_caught


async def test_a_reader_that_goes_away_is_noticed_while_writing_and_without(pipes: Pipes) -> None:
    assert not pipes.stdio.peer_closed()
    pipes.stop_reading()
    assert pipes.stdio.peer_closed()
    with pytest.raises(TransportClosed):
        await pipes.stdio.send(b"x\n")
    with pytest.raises(TransportClosed):
        pipes.stdio.send_blocking(b"x\n")


async def test_a_reader_that_goes_away_ends_the_wait_for_a_full_pipe(pipes: Pipes) -> None:
    async def go_away() -> None:
        await anyio.wait_readable(pipes.from_stdout)
        pipes.stop_reading()

    async with anyio.create_task_group() as group:
        group.start_soon(go_away)
        with anyio.fail_after(BOUND), pytest.raises(TransportClosed):
            await pipes.stdio.send(MUCH)


def test_a_pipe_that_somebody_made_non_blocking_is_still_written_to_the_end(pipes: Pipes) -> None:
    os.set_blocking(pipes.stdout, False)
    read = bytearray()

    def reader() -> None:
        while len(read) < len(MUCH):
            read.extend(os.read(pipes.from_stdout, 65536))

    thread = threading.Thread(target=reader, daemon=True)
    thread.start()
    pipes.stdio.send_blocking(MUCH)
    thread.join(BOUND)
    assert bytes(read) == MUCH


async def test_input_that_somebody_else_has_taken_is_waited_for_again(pipes: Pipes) -> None:
    # Two processes on one pipe: both wake up, one gets the bytes.
    os.set_blocking(pipes.stdin, False)
    assert pipes.stdio.receive_blocking() == []
    os.write(pipes.to_stdin, b"one\n")
    assert await receive(pipes.stdio) == [b"one"]


async def test_one_socket_may_be_both_ends() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        stdio = Stdio(ours.fileno(), os.dup(ours.fileno()), CAP)
        assert not stdio.uses_threads
        theirs.sendall(b"one\n")
        assert await receive(stdio) == [b"one"]
        await stdio.send(b"two\n")
        assert theirs.recv(10) == b"two\n"
        theirs.shutdown(socket.SHUT_WR)
        assert await receive(stdio) is None


async def test_a_peer_that_dies_with_our_output_unread_is_the_end_of_input() -> None:
    # Node gives its children sockets; there, this is a reset connection rather than an end of file.
    listener = socket.create_server(("127.0.0.1", 0))
    theirs = socket.create_connection(listener.getsockname())
    ours, _ = listener.accept()
    with listener, theirs, ours:
        stdio = Stdio(ours.fileno(), ours.fileno(), CAP)
        await stdio.send(b"unread\n")
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        theirs.close()
        assert await receive(stdio) is None
        assert stdio.peer_closed()


async def test_a_regular_file_is_read_to_its_end_by_a_thread(tmp_path: Path, pipes: Pipes) -> None:
    file = tmp_path / "requests"
    file.write_bytes(b"one\ntwo\nlast")
    with file.open("rb") as stdin:
        stdio = Stdio(stdin.fileno(), pipes.stdout, CAP)
        assert stdio.uses_threads
        assert stdio.input_comes(within=0)
        assert await receive(stdio) == [b"one", b"two"]
        assert await receive(stdio) == [b"last"]
        assert await receive(stdio) is None


async def test_a_regular_file_takes_output_and_has_no_reader_to_lose(tmp_path: Path, pipes: Pipes) -> None:
    file = tmp_path / "answers"
    with file.open("wb") as stdout:
        stdio = Stdio(pipes.stdin, stdout.fileno(), CAP)
        assert stdio.uses_threads
        await stdio.send(b"one\n")
        stdio.send_blocking(b"two\n")
        assert not stdio.peer_closed()
    assert file.read_bytes() == b"one\ntwo\n"


async def test_a_pipe_that_is_stderr_too_is_left_blocking(pipes: Pipes) -> None:
    saved = os.dup(2)
    os.dup2(pipes.stdout, 2)  # 2>&1
    try:
        stdio = Stdio(pipes.stdin, pipes.stdout, CAP)
        await stdio.send(b"one\n")
        assert stdio.uses_threads
        assert os.get_blocking(pipes.stdout)  # a traceback that does not fit would be lost otherwise
        assert os.read(pipes.from_stdout, 10) == b"one\n"
        assert not stdio.peer_closed()
        pipes.stop_reading()
        assert stdio.peer_closed()
    finally:
        os.dup2(saved, 2)
        os.close(saved)


async def test_a_terminal_that_has_gone_is_the_end_of_input(pipes: Pipes) -> None:
    controller, terminal = os.openpty()
    tty.setraw(terminal, termios.TCSANOW)
    stdio = Stdio(terminal, pipes.stdout, CAP)
    os.write(controller, b"one\n")
    assert await receive(stdio) == [b"one"]
    os.close(controller)
    assert await receive(stdio) is None
    os.close(terminal)


async def test_pipes_are_made_non_blocking_only_where_they_are_written(pipes: Pipes) -> None:
    await pipes.stdio.send(b"one\n")
    assert fcntl.fcntl(pipes.stdout, fcntl.F_GETFL) & os.O_NONBLOCK
    assert not fcntl.fcntl(pipes.stdin, fcntl.F_GETFL) & os.O_NONBLOCK
