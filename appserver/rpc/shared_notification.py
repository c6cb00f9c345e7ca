"""A notification for several clients, encoded once for all that want it in the same form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol import envelope

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocol.envelope import Message


class SharedNotification:
    """One that goes to more than one outbox."""

    def __init__(self, method: str, params: object) -> None:
        self.method = method
        self.message = envelope.notification(method, params)
        self._encoded: dict[bool, bytes | None] = {}

    def encoded(self, encode: Callable[[Message], bytes | None], *, with_version: bool) -> bytes | None:
        """Return it as bytes, None if it cannot be encoded. `with_version`: whether it has the `jsonrpc` member."""
        if with_version not in self._encoded:
            self._encoded[with_version] = encode(self.message)
        return self._encoded[with_version]
