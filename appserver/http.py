"""The one HTTP stack: how every request to the issuer and the model backend leaves this process.

Owns connections, TLS trust and proxies (which httpx reads from the environment). Imported when the first request is
made, not at start-up. A TLS context is built only for an https URL: loading the CA bundle costs more than a turn. No cookie is kept: one account's must not be sent with another's request.
"""

from __future__ import annotations

import ssl
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING
from urllib.request import getproxies

import httpx

from appserver.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from appserver.settings import Settings

CONNECT_TIMEOUT = 15.0
"""Seconds for TCP and TLS."""

ISSUER_TIMEOUT = 30.0
"""Seconds without a byte from the issuer or a plain endpoint."""

MAX_CONNECTIONS = None
"""No cap: a turn holds a connection while it streams, and the number of turns is bounded elsewhere."""

MAX_IDLE_CONNECTIONS = 20
IDLE_SECONDS = 60.0


class Http:
    """Clients for plain and for TLS URLs, made when first needed and closed together."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._clients: dict[str, httpx.AsyncClient] = {}

    def client(self, url: str) -> httpx.AsyncClient:
        """Return the client for this URL. Raises ConfigError if the configured CA file cannot be used."""
        scheme = "https" if url.startswith("https:") else "http"
        if scheme not in self._clients:
            self._clients[scheme] = httpx.AsyncClient(
                # Without TLS there is nothing to verify, unless the way leads through a proxy that has it.
                verify=self._trust() if scheme == "https" or getproxies() else False,
                timeout=httpx.Timeout(ISSUER_TIMEOUT, connect=CONNECT_TIMEOUT),
                limits=httpx.Limits(
                    max_connections=MAX_CONNECTIONS,
                    max_keepalive_connections=MAX_IDLE_CONNECTIONS,
                    keepalive_expiry=IDLE_SECONDS,
                ),
                headers={"Accept": "*/*"},
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            )
        return self._clients[scheme]

    async def close(self) -> None:
        """Close all connections."""
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()

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


def describe(exc: httpx.HTTPError, url: str) -> str:
    """Say what went wrong with a request, without its query (which may hold a code) and without a traceback."""
    place = httpx.URL(url).copy_with(query=None, fragment=None)
    return f"{_kind(exc)} ({place.scheme}://{place.netloc.decode('ascii')}{place.path})"


def _kind(exc: httpx.HTTPError) -> str:
    match exc:
        case httpx.ConnectTimeout():
            return "could not connect in time"
        case httpx.TimeoutException():
            return "no answer in time"
        case httpx.ConnectError():
            return f"could not connect: {exc}"
        case _:
            return f"connection failed: {str(exc) or type(exc).__name__}"


def error_code(body: object) -> str | None:
    """Return the error code of an answer: at error.code, error (RFC 6749, section 5.2), or top-level code."""
    if not isinstance(body, dict):
        return None
    error = body.get("error")
    found: Mapping[str, object] = error if isinstance(error, dict) else body
    code = found.get("code") if isinstance(error, dict) else (error or found.get("code"))
    return code if isinstance(code, str) else None
