"""The process's own stdin and stdout, claimed for the protocol alone.

Works on the raw descriptors: readiness comes from the event loop, without a thread per line; where the platform or
the kind of file has no readiness (Windows pipes, regular files), a worker thread reads or writes instead. Knows
nothing of JSON. Importing it does not import an event loop: `server/startup.py` uses the blocking half before there is
one.
"""

from __future__ import annotations

import os
import select
import stat
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from appserver.transport.base import TransportClosed
from appserver.transport.framing import LineSplitter

if TYPE_CHECKING:
    from appserver.transport.base import Ending
    from appserver.transport.framing import Line

CHUNK_BYTES = 64 * 1024
"""One read: the capacity of a pipe on Linux."""


class Stdio:
    """Lines in, bytes out, over two descriptors."""

    def __init__(self, read_fd: int, write_fd: int, max_line_bytes: int) -> None:
        self._read_fd = read_fd
        self._write_fd = write_fd
        self._splitter = LineSplitter(max_line_bytes)
        self._ended = False
        self._poll_reads = _can_poll(read_fd)
        self._sees_hang_up = _can_poll(write_fd)
        self._poll_writes = self._sees_hang_up and not _same_file(write_fd, 2)
        self.uses_threads = not (self._poll_reads and self._poll_writes)

    @classmethod
    def claim(cls, max_line_bytes: int) -> Stdio:
        """Move stdin and stdout to private descriptors.

        From then on fd 0 reads nothing and fd 1 is stderr, so that a stray print, ours or a library's, cannot break
        the protocol, and a child process inherits neither end.
        """
        for fd in (0, 1, 2):
            _fill(fd)
        read_fd, write_fd = os.dup(0), os.dup(1)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        os.dup2(2, 1)
        return cls(read_fd, write_fd, max_line_bytes)

    # Before there is an event loop

    def input_comes(self, within: float) -> bool:
        """Whether a blocking read would return at once, or within so many seconds. True where that is not known."""
        return not self._poll_reads or bool(select.select([self._read_fd], [], [], within)[0])

    def receive_blocking(self) -> list[Line] | None:
        """Wait for bytes and return the lines they complete, or None at the end of the stream."""
        return self._take(self._read())

    def send_blocking(self, data: bytes) -> None:
        """Write all of data. Raises TransportClosed."""
        view = memoryview(data)
        try:
            while view:
                try:
                    view = view[os.write(self._write_fd, view) :]
                except BlockingIOError:  # another process that shares the pipe has made it non-blocking
                    select.select([], [self._write_fd], [])
        except OSError as exc:
            raise TransportClosed from exc

    # Inside the event loop

    async def receive(self) -> list[Line] | None:
        """Wait for bytes and return the lines they complete, or None at the end of the stream."""
        from anyio import to_thread, wait_readable

        if self._poll_reads:
            await wait_readable(self._read_fd)
            return self._take(self._read())
        # Abandoned on cancel: a blocked read has no other way to end. `uses_threads` tells the cli about it.
        return self._take(await to_thread.run_sync(self._read, abandon_on_cancel=True))

    async def send(self, data: bytes) -> None:
        """Write all of data, waiting while the reader is slow. Raises TransportClosed."""
        from anyio import to_thread, wait_writable

        if sys.platform == "win32" or not self._poll_writes:
            await to_thread.run_sync(self.send_blocking, data, abandon_on_cancel=True)
            return
        # Only now: `server/startup.py` writes before, and wants to block.
        os.set_blocking(self._write_fd, False)
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._write_fd, view) :]
            except BlockingIOError:
                await wait_writable(self._write_fd)
            except OSError as exc:
                raise TransportClosed from exc

    async def finish(self, ending: Ending) -> None:
        """Do nothing: the end of the stream says all that can be said."""

    def peer_closed(self) -> bool:
        """Whether the reader of our output has gone, found without writing."""
        if sys.platform == "win32" or not self._sees_hang_up:
            return False
        poller = select.poll()
        poller.register(self._write_fd, 0)
        return bool(poller.poll(0))

    def close(self) -> None:
        """Let go of both descriptors."""
        for fd in (self._read_fd, self._write_fd):
            with suppress(OSError):
                os.close(fd)

    def _read(self) -> bytes | None:
        """Read without waiting. None: there is nothing to read; no bytes: the stream has ended."""
        try:
            return os.read(self._read_fd, CHUNK_BYTES)
        except BlockingIOError:  # another process reads from the same pipe, and was faster
            return None
        except OSError:  # a socket whose peer died with our output unread, or a terminal that has gone
            return b""

    def _take(self, chunk: bytes | None) -> list[Line] | None:
        if chunk is None:
            return []
        if chunk:
            return self._splitter.feed(chunk)
        if self._ended:
            return None
        self._ended = True
        return self._splitter.finish() or None


def _fill(fd: int) -> None:
    """Open the null device where a client has started us without this descriptor: another file would take its number.

    To be called in ascending order, because it is the lowest free number that is taken.
    """
    try:
        os.fstat(fd)
    except OSError:
        os.open(os.devnull, os.O_RDWR)


def _can_poll(fd: int) -> bool:
    """Whether readiness of this descriptor can be waited for: pipes, sockets and terminals on POSIX."""
    if sys.platform == "win32":
        return False
    mode = os.fstat(fd).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(fd)


def _same_file(one: int, other: int) -> bool:
    """Whether two descriptors are one pipe or terminal (2>&1): making one non-blocking would do it to both."""
    try:
        a, b = os.fstat(one), os.fstat(other)
    except OSError:
        return False
    return (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)
