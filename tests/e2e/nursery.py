"""Forks server processes that have imported everything already, so that a test can afford to kill a hundred.

Run as `python nursery.py SOCKET`: each connection to the socket gets a server of its own, which first says its process
id on a line of its own. For the rest the server is the real one, from its first line to its exit.
"""

from __future__ import annotations

import os
import signal
import socket
import sys

from appserver import cli
from appserver.handlers import table
from appserver.server import connection, startup
from appserver.settings import load_settings

HIGHEST = 250
"""A descriptor above all others. A dying process closes them in order, so the test sees the end of this one only when
the lock of the process has gone, too."""

__all__ = ["connection", "table"]


def main(path: str) -> None:
    if sys.platform == "win32":
        raise NotImplementedError
    for module in startup.AHEAD_OF_USE:
        startup.import_ahead(module)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                serve(connection)
            connection.close()


def serve(connection: socket.socket) -> None:
    if sys.platform == "win32":
        raise NotImplementedError
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for descriptor in (0, 1, HIGHEST):
        os.dup2(connection.fileno(), descriptor)
    connection.sendall(f"{os.getpid()}\n".encode())
    connection.close()
    os._exit(cli.serve_stdio(load_settings(os.environ)))


if __name__ == "__main__":
    main(sys.argv[1])
