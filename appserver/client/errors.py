"""What can go wrong on the client's side, in the one tree of errors.

A wait that ran out is the built-in TimeoutError; everything else that the client raises is here.
"""

from __future__ import annotations

from typing import Any

from appserver.errors import AppServerError


class ServerError(AppServerError):
    """The server answered a request with an error. A handler of ours may raise it too: it is sent as it is."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data


class ServerGone(AppServerError):
    """The server could not be started, has ended, or does not speak the protocol."""


class StreamOverflow(AppServerError):
    """A notification stream was not read for so long that its buffer is full. What was buffered has been delivered."""


class TurnFailed(AppServerError):
    """A turn ended as "failed" or "interrupted". `turn` is what turn/completed said of it."""

    def __init__(self, message: str, turn: dict[str, Any]) -> None:
        super().__init__(message)
        self.turn = turn
        error = turn.get("error")
        self.info: str | dict[str, Any] | None = error.get("codexErrorInfo") if isinstance(error, dict) else None
        """The protocol's codexErrorInfo, for a program to decide by."""
