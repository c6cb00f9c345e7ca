"""The one HTTP stack: how every request to the issuer and the model backend leaves this process.

Owns connections, TLS trust and proxies (which httpx reads from the environment), and the bounds on a response in time
and size. Imported when the first request is made, not at start-up. A TLS context is built only for an https URL:
loading the CA bundle costs more than a turn. No cookie is kept: one account's must not be sent with another's request.
"""

from __future__ import annotations

import json
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple
from urllib.request import getproxies

import anyio
import httpx

from appserver.daemon_threads import use_daemon_threads
from appserver.errors import ConfigError
from appserver.http_failure import HttpFailure, place, translated
from appserver.http_transport import Transport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from appserver.settings import Settings

CONNECT_TIMEOUT = 15.0
"""Seconds for TCP, and as many for TLS."""

MAX_CONNECT_SECONDS = 4 * CONNECT_TIMEOUT
"""TCP and TLS, to a proxy and through it; a proxy that answers byte by byte has no other bound."""

ISSUER_TIMEOUT = 30.0
"""Seconds without a byte from the issuer or a plain endpoint."""

MIN_UPLOAD_RATE = 32 * 1024
"""Bytes per second. The size of what is sent in one piece decides how long that may take."""

MAX_ANSWER_BYTES = 2 * 1024 * 1024
"""Of a response that is read whole. Tokens and usage take some KiB, a list of models some hundred."""

MAX_ERROR_BYTES = 64 * 1024
"""How much of the body of a failure response is read: its message is at the beginning."""

ERROR_BODY_SECONDS = 5.0
"""How long it is read, first byte to last: the status is known already, and the caller should learn of it soon."""

MAX_CONNECTIONS = None
"""No cap: a turn holds a connection while it streams, and the number of turns is bounded elsewhere."""

MAX_IDLE_CONNECTIONS = 20
IDLE_SECONDS = 60.0


class HttpAnswer(NamedTuple):
    """A response that was read whole; of a failure, the first MAX_ERROR_BYTES."""

    status: int
    body: bytes

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    def json(self) -> object:
        """Return the body as JSON, None if it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):  # the latter from brackets nested thousands deep
            return None


class Http:
    """Clients for plain and for TLS URLs, made when first needed and closed together.

    A request is built by a function of its caller's, in the call that sends it: it holds secrets, and an error may be
    recorded with the variables of each frame.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._clients: dict[str, httpx.AsyncClient] = {}

    async def ask(self, url: str, build: Callable[[httpx.AsyncClient], httpx.Request], seconds: float) -> HttpAnswer:
        """Send a request and read its answer, all within so many seconds. Raises HttpFailure, ConfigError."""
        client = self.client(url)
        with translated(url), anyio.move_on_after(seconds):
            response = await client.send(build(client), stream=True)
            if not response.is_success:
                return HttpAnswer(response.status_code, await read_error(response))
            try:
                return HttpAnswer(response.status_code, await _read(response))
            finally:
                await response.aclose()
        raise HttpFailure(f"no complete answer within {seconds:g} s ({place(url)})")

    async def open(
        self,
        url: str,
        build: Callable[[httpx.AsyncClient], httpx.Request],
        *,
        send_seconds: float,
        header_seconds: float,
    ) -> httpx.Response:
        """Send a request and return its answer with the body unread. Raises HttpFailure, ConfigError.

        The bounds are for all of the request's body, and for all headers of the answer, informational responses
        included: the HTTP library's own timeouts begin anew with every byte.
        """
        client = self.client(url)
        with translated(url), anyio.move_on_after(MAX_CONNECT_SECONDS) as scope:
            request = build(client)
            request.stream = body = _BoundedBody(request.stream, scope, send_seconds, header_seconds)
            response = await client.send(request, stream=True)
            if response.is_success and _is_compressed(response):
                await response.aclose()
                raise _compressed()
            return response
        raise HttpFailure(f"{body.awaited} in time ({place(url)})")

    async def close(self) -> None:
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()

    def client(self, url: str) -> httpx.AsyncClient:
        """Return the client for this URL. Raises ConfigError if the configured CA file or proxy cannot be used."""
        scheme = "https" if url.startswith("https:") else "http"
        if not self._clients:
            use_daemon_threads()
        if scheme not in self._clients:
            self._clients[scheme] = self._new_client(scheme)
        return self._clients[scheme]

    def _new_client(self, scheme: str) -> httpx.AsyncClient:
        proxies = getproxies()
        # Without TLS there is nothing to verify, unless the way leads through a proxy that has it.
        trust = self._trust() if scheme == "https" or proxies else None
        try:
            return _Client(
                verify=trust or False,
                transport=None if proxies else Transport(trust, MAX_IDLE_CONNECTIONS, IDLE_SECONDS),
                timeout=httpx.Timeout(ISSUER_TIMEOUT, connect=CONNECT_TIMEOUT),
                limits=httpx.Limits(
                    max_connections=MAX_CONNECTIONS,
                    max_keepalive_connections=MAX_IDLE_CONNECTIONS,
                    keepalive_expiry=IDLE_SECONDS,
                ),
                # Compression would hold back a stream, and let a small answer become a large one.
                headers={"Accept": "*/*", "Accept-Encoding": "identity"},
            )
        except ImportError:
            raise ConfigError("SOCKS proxies are not supported; the environment names one (ALL_PROXY)") from None
        except (ValueError, httpx.InvalidURL):
            raise ConfigError(
                "The environment names a proxy that cannot be used (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY)"
            ) from None

    def _trust(self) -> ssl.SSLContext:
        """Trust httpx's CA bundle and, added to it, the file that the environment names."""
        context = httpx.create_ssl_context(trust_env=False)
        if self._settings.ca_file:
            try:
                context.load_verify_locations(cafile=self._settings.ca_file)
            except (OSError, ssl.SSLError) as exc:
                reason = getattr(exc, "strerror", None) or exc
                raise ConfigError(f"{self._settings.ca_variable}={self._settings.ca_file}: {reason}") from None
        return context


class _NoCookies(httpx.Cookies):
    """Takes none from a response, which costs much for each where there are none, too."""

    def extract_cookies(self, response: httpx.Response) -> None:
        """Pass them over."""


class _Client(httpx.AsyncClient):
    @property
    def cookies(self) -> httpx.Cookies:
        """None."""
        return _NoCookies()

    @cookies.setter
    def cookies(self, cookies: object) -> None:
        """Keep none."""


def write_timeout(size: int) -> float:
    """Return the seconds that so many bytes may take to be sent."""
    return ISSUER_TIMEOUT + size / MIN_UPLOAD_RATE


async def read_error(response: httpx.Response) -> bytes:
    """Read the beginning of a failure response and close it. If the connection breaks, return what has come."""
    body = bytearray()
    try:
        with suppress(httpx.HTTPError, OSError), anyio.move_on_after(ERROR_BODY_SECONDS):
            if not _is_compressed(response):
                async for chunk in response.aiter_raw():
                    body += chunk
                    if len(body) >= MAX_ERROR_BYTES:
                        break
    finally:
        await response.aclose()
    return bytes(body[:MAX_ERROR_BYTES])


async def _read(response: httpx.Response) -> bytes:
    if _is_compressed(response):
        raise _compressed()
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise HttpFailure(f"the answer is longer than {MAX_ANSWER_BYTES} bytes", transient=False)
    return bytes(body)


def _is_compressed(response: httpx.Response) -> bool:
    encoding: str = response.headers.get("content-encoding", "identity")
    return encoding.lower() != "identity"


def _compressed() -> HttpFailure:
    return HttpFailure("the answer is compressed, which was not asked for", transient=False)


class _BoundedBody(httpx.AsyncByteStream):
    """The body of a request, which sets the deadline of a scope: for itself to be sent, then for the answer to come."""

    def __init__(
        self,
        body: httpx.SyncByteStream | httpx.AsyncByteStream,
        scope: anyio.CancelScope,
        send_seconds: float,
        answer_seconds: float,
    ) -> None:
        assert isinstance(body, httpx.AsyncByteStream)  # noqa: S101 - as all are that an asynchronous client sends
        self.awaited = "no connection"
        self._body = body
        self._scope = scope
        self._send_seconds = send_seconds
        self._answer_seconds = answer_seconds

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.awaited = "the request was not taken"
        self._scope.deadline = anyio.current_time() + self._send_seconds
        async for piece in self._body:
            yield piece
        self.awaited = "no answer"
        self._scope.deadline = anyio.current_time() + self._answer_seconds
