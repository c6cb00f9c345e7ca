"""One HTTP call to the model backend: a request out, events in.

Owns URLs, headers and bodies of the Responses API. Does not retry, does not know how a token is refreshed.
"""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import anyio
import httpx

from appserver import json_text
from appserver.errors import BackendError
from appserver.http import CONNECT_TIMEOUT, read_error, write_timeout
from appserver.http_failure import HttpFailure, translated
from appserver.http_transport import REPEATABLE
from appserver.llm.events import decode_event, failure_of_answer, not_connected, stream_cut
from appserver.llm.headers import request_headers
from appserver.llm.retry import told_wait
from appserver.llm.sse import EventStreamParser, EventTooLong
from appserver.request_context import current_context
from appserver.settings import DEFAULT_API_BASE_URL
from appserver.telemetry import NO_TELEMETRY, error_name

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from appserver.http import Http
    from appserver.llm.authorized import Access
    from appserver.llm.events import Event
    from appserver.session import Session
    from appserver.settings import Provider, Settings
    from appserver.tasks import Tasks
    from appserver.telemetry import Span, Telemetry
    from appserver.trace_context import TraceContext

HEADER_SECONDS = 60.0
"""For the response headers of a hosted backend: far more than it takes, and less than a person waits."""

PIECE_BYTES = 256 * 1024
"""Of a request's body that are given to the socket at once."""

FINAL = frozenset({"response.completed", "response.incomplete", "response.failed"})
"""The types of events after which a response has nothing more to say."""

END_SECONDS = 5.0
"""What the end of a response's body may take after its final event. Servers mostly send it at once."""


class Request(Protocol):
    """What is asked of a provider."""

    @property
    def provider(self) -> Provider: ...

    @property
    def thread_id(self) -> str:
        """The conversation that it belongs to, as the backend counts and caches by it."""

    @property
    def session(self) -> Session:
        """In whose name."""

    def body(self, access: Access | None) -> dict[str, Any]:
        """Return the body for a backend that is accessed like this."""


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """A request of a turn."""

    provider: Provider
    thread_id: str
    session: Session
    """In whose name."""
    model: str
    instructions: str
    input: list[dict[str, Any]]
    effort: str | None = None
    summary: str | None = None
    verbosity: str | None = None
    service_tier: str | None = None
    output_schema: object = None
    tools: list[dict[str, Any]] = field(default_factory=list)

    def body(self, access: Access | None) -> dict[str, Any]:
        """Return the body, which is the same for every backend."""
        return _body(self)


class EventStream:
    """The event stream of a response. Iterate over it for batches of events; it must be closed on every path."""

    def __init__(self, response: httpx.Response, url: str, span: Span, tasks: Tasks) -> None:
        """`span`: ends when the stream is closed."""
        self._response = response
        self._span = span
        self._tasks = tasks
        self._chunks = response.aiter_raw()
        self._url = url
        self._has_said_all = False

    @property
    def headers(self) -> Mapping[str, str]:
        return self._response.headers

    async def batches(self) -> AsyncGenerator[list[Event], None]:
        """Yield the events that each read brings. Raises BackendError if the stream breaks."""
        parser = EventStreamParser()
        try:
            with translated(self._url):
                async for chunk in self._chunks:
                    events = [event for data in parser.feed(chunk) if (event := decode_event(data)) is not None]
                    if events:
                        self._has_said_all = events[-1]["type"] in FINAL
                        yield events
        except EventTooLong:
            raise stream_cut("an event did not end") from None
        except HttpFailure as exc:
            raise stream_cut(str(exc), retryable=exc.transient) from None

    async def close(self) -> None:
        """Close the response. After its final event the connection is kept for the next request.

        HTTP's own end of the body follows that event, often in a packet of its own, and nobody waits for it here.
        """
        # Who reads the stream closes it on the way out, also when an event tells of a failure.
        failure = sys.exc_info()[1]
        self._span.end(error_name(failure) if isinstance(failure, BackendError) else None)
        if self._has_said_all:
            self._tasks.start(self._read_end)
        else:
            await self._response.aclose()

    async def _read_end(self) -> None:
        """Read the end of the body, with which the connection goes back to the pool. It is closed if more comes."""
        try:
            with suppress(HttpFailure), translated(self._url), anyio.move_on_after(END_SECONDS):
                async for _ in self._chunks:
                    break
        finally:
            await self._response.aclose()


class ModelClient:
    """Sends requests to a provider's Responses API."""

    def __init__(self, http: Http, settings: Settings, tasks: Tasks, telemetry: Telemetry = NO_TELEMETRY) -> None:
        """`tasks`: what becomes of a response's connection outlives the request."""
        self._http = http
        self._settings = settings
        self._tasks = tasks
        self._telemetry = telemetry

    async def open(self, request: Request, access: Access | None) -> EventStream:
        """Send a request and return the event stream of its response.

        Raises BackendError, Unauthorized on 401, ConfigError if the provider's settings cannot be used.
        """
        url = self._base_url(request.provider, access) + "/responses"
        body = request.body(access)
        host = urlsplit(url).hostname or ""
        span = self._telemetry.model_call(request.provider.id, str(body["model"]), host)
        trace = span.trace or current_context.get().trace
        try:
            response = await self._response(request, access, url, json_text.encode_utf8(body), trace)
        except BaseException as exc:
            span.end(error_name(exc))
            raise
        return EventStream(response, url, span, self._tasks)

    async def _response(
        self, request: Request, access: Access | None, url: str, body: bytes, trace: TraceContext | None
    ) -> httpx.Response:
        """Return a response with its headers. Raises as `open`."""
        try:
            response = await self._http.open(
                url,
                lambda _: self._outgoing(url, request, access, body, trace),
                send_seconds=write_timeout(len(body)),
                header_seconds=header_seconds(request.provider),
            )
        except HttpFailure as exc:
            raise not_connected(str(exc), retryable=exc.transient) from None
        if response.status_code != httpx.codes.OK:
            raise await _failure(response)
        return response

    def _outgoing(
        self, url: str, request: Request, access: Access | None, body: bytes, trace: TraceContext | None
    ) -> httpx.Request:
        timeout = httpx.Timeout(
            request.provider.stream_idle_timeout, connect=CONNECT_TIMEOUT, write=write_timeout(PIECE_BYTES)
        )
        return httpx.Request(
            "POST",
            _parsed(url),
            params=request.provider.query or None,
            headers=request_headers(request.provider, access, request.session, request.thread_id, len(body), trace),
            content=_Pieces(body),
            extensions={REPEATABLE: True, "timeout": timeout.as_dict()},
        )

    def _base_url(self, provider: Provider, access: Access | None) -> str:
        """The provider's own, or the built-in one for the way the user signed in."""
        if provider.base_url is not None:
            return provider.base_url
        if access is not None and access.is_chatgpt:
            return f"{self._settings.chatgpt_base_url}/codex"
        return DEFAULT_API_BASE_URL


@lru_cache(maxsize=64)
def _parsed(url: str) -> httpx.URL:
    """Return a URL. Providers have few, and parsing one takes longer than all that is done with it."""
    return httpx.URL(url)


def header_seconds(provider: Provider) -> float:
    """Return the seconds that all of a response's headers may take, from the end of the request on.

    The hosted backends send them at once. A local model server may send none before its first token, which a long
    prompt delays for minutes: for one, only the idle timeout of its stream counts.
    """
    idle = provider.stream_idle_timeout
    return min(idle, HEADER_SECONDS) if provider.requires_openai_auth else idle


class _Pieces:
    """Yield a body in pieces: a socket copies what it cannot send at once, which is slow for a large body."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        for start in range(0, len(self._body), PIECE_BYTES):
            yield self._body[start : start + PIECE_BYTES]


def _body(request: ModelRequest) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": request.model,
        "instructions": request.instructions,
        "input": request.input,
        "tools": request.tools,
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "reasoning": _reasoning(request),
        "store": False,
        "stream": True,
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": request.thread_id,
    }
    if text := _text(request):
        body["text"] = text
    if request.service_tier is not None:
        body["service_tier"] = request.service_tier
    return body


def _text(request: ModelRequest) -> dict[str, Any]:
    text: dict[str, Any] = {"verbosity": request.verbosity} if request.verbosity else {}
    if request.output_schema is not None:
        text["format"] = {"type": "json_schema", "name": "output", "strict": True, "schema": request.output_schema}
    return text


def _reasoning(request: ModelRequest) -> dict[str, str]:
    """Build the reasoning settings. The API has no summary called "none": one is left out."""
    given = {"summary": request.summary if request.summary != "none" else None, "effort": request.effort}
    return {name: value for name, value in given.items() if value}


async def _failure(response: httpx.Response) -> BackendError:
    """Read the beginning of a failure response, and translate it."""
    failure = failure_of_answer(response.status_code, await read_error(response))
    failure.headers = response.headers
    failure.retry_after = told_wait(response.headers, time.time()) or failure.retry_after
    return failure
