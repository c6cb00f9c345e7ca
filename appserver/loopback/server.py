"""The listening socket: bound to loopback; accepts clients and gives each a slot."""

from __future__ import annotations

import errno
import logging
import socket
import sys
from typing import TYPE_CHECKING, Final

import anyio
from anyio.lowlevel import checkpoint

from appserver.loopback.connection import HttpConnection
from appserver.loopback.limits import CALLBACK
from appserver.loopback.slots import Slots
from appserver.loopback.stream import Stream

if TYPE_CHECKING:
    from appserver.loopback.limits import Limits
    from appserver.loopback.messages import Handler
    from appserver.loopback.slots import Slot

HOST: Final = "127.0.0.1"
BACKLOG: Final = 1024
ACCEPT_RETRY_SECONDS: Final = 0.1  # after a failed accept (out of descriptors), so as not to spin

_logger = logging.getLogger(__name__)


def bind(port: int, host: str = HOST) -> socket.socket:
    """Listen on 127.0.0.1, or on ::1; port 0 takes any free one. Raises OSError as the system reports it."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        if sys.platform == "win32":
            # SO_REUSEADDR there lets another process take over a port in use.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            # Else connections in TIME_WAIT keep the port from us for a minute after a restart.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


async def serve(listener: socket.socket, handler: Handler, limits: Limits = CALLBACK) -> None:
    """Serve until cancelled. The socket is ours from here on, and closed at the end.

    A body iterator is cancelled when its client hangs up (closing its sending side counts as that); a handler
    is not: what it has begun, it finishes.
    """
    slots = Slots(limits)
    listener.setblocking(False)
    try:
        async with anyio.create_task_group() as tasks:
            while True:
                stream = Stream(await _accept(listener, slots))
                tasks.start_soon(_serve_client, await _slot_for(stream, slots), handler, limits)
    finally:
        listener.close()


async def _slot_for(stream: Stream, slots: Slots) -> Slot:
    try:
        return await slots.take(stream)
    except BaseException:
        stream.close()
        raise


async def _accept(listener: socket.socket, slots: Slots) -> socket.socket:
    failed = False
    while True:
        await checkpoint()
        try:
            return listener.accept()[0]
        except BlockingIOError:
            await anyio.wait_readable(listener)
        except OSError as error:
            if error.errno in (errno.EBADF, errno.ENOTSOCK):
                raise  # the listener is lost
            if error.errno in (errno.ECONNABORTED, errno.ECONNRESET):
                continue  # the client has left already
            if not failed:
                _logger.warning("loopback: accept failed: %s", error.strerror)
            failed = True
            slots.drop_idle()  # gives its descriptor back
            await anyio.sleep(ACCEPT_RETRY_SECONDS)


async def _serve_client(slot: Slot, handler: Handler, limits: Limits) -> None:
    try:
        with slot.serving(), slot.stream:
            await HttpConnection(slot, handler, limits).run()
    except Exception:
        _logger.exception("loopback: a connection failed")  # other clients are not affected
