"""The model side of the fake backend: the Responses API, the model list, and account usage.

Owns the queue of scripted replies and plays them as an event stream. Learns from the ledger whether a
bearer is good, and nothing else about tokens.
"""

from __future__ import annotations

import json
from collections import deque
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Any, Final

import anyio

from appserver.loopback import Disconnect, Response
from appserver.testing.replies import HttpError, Stream, text
from appserver.testing.service import FaultyService, error_body, respond

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from appserver.testing.ledger import TokenLedger
    from appserver.testing.recording import RecordedRequest
    from appserver.testing.replies import Event, Reply
    from appserver.testing.service import Endpoint, Routes

RESPONSE_ROOTS: Final = ("/v1", "/backend-api/codex")  # of an API key, and of ChatGPT tokens
USAGE_PATHS: Final = ("/backend-api/wham/usage", "/wham/usage", "/api/codex/usage")
PROFILE_PATH: Final = "/backend-api/wham/profiles/me"
RESET_CREDITS_PATH: Final = "/backend-api/wham/rate-limit-reset-credits"
THREAD_USAGE_PATH: Final = "/backend-api/wham/usage/thread_usage/query"

WRITE_BYTES: Final = 64 * 1024
"""Of a stream, at most so much and one event in one write."""

DEFAULT_HEADERS: Final = {
    "x-codex-primary-used-percent": "12.5",
    "x-codex-primary-window-minutes": "300",
    "x-codex-primary-reset-at": "1893456000",
    "x-codex-secondary-used-percent": "5",
    "x-codex-secondary-window-minutes": "10080",
    "x-codex-secondary-reset-at": "1893888000",
}


def default_usage() -> dict[str, Any]:
    """Build the body of GET wham/usage that the backend starts with."""
    primary = {"used_percent": 42, "limit_window_seconds": 18_000, "reset_at": 1_893_456_000}
    secondary = {"used_percent": 5, "limit_window_seconds": 604_800, "reset_at": 1_893_888_000}
    soon = {"reset_after_seconds": 60}
    windows = {"primary_window": {**primary, **soon}, "secondary_window": {**secondary, **soon}}
    return {"plan_type": "pro", "rate_limit": {"allowed": True, "limit_reached": False, **windows}}


def default_profile() -> dict[str, Any]:
    """Build the body of GET wham/profiles/me that the backend starts with."""
    days = [{"start_date": "2026-01-01", "tokens": 1000}, {"start_date": "2026-01-02", "tokens": 234}]
    streaks = {"current_streak_days": 2, "longest_streak_days": 7, "longest_running_turn_sec": 90}
    return {"stats": {"lifetime_tokens": 1234, "peak_daily_tokens": 1000, **streaks, "daily_usage_buckets": days}}


def echo(request: RecordedRequest) -> Reply:
    """Say what the last input item said: the reply when nothing is scripted."""
    said = _last_input(request.json())
    return text("You said: ", *(f"{word} " for word in said.split()[:-1]), *said.split()[-1:])


class ModelApi(FaultyService):
    """The scriptable model.

    `headers` go with every stream (rate limits); `usage`, `profile`, `reset_credits` and `models` are the JSON of
    their endpoints; `thread_usage` is what the backend knows of threads, by their ids; `default` makes the reply
    when the script has run out. All may be replaced at any time. A request that is refused for its token, or takes
    an injected fault, leaves the script untouched.
    """

    def __init__(self, ledger: TokenLedger) -> None:
        super().__init__()
        self.headers: dict[str, str] = dict(DEFAULT_HEADERS)
        self.usage: dict[str, Any] = default_usage()
        self.profile: dict[str, Any] = default_profile()
        self.reset_credits: dict[str, Any] = {"available_count": 0, "credits": []}
        self.thread_usage: dict[str, dict[str, Any]] = {}
        self.models: dict[str, Any] = {"models": []}
        self.default: Callable[[RecordedRequest], Reply] = echo
        self._ledger = ledger
        self._script: deque[Reply] = deque()
        self._streams = 0

    def script(self, *replies: Reply) -> None:
        """Queue replies: each turn request takes one, in order."""
        self._script.extend(replies)

    @property
    def unplayed(self) -> int:
        """How many scripted replies no request has taken yet."""
        return len(self._script)

    def clear_script(self) -> None:
        """Forget the replies that no request has taken yet."""
        self._script.clear()

    def routes(self) -> Routes:
        table: dict[tuple[str, str], Endpoint] = {("GET", "/models"): self._get_models}
        for root in RESPONSE_ROOTS:
            table["POST", f"{root}/responses"] = self._create_response
            table["GET", f"{root}/models"] = self._get_models
        table |= {("GET", path): self._get_usage for path in USAGE_PATHS}
        table["GET", PROFILE_PATH] = self._get_profile
        table["GET", RESET_CREDITS_PATH] = self._get_reset_credits
        table["POST", THREAD_USAGE_PATH] = self._query_thread_usage
        return table

    async def _get_models(self, request: RecordedRequest) -> Response:
        return self._refusal(request) or respond(self.models)

    async def _get_usage(self, request: RecordedRequest) -> Response:
        return self._refusal(request) or respond(self.usage)

    async def _get_profile(self, request: RecordedRequest) -> Response:
        return self._refusal(request) or respond(self.profile)

    async def _get_reset_credits(self, request: RecordedRequest) -> Response:
        return self._refusal(request) or respond(self.reset_credits)

    async def _query_thread_usage(self, request: RecordedRequest) -> Response:
        wanted = request.params().get("thread_ids", [])
        known = [{"thread_id": one, **self.thread_usage[one]} for one in wanted if one in self.thread_usage]
        return self._refusal(request) or respond({"threads": known})

    async def _create_response(self, request: RecordedRequest) -> Response:
        if refusal := self._refusal(request):
            return refusal
        reply = self._script.popleft() if self._script else self.default(request)
        if isinstance(reply, HttpError):
            return respond(reply.body, reply.status, reply.headers)
        self._streams += 1
        headers = {"content-type": "text/event-stream", **self.headers, **reply.headers}
        return Response(200, headers, _play(reply, f"resp-{self._streams}"))

    def _refusal(self, request: RecordedRequest) -> Response | None:
        if self._ledger.accepts(request.bearer):
            return None
        message = "Provided authentication token is expired. Please try signing in again."
        return respond(error_body("token_expired", message), 401)


async def _play(stream: Stream, response_id: str) -> AsyncIterator[bytes]:
    """Send the events of a stream, pausing, holding and breaking off where it says.

    Events between two of these are sent together, as far as WRITE_BYTES allows: so a long answer comes as fast as a
    server can read it.
    """
    written, deltas = bytearray(), 0
    for number, event in enumerate(events_of(stream, response_id)):
        is_delta = event["type"].endswith(".delta")
        holds = stream.gate if number and deltas == stream.hold_after else None  # response.created comes first
        cuts = number > 0 and deltas == stream.cut_after
        if written and (holds or cuts or (is_delta and stream.delay) or len(written) >= WRITE_BYTES):
            yield bytes(written)
            written.clear()
        if holds:
            await holds.hold()
        if cuts:
            raise Disconnect
        if is_delta:
            deltas += 1
            if stream.delay:
                await anyio.sleep(stream.delay)
        comment = ": keep-alive\n\n" if stream.keep_alive else ""
        data = json.dumps({**event, "sequence_number": number})
        written += f"{comment}event: {event['type']}\ndata: {data}\n\n".encode()
    if written:
        yield bytes(written)


def events_of(stream: Stream, response_id: str) -> Iterator[Event]:
    """Generate the events that a stream consists of."""
    response = {"id": response_id, "object": "response", "status": "in_progress"}
    yield {"type": "response.created", "response": response}
    items = [item.events(f"{response_id}-item-{index}", index) for index, item in enumerate(stream.items)]
    yield from _side_by_side(items) if stream.interleaved else chain.from_iterable(items)
    if stream.unfinished:
        return
    if stream.ending is None:
        done = {**response, "status": "completed", "output": [], "usage": dict(stream.usage)}
        yield {"type": "response.completed", "response": done}
    elif "response" in stream.ending:
        yield {**stream.ending, "response": {**response, **stream.ending["response"]}}
    else:
        yield stream.ending


def _side_by_side(items: list[Iterator[Event]]) -> Iterator[Event]:
    for events in zip_longest(*items):
        yield from (event for event in events if event is not None)


def _last_input(body: object) -> str:
    """Find the text of the last input item: a message's parts, a tool's output, or a plain string."""
    items = body.get("input") if isinstance(body, dict) else None
    if isinstance(items, str):
        return items
    last = items[-1] if isinstance(items, list) and items and isinstance(items[-1], dict) else {}
    content = last.get("content", last.get("output", ""))
    if isinstance(content, list):
        return " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return str(content)
