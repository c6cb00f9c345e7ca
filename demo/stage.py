"""The demo's stage: every call and every notification is shown as it happens, and compared with what must happen.

Owns presentation: short lines, no whole token, colour only on a terminal. Knows the protocol's shapes just well
enough to say the gist of a message; scenes.py holds what must happen.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any, Final

import anyio

if TYPE_CHECKING:
    from typing import TextIO

    from appserver.client import AsyncAppServer, NotificationStream

WAIT_SECONDS: Final = 10.0
"""What the demo waits for any one thing: each takes milliseconds, also on a slow machine less than this."""

LINE_WIDTH: Final = 110
"""Where a line is cut short."""

_SECRETS: Final = frozenset(("accessToken", "idToken", "refreshToken", "apiKey", "authToken"))
_UUID: Final = re.compile(
    r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{4}([0-9a-f]{8})\b"
)  # its end tells it from others
_COLOURS: Final = {"→": "36", "←": "33", "✓": "32", "✗": "31", "#": "1"}
_PLAIN: Final = str.maketrans({"→": "->", "←": "<-", "✓": "ok", "✗": "!!", "…": "..."})


class Difference(Exception):
    """Something was not as it must be."""


class AudienceLeft(Exception):
    """The reader of the output has gone (`| head`)."""


class Printer:
    """Writes marked lines to a text stream."""

    def __init__(self, out: TextIO, *, colour: bool) -> None:
        self._out = out
        self._colour = colour
        self._plain = not (out.encoding or "").lower().startswith("utf")

    def line(self, mark: str, text: str, indent: int = 3) -> None:
        """Write a line: a mark (arrow, tick or nothing) and a text."""
        shown = f"{mark} {text}" if mark else text
        if len(shown) > LINE_WIDTH and mark != "✗":
            shown = f"{shown[: LINE_WIDTH - 1]}…"
        shown = " " * indent + shown
        if self._plain:
            shown = shown.translate(_PLAIN)
        if self._colour and mark in _COLOURS:
            shown = f"\x1b[{_COLOURS[mark]}m{shown}\x1b[0m"
        try:
            self._out.write(f"{shown}\n")
            self._out.flush()
        except BrokenPipeError:
            raise AudienceLeft from None

    def title(self, text: str) -> None:
        self.line("", "", indent=0)
        self.line("#", text, indent=0)


class Stage:
    """A daemon in front of an audience."""

    def __init__(self, server: AsyncAppServer, told: NotificationStream, printer: Printer) -> None:
        self.printer = printer
        self._server = server
        self._told = told
        self._questions, self._questions_in = _channel()
        self._answers, self._answers_in = _channel()

    async def call(self, method: str, params: dict[str, Any] | None = None) -> Any:  # noqa: ANN401 - whatever the method returns
        """Send a request and return its result."""
        self.printer.line("→", f"{method} {compact(params)}" if params else method)
        result = await self._server.request(method, params, timeout=WAIT_SECONDS)
        self.printer.line("←", compact(_gist_of_result(result)))
        return result

    async def expect(self, method: str, **members: object) -> dict[str, Any]:
        """Wait for the next notification, which must be this one, and return its params."""
        note = await self._told.next(WAIT_SECONDS)
        params = note.to_wire()
        self.printer.line("←", f"{note.method} {gist(note.method, params)}".rstrip())
        if note.method != method:
            raise Difference(f"{method} must come next, and {note.method} came")
        for name, value in members.items():
            self.compare(f"{method}: {name}", params.get(name), value)
        return params

    def take_requests(self, method: str) -> None:
        """Let `asked` and `answer` speak for the client when the server sends a request of this method."""

        async def hand_over(params: dict[str, Any]) -> object:
            await self._questions_in.send(params)
            return await self._answers.receive()

        self._server.on_request(method, hand_over)

    async def asked(self, method: str) -> dict[str, Any]:
        """Wait until the server asks the client, and return the params."""
        try:
            with anyio.fail_after(WAIT_SECONDS):
                params: dict[str, Any] = await self._questions.receive()
        except TimeoutError:
            raise Difference(f"the server did not ask for {method}") from None
        self.printer.line("←", f"{method} {compact(params)}")
        return params

    async def answer(self, result: dict[str, Any]) -> None:
        self.printer.line("→", compact(result))
        with anyio.fail_after(WAIT_SECONDS):
            await self._answers_in.send(result)

    def tell(self, text: str) -> None:
        """Say what happens beside the protocol."""
        self.printer.line("", text)

    def check(self, what: str, found: object, wanted: object = True) -> None:
        """Show that something is as it must be. Raises Difference."""
        self.compare(what, found, wanted)
        self.printer.line("✓", what)

    def compare(self, what: str, found: object, wanted: object) -> None:
        """Raise Difference, which shows no token, if something is not as it must be."""
        if found != wanted:
            raise Difference(f"{what}: expected {compact(wanted)}, got {compact(found)}")

    def close(self) -> None:
        """Close the channels between scenes and the server's requests."""
        for end in (self._questions, self._questions_in, self._answers, self._answers_in):
            end.close()


def label(token: str | None) -> str:
    """Name a token so that it can be told from others, and no more."""
    return f"<token {hashlib.sha256(token.encode()).hexdigest()[:6]}>" if token else "none"


def compact(value: object) -> str:
    """Write a value as short JSON, without tokens and without the queries of URLs."""
    return json.dumps(_presentable(value), ensure_ascii=False, separators=(",", ":"), default=str)


def gist(method: str, params: dict[str, Any]) -> str:
    """Say of a notification what an audience wants to know."""
    match method:
        case "item/agentMessage/delta":
            return compact(params["delta"])
        case "item/started" | "item/completed":
            item = params["item"]
            return f"{item['type']} {compact(item['text'])}" if item.get("text") else str(item["type"])
        case "turn/started" | "turn/completed":
            return compact({name: params["turn"][name] for name in ("status", "error")})
        case "thread/status/changed":
            return str(params["status"]["type"])
        case "thread/tokenUsage/updated":
            return compact({"totalTokens": params["tokenUsage"]["total"]["totalTokens"]})
        case "account/rateLimits/updated":
            return compact({"primary": params["rateLimits"]["primary"]})
        case "thread/started":
            return ""
        case _:
            return compact(params)


def _gist_of_result(result: object) -> object:
    match result:
        case {"thread": {"id": thread_id}}:
            return {"thread": {"id": thread_id}}
        case {"turn": {"id": turn_id, "status": status}}:
            return {"turn": {"id": turn_id, "status": status}}
        case _:
            return result


def _presentable(value: object) -> object:
    if isinstance(value, dict):
        return {name: label(one) if name in _SECRETS and one else _presentable(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_presentable(one) for one in value]
    if not isinstance(value, str):
        return value
    if value.startswith(("eyJ", "fake-refresh-", "sk-fake-")):
        return label(value)
    value = _UUID.sub(r"…\1", value)
    return f"{value.partition('?')[0]}?…" if value.startswith("http") and "?" in value else value


def _channel() -> tuple[Any, Any]:
    sending, receiving = anyio.create_memory_object_stream[Any](1)
    return receiving, sending
