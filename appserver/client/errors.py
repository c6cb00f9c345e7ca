"""What can go wrong on the client's side, in the one tree of errors.

A wait that ran out is the built-in TimeoutError. How a turn may end is in `results.py`; every other error that the
client raises is defined here.
"""

from __future__ import annotations

from appserver.errors import AppServerError


class ServerError(AppServerError):
    """The server answered a request with an error. A handler of ours may raise it too: it is sent as it is."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data


class ServerGone(AppServerError):
    """The server could not be started, has ended, or does not speak the protocol."""


class RequestLost(ServerGone):
    """The server was lost while a request was under way. Whether it was carried out is not known."""

    def __init__(self, message: str, method: str) -> None:
        super().__init__(message)
        self.method = method


class TurnLost(ServerGone):
    """The server was lost while a turn ran. What the model had completed by then is in the thread's history."""

    def __init__(self, message: str, thread_id: str, turn_id: str) -> None:
        super().__init__(message)
        self.thread_id = thread_id
        self.turn_id = turn_id


class ThreadLost(ServerGone):
    """The server was started again and does not have this thread any more: it was ephemeral, say."""

    def __init__(self, message: str, thread_id: str) -> None:
        super().__init__(message)
        self.thread_id = thread_id


class StreamOverflow(AppServerError):
    """A notification stream was not read for so long that its buffer is full. What was buffered has been delivered."""
