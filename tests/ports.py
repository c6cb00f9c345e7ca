"""A port on loopback for a process that takes its number and cannot be handed the socket."""

from __future__ import annotations

import random
import socket

LOWEST, BEYOND = 20_000, 32_000
"""Below what systems give to sockets that ask for any port: one of those could take it before the process has."""

TRIES = 100


def free_port() -> int:
    """Return a port on which nothing listens. Another test that runs at the same time gets another one."""
    for port in random.SystemRandom().sample(range(LOWEST, BEYOND), TRIES):
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue
    raise AssertionError(f"none of {TRIES} ports is free")
