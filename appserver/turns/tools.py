"""Calls of the client's tools that one answer of the model makes.

Sees the client through a Protocol of one method. A call always ends with an output for the model, whatever the client
does: the backend refuses a conversation in which one is missing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from appserver import json_text
from appserver.errors import AppServerError
from appserver.llm.events import for_history
from appserver.threads.model_items import output_of, tool_output
from appserver.turns.tool_definitions import names_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from appserver.session import Session
    from appserver.threads.record import ThreadRecord
    from appserver.threads.turn_record import TurnRecord
    from appserver.turns.notifications import TurnPlace
    from protocol.item import DynamicToolCallItem
    from protocol.notify import Notify
    from protocol.tool import DynamicToolCallParams, ToolContent

CANCELLED = "dynamic tool call was cancelled before receiving a response"
"""The output of a call whose turn has ended."""


class TurnClient(Protocol):
    """The application that has started a turn, and runs the tools."""

    @property
    def session(self) -> Session:
        """Who it is."""

    async def request(self, method: str, params: object, *, timeout: float) -> dict[str, Any]:
        """Send a request and return its validated result. Raises AppServerError."""


@dataclass(slots=True)
class _Call:
    """A call that the client has been asked for."""

    id: str
    namespace: str | None
    tool: str
    arguments: object
    began: float = field(default_factory=time.monotonic)

    def item(self) -> DynamicToolCallItem:
        """Return the item as it begins."""
        return {
            "type": "dynamicToolCall",
            "id": self.id,
            "namespace": self.namespace,
            "tool": self.tool,
            "arguments": self.arguments,
            "status": "inProgress",
            "contentItems": None,
            "success": None,
            "durationMs": None,
        }

    def ended(self, content: list[ToolContent], *, success: bool) -> DynamicToolCallItem:
        """Return the item as it ends."""
        item = self.item()
        item["status"] = "completed" if success else "failed"
        item["contentItems"], item["success"] = content, success
        item["durationMs"] = round((time.monotonic() - self.began) * 1000)
        return item


class ToolCalls:
    """The calls of one answer. They run side by side, from the moment that the model has made them."""

    def __init__(
        self,
        thread: ThreadRecord,
        turn: TurnRecord,
        client: TurnClient,
        timeout: float,
        emit: Notify,
        start: Callable[[Callable[[_Call], Coroutine[Any, Any, None]], _Call], object],
    ) -> None:
        """`timeout`: seconds that a call may take."""
        self.any = False
        """Whether the model has made a call: then it waits for the output."""
        self._thread = thread
        self._turn = turn
        self._client = client
        self._timeout = timeout
        self._emit = emit
        self._start = start
        self._open: dict[str, _Call] = {}

    async def begin(self, upstream: dict[str, Any]) -> None:
        """Take a function_call item of the model's. One that cannot be carried out is answered at once."""
        call_id, name = upstream.get("call_id"), upstream.get("name")
        if not isinstance(call_id, str) or not isinstance(name, str) or call_id in self._open:
            return  # nothing that could be answered
        self.any = True
        await self._thread.add_item(self._turn, None, for_history(upstream))
        namespace = upstream.get("namespace") if isinstance(upstream.get("namespace"), str) else None
        try:
            arguments = json_text.decode(upstream.get("arguments") or "{}")
        except (ValueError, TypeError) as exc:
            await self._answer(call_id, f"failed to parse function arguments: {exc}")
            return
        if (namespace, name) not in names_of(self._thread.settings.tools):
            await self._answer(call_id, f"unsupported call: {name}")
            return
        call = self._open[call_id] = _Call(call_id, namespace, name, arguments)
        self._emit("item/started", {**self._place(), "item": call.item(), "startedAtMs": _now_ms()})
        self._start(self._ask, call)

    async def fail_open(self) -> None:
        """Fail the calls that are still open. Waits for no client."""
        for call in list(self._open.values()):
            await self._end(call, [], CANCELLED, success=False)

    async def _ask(self, call: _Call) -> None:
        params: DynamicToolCallParams = {
            "threadId": self._thread.id,
            "turnId": self._turn.id,
            "callId": call.id,
            "namespace": call.namespace,
            "tool": call.tool,
            "arguments": call.arguments,
        }
        content: list[ToolContent]
        try:
            result = await self._client.request("item/tool/call", params, timeout=self._timeout)
        except AppServerError as exc:  # an error reply, none in time, or one that is no result
            content, success = [{"type": "inputText", "text": exc.message}], False
        else:
            content, success = result["contentItems"], result["success"]
        await self._end(call, content, output_of(content, success=success), success=success)

    async def _end(self, call: _Call, content: list[ToolContent], output: object, *, success: bool) -> None:
        del self._open[call.id]
        item = call.ended(content, success=success)
        await self._thread.add_item(self._turn, item, tool_output(call.id, output))
        self._emit("item/completed", {**self._place(), "item": item, "completedAtMs": _now_ms()})

    async def _answer(self, call_id: str, output: str) -> None:
        await self._thread.add_item(self._turn, None, tool_output(call_id, output))

    def _place(self) -> TurnPlace:
        return {"threadId": self._thread.id, "turnId": self._turn.id}


def _now_ms() -> int:
    return int(time.time() * 1000)
