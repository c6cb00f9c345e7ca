"""`appserver proxy`: joins stdin and stdout to a server that listens on a unix socket, and starts one if asked to.

Passes bytes on as they are, so a client may speak lines of JSON or WebSocket. Knows nothing of what they mean.
"""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import appserver
from appserver.errors import ListenError
from appserver.settings.load import home_directory
from appserver.transport.unix_path import connect_if_listening, default_path, make_directory

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Mapping

IDLE_SECONDS = 300.0
"""After which a server that was started here ends without a client and without a turn: a client that is restarted finds
it warm, and one that is gone for good leaves nothing behind for long."""

START_SECONDS = 20.0
"""What a server gets to listen: several times what it takes on a busy machine."""

LOOK_SECONDS = 0.02
"""How often to look whether it listens."""

MAX_LOG_BYTES = 1024 * 1024
"""A log that is longer is begun anew with the next server."""

CHUNK_BYTES = 64 * 1024


def add_options(parser: ArgumentParser) -> None:
    """Say what can stand on the command line."""
    parser.description = "Join stdin and stdout to a server that listens on a unix socket."
    add = parser.add_argument
    add("--sock", metavar="PATH", help="the socket, if it is not the one in the home")
    add("--autostart", action="store_true", help="start a server if none is running")
    add(
        *("--idle-exit",),
        type=float,
        default=IDLE_SECONDS,
        metavar="SECONDS",
        help=f"end a started server after so long without a client and a turn; {IDLE_SECONDS:g} is the default",
    )


def run(options: Namespace, environ: Mapping[str, str]) -> int:
    """Pass on bytes until either side ends. Raises ListenError, ConfigError."""
    path = os.path.abspath(options.sock or default_path(home_directory(environ)))
    return _join(_connected(path, options))


def _connected(path: str, options: Namespace) -> socket.socket:
    """Connect, to a server that is started if need be. Raises ListenError."""
    try:
        return connect_if_listening(path) or (_started(path, options) if options.autostart else _complain(path))
    except OSError as exc:
        raise ListenError(f"{path}: cannot connect: {exc.strerror or exc}") from None


def _complain(path: str) -> socket.socket:
    raise ListenError(f"{path}: no server is listening there; --autostart starts one")


def _started(path: str, options: Namespace) -> socket.socket:
    """Start a server and connect to it, or to one that another proxy has started meanwhile. Raises ListenError."""
    make_directory(os.path.dirname(path))
    server = _start(path, options)
    ends_at = time.monotonic() + START_SECONDS
    while time.monotonic() < ends_at:
        has_ended = server.poll() is not None  # first: what it says then holds for the try that follows
        if (connected := connect_if_listening(path)) is not None:
            return connected
        if has_ended:
            raise ListenError(f"the server ended at once: {_last_line(path)}")
        time.sleep(LOOK_SECONDS)
    raise ListenError(f"{path}: the server does not listen after {START_SECONDS:g}s; see {path}.log")


def _start(path: str, options: Namespace) -> subprocess.Popen[bytes]:
    words = [word for value in options.config for word in ("-c", value)]
    words += ["-p", options.profile] if options.profile else []
    words += [word for name in options.enable for word in ("--enable", name)]
    words += [word for name in options.disable for word in ("--disable", name)]
    program = os.path.join(os.path.dirname(appserver.__file__), "__main__.py")
    serving = ["app-server", "--listen", f"unix://{path}", "--idle-exit", f"{options.idle_exit:g}"]
    log = os.open(f"{path}.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        if os.fstat(log).st_size > MAX_LOG_BYTES:
            os.ftruncate(log, 0)
        return subprocess.Popen(  # noqa: S603 - our own program, with the words that we were given
            [sys.executable, "-P", program, *words, *serving],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,  # it outlives us, and what is typed at our terminal is not for it
        )
    finally:
        os.close(log)


def _last_line(path: str) -> str:
    with open(f"{path}.log", "rb") as log:
        lines = log.read()[-CHUNK_BYTES:].splitlines() or [b"it has said nothing"]
    return lines[-1].decode("utf-8", "replace")


def _join(connected: socket.socket) -> int:
    """Pass on bytes both ways until the server ends its side. Returns the exit code."""
    input_ended = threading.Event()
    # A daemon: a read that nothing comes from must not keep the process from ending.
    threading.Thread(target=_pass_input, args=(connected, input_ended), daemon=True).start()
    try:
        while chunk := connected.recv(CHUNK_BYTES):
            _write(chunk)
    except BrokenPipeError:
        return 0  # nobody reads our output any more
    except ConnectionResetError:
        pass
    if not input_ended.is_set():
        raise ListenError("the server has closed the connection")
    return 0


def _pass_input(connected: socket.socket, ended: threading.Event) -> None:
    try:
        while chunk := _read():
            connected.sendall(chunk)
    except OSError:
        return  # the server has gone; the other direction finds out, too
    ended.set()
    connected.shutdown(socket.SHUT_WR)


def _read() -> bytes:
    while True:
        try:
            return os.read(0, CHUNK_BYTES)
        except BlockingIOError:  # whoever shares the pipe has made it non-blocking
            select.select([0], [], [])


def _write(chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        try:
            view = view[os.write(1, view) :]
        except BlockingIOError:
            select.select([], [1], [])
