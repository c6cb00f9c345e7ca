"""What a turn stands on, faked: a model that plays events, a client that answers calls, a list of what was told."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import anyio

from appserver.llm.retry import Retrying
from appserver.session import Session
from appserver.settings import Provider
from appserver.threads.metadata import ThreadMetadata
from appserver.threads.record import ThreadRecord
from appserver.threads.settings import ThreadSettings
from appserver.threads.turn_record import TurnRecord, new_id
from appserver.turns.inbox import Inbox, UserMessage
from appserver.turns.input import message_item
from appserver.turns.runner import TurnRunner

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

    from appserver.llm.client import ModelRequest
    from protocol.tool import FunctionTool

Event = dict[str, Any]
Step = Event | Exception | anyio.Event

LOOKUP: FunctionTool = {"type": "function", "name": "lookup", "description": "Looks up", "inputSchema": {}}


class Told(list[tuple[str, Any]]):
    """Every notification, in order."""

    def __call__(self, method: str, params: object) -> None:
        self.append((method, params))

    @property
    def methods(self) -> list[str]:
        return [method for method, _ in self]

    def of(self, method: str) -> list[Any]:
        return [params for told, params in self if told == method]

    def items(self, method: str = "item/completed") -> list[Any]:
        return [params["item"] for params in self.of(method)]


class Stream:
    """A running answer: each step is an event, a failure, or something to wait for."""

    def __init__(self, steps: list[Step], headers: Mapping[str, str] | None = None) -> None:
        self.headers: Mapping[str, str] = headers or {}
        self.closed = False
        self.stands = anyio.Event()
        """Set when the stream waits for something."""
        self._steps = steps

    async def batches(self) -> AsyncGenerator[list[Event], None]:
        for step in self._steps:
            if isinstance(step, Exception):
                raise step
            if isinstance(step, anyio.Event):
                self.stands.set()
                await step.wait()
            else:
                yield [step]

    async def close(self) -> None:
        self.closed = True


class Model:
    """The backend: plays one reply after the other, and keeps the requests."""

    def __init__(self, *replies: Stream | Exception) -> None:
        self.requests: list[ModelRequest] = []
        self.on_request: Callable[[], None] = lambda: None
        self._replies = deque(replies)

    async def open(self, request: ModelRequest) -> Any:  # noqa: ANN401 - quacks like an EventStream
        self.requests.append(request)
        self.on_request()
        reply = self._replies.popleft()
        if isinstance(reply, Exception):
            raise reply
        return reply

    @property
    def inputs(self) -> list[list[Event]]:
        return [request.input for request in self.requests]


class Client:
    """The application: answers tool calls with a function of their params."""

    def __init__(self, answer: Callable[[Any], Awaitable[Any]] | None = None) -> None:
        self.session = Session()
        self.calls: list[Any] = []
        self.asked = anyio.Event()
        self._answer = answer

    async def request(self, method: str, params: Any, *, timeout: float) -> dict[str, Any]:  # noqa: ANN401 - as it comes
        assert method == "item/tool/call"
        assert timeout == TOOL_SECONDS
        self.calls.append(params)
        self.asked.set()
        if self._answer is None:
            return text_result("done")
        found: dict[str, Any] = await self._answer(params)
        return found


TOOL_SECONDS = 7.0


class Naps(list[float]):
    """A sleep that takes no time, and the seconds that it was asked for."""

    async def __call__(self, seconds: float) -> None:
        self.append(seconds)
        await anyio.lowlevel.checkpoint()


class Stage:
    """A thread with a turn in it, and everything that runs it."""

    def __init__(self, *replies: Stream | Exception, client: Client | None = None, **provider: int) -> None:
        self.told, self.naps, self.model, self.client = Told(), Naps(), Model(*replies), client or Client()
        self.thread = thread(**provider)
        self.turn, self.inbox = TurnRecord([]), Inbox()
        self.inbox.put(said("Hello"))
        self.runner = TurnRunner(self.model, self.told, drain, TOOL_SECONDS, Retrying(self.naps, lambda: 0.5))

    async def run(self) -> None:
        with anyio.fail_after(10):
            await self.runner.run(self.thread, self.turn, self.inbox, self.client)


async def drain(thread_id: str) -> None:
    """There is always room, and always a chance to be cancelled."""
    await anyio.lowlevel.checkpoint()


def thread(**provider: Any) -> ThreadRecord:  # noqa: ANN401 - members of Provider
    metadata = ThreadMetadata(
        id=new_id(),
        created_at=0.0,
        updated_at=0.0,
        provider="fake",
        model="model-1",
        effort=None,
        cwd="/",
        originator="tests",
        version="1",
    )
    settings = ThreadSettings(instructions="Be brief.", tools=[LOOKUP])
    return ThreadRecord(metadata, settings, Provider("fake", "Fake")._replace(**provider))


def said(text: str) -> UserMessage:
    content: list[Any] = [{"type": "text", "text": text}]
    return UserMessage(content, None, message_item(content, "/nowhere"))


def text_result(text: str, *, success: bool = True) -> dict[str, Any]:
    return {"contentItems": [{"type": "inputText", "text": text}], "success": success}


def answer(*events: Step, headers: Mapping[str, str] | None = None) -> Stream:
    """Play events, then complete."""
    return Stream([*events, completed()], headers)


def completed(tokens: int = 15) -> Event:
    return {"type": "response.completed", "response": {"output": [], "usage": {"total_tokens": tokens}}}


def opened(item_id: str) -> Event:
    return {"type": "response.output_item.added", "item": {"type": "message", "id": item_id}}


def delta(item_id: str, text: str) -> Event:
    return {"type": "response.output_text.delta", "item_id": item_id, "delta": text}


def message(item_id: str, text: str) -> Event:
    content = [{"type": "output_text", "text": text}]
    return {
        "type": "response.output_item.done",
        "item": {"type": "message", "role": "assistant", "id": item_id, "content": content},
    }


def call(call_id: object = "c1", name: object = "lookup", arguments: object = '{"id": 1}', **more: object) -> Event:
    shape = {"type": "function_call", "id": f"fc-{call_id}", "call_id": call_id, "name": name}
    return {"type": "response.output_item.done", "item": {**shape, "arguments": arguments, **more}}


def words(history: list[Event]) -> list[str]:
    """Return what stands in a request's input, in short."""
    return [_word(item) for item in history]


def _word(item: Event) -> str:
    match item["type"]:
        case "message":
            return f"{item['role']}: {item['content'][0]['text']}"
        case "function_call":
            return f"call {item['call_id']}"
        case "function_call_output":
            return f"output {item['call_id']}: {item['output']}"
        case kind:
            return str(kind)
