"""The messages to one turn: the one that starts it, and those that come while it runs.

A message of the user's ends the reading of a response, so that the next request has it. Items that a client adds to the
history wait for the end of the response. Knows nothing of how the turn goes on from there.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from appserver.errors import Overloaded
from appserver.threads.transcript import Entry
from appserver.threads.turn_record import new_id
from appserver.turns.context import news

if TYPE_CHECKING:
    from anyio import CancelScope

    from protocol.item import UserInput, UserMessageItem
    from protocol.turn import AdditionalContext

MAX_WAITING = 256
"""Messages that may wait for one turn. They wait for the length of a tool call at most: more is a client gone wild."""

RETRY_AFTER_MS = 1000


class UserMessage(NamedTuple):
    """Something the user said, for the client and for the model."""

    content: list[UserInput]
    client_id: str | None
    remembered: dict[str, Any]
    """As an input item of the Responses API."""
    context: AdditionalContext | None = None
    """What the application has the model know beside it."""

    def entries(self, known: AdditionalContext) -> list[Entry]:
        """Return what it leaves in a thread whose model knows a context: what is new of that, then the message.

        A turn may be started without input; there is no message then.
        """
        now = time.time()
        found = [Entry(None, told, forgets=False, completed_at=now) for told in news(self.context or {}, known)]
        if self.content:
            found.append(Entry(self._item(), self.remembered, forgets=False, completed_at=now))
        return found

    def _item(self) -> UserMessageItem:
        for one in self.content:
            if one["type"] == "text":
                one.setdefault("text_elements", [])
        return {"type": "userMessage", "id": new_id(), "clientId": self.client_id, "content": self.content}


class Injected(NamedTuple):
    """Input items of the Responses API that the client adds to the history."""

    items: list[dict[str, Any]]


class Inbox:
    """The messages that a turn has not taken yet, in order."""

    def __init__(self) -> None:
        self._messages: list[UserMessage | Injected] = []
        self._listening: CancelScope | None = None

    def __bool__(self) -> bool:
        return bool(self._messages)

    def put(self, message: UserMessage | Injected) -> None:
        """Leave a message. Raises Overloaded if too many wait."""
        if len(self._messages) >= MAX_WAITING:
            raise Overloaded(RETRY_AFTER_MS)
        self._messages.append(message)
        if self._listening is not None and isinstance(message, UserMessage):
            self._listening.cancel()

    def take(self) -> list[UserMessage | Injected]:
        """Return what waits, and forget it."""
        messages, self._messages = self._messages, []
        return messages

    def listening(self) -> CancelScope:
        """Return the scope in which to read an answer: it is cancelled by a message, also by one that waits already."""
        from anyio import CancelScope  # late: the handlers use this module before there is a loop

        self._listening = CancelScope()
        if any(isinstance(one, UserMessage) for one in self._messages):
            self._listening.cancel()
        return self._listening
