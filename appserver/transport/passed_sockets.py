"""Socket activation: sockets that the service manager has opened and passed (sd_listen_fds(3))."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from appserver.errors import ListenError

if TYPE_CHECKING:
    from collections.abc import MutableMapping

FIRST = 3
"""The number of the first descriptor that is passed: SD_LISTEN_FDS_START."""

VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


def passed_sockets(environ: MutableMapping[str, str]) -> list[socket.socket]:
    """Return the listening sockets that were passed to this process. Processes that it starts get none of them.

    Raises ListenError if there is none.
    """
    process_id, count, _ = (environ.pop(name, "") for name in VARIABLES)
    if process_id != str(os.getpid()) or not count.isdigit() or not int(count):
        raise ListenError("fd://: no sockets were passed: LISTEN_PID and LISTEN_FDS are not set for this process")
    found = []
    for number in range(FIRST, FIRST + int(count)):
        try:
            os.set_inheritable(number, False)
            found.append(socket.socket(fileno=number))
        except OSError as exc:
            raise ListenError(f"fd://: descriptor {number} is no socket: {exc.strerror}") from None
        if found[-1].type != socket.SOCK_STREAM or not found[-1].getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise ListenError(f"fd://: descriptor {number} is no socket that listens for streams")
    return found


def is_unix(passed: socket.socket) -> bool:
    return passed.family == getattr(socket, "AF_UNIX", None)
