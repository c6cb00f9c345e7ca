"""Where the first lines are answered: before asyncio, pydantic and an HTTP stack have been imported.

Importing those takes longer than many a client waits for `initialize`. So the descriptor is read directly; what a
plain function can answer is answered; and while nothing waits, one module after another is imported ahead of its use.
As soon as something needs the event loop, or everything is imported, the event loop takes over.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from appserver.transport.base import TransportClosed

if TYPE_CHECKING:
    from appserver.server.connection import Connection
    from appserver.transport.framing import Line

PATIENCE = 0.02
"""Seconds to wait for the next line before importing ahead: a client that was just answered mostly asks on."""

AHEAD_OF_USE = (
    # In the order in which a client's first requests need them.
    "protocol.methods",
    "appserver.threads.stores.sqlite.store",
    "appserver.threads.registry",
    "appserver.handlers.thread",
    "asyncio",
    "anyio",
    "anyio._backends._asyncio",
    "pydantic.type_adapter",
    "httpx",
    "appserver.turns.runner",
    "appserver.turns.manager",
    "appserver.handlers.turn",
    "appserver.server.backend",
    "httpcore",
    "filelock",  # the first turn takes a lock file
)


class Descriptors(Protocol):
    """Standard input and output, without an event loop."""

    def input_comes(self, within: float) -> bool:
        """Whether there is something to receive within so many seconds."""

    def receive_blocking(self) -> list[Line] | None:
        """Wait for bytes and return the lines they complete, or None at the end of the stream."""

    def send_blocking(self, data: bytes) -> None:
        """Write all of data. Raises TransportClosed."""


def answer_first_lines(connection: Connection, stdio: Descriptors) -> bool:
    """Answer what needs no event loop. Returns False if the client is done and there is nothing else to do.

    Raises TransportClosed.
    """
    for module in AHEAD_OF_USE:
        while stdio.input_comes(within=PATIENCE):
            lines = stdio.receive_blocking()
            for line in lines or ():
                connection.dispatcher.receive(line)
            _send_answers(connection, stdio)
            if connection.needs_event_loop:
                return True
            if lines is None:
                return False
        import_ahead(module)
    return True


def import_ahead(module: str) -> None:
    """Import a module before its use. One that cannot be imported is reported where it is used, if it ever is."""
    try:
        import_module(module)
    except ImportError:  # a private module may be renamed in another version of its library
        return


def _send_answers(connection: Connection, stdio: Descriptors) -> None:
    try:
        while answers := connection.outbox.take():
            stdio.send_blocking(answers)
    except TransportClosed:
        connection.dispatcher.close()  # what was to wait for the event loop waits for nothing
        raise
