"""uvicorn's HTTP protocol with bounds that it does not have: on the time and the size of a request's head, and on
connections that were opened and send nothing. Bodies are bounded by whoever reads them (`requests.read_body`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    import asyncio

HEAD_SECONDS = 20.0
"""What a request's head may take from its first byte, however its bytes come."""

MAX_HEAD_BYTES = 64 * 1024
"""More than any proxy lets through."""

TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class BoundedHeads(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - uvicorn's
        super().__init__(*args, **kwargs)
        self._head_bound: asyncio.TimerHandle | None = None
        """Runs while a head is incomplete."""
        self._head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        super().connection_made(transport)
        # Until its first request a connection is idle, as it is between two.
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_ends()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.timeout_keep_alive_task is not None:  # idle until now, or the rest of a body that was not wanted
            self._head_begins()
        super().data_received(data)
        if self._head_bound is not None:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(TOO_LARGE)

    def on_message_begin(self) -> None:
        self._head_begins()  # also where the request before it has not been answered yet
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._head_ends()
        super().on_headers_complete()

    def _head_begins(self) -> None:
        if self._head_bound is None:
            self._head_bytes = 0
            self._head_bound = self.loop.call_later(HEAD_SECONDS, self._refuse, TOO_SLOW)

    def _head_ends(self) -> None:
        if self._head_bound is not None:
            self._head_bound.cancel()
            self._head_bound = None

    def _refuse(self, answer: bytes) -> None:
        self._head_ends()
        if self.transport.is_closing():
            return
        if getattr(self.cycle, "response_complete", True):  # not in the middle of an answer; before the first, no cycle
            self.transport.write(answer)
        self.transport.close()
