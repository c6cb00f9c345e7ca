"""The headers of a request to the model backend: the provider's own, the client's identity, and the credential.

Refuses values that no header can hold, with an error that names the setting or variable and never the value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from appserver.errors import ConfigError
from appserver.headers import is_name, is_token, is_value
from protocol.base import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appserver.llm.authorized import Access
    from appserver.session import Session
    from appserver.settings import Provider
    from appserver.trace_context import TraceContext

WHITE_SPACE = " \t\r\n"
"""Not part of a value (RFC 9110, section 5.5): it comes along from a file or the clipboard."""

TRANSFER_ENCODING = "transfer-encoding"
"""It would contradict the length of the body."""

UNSENDABLE = "has characters that cannot be sent in an HTTP header"


def own_key(provider: Provider) -> Secret | None:
    """Return the provider's own API key, None if its settings name none. Raises ConfigError if it cannot be sent."""
    key = Secret(provider.api_key.reveal().strip(WHITE_SPACE)) if provider.api_key else None
    if not key:
        if provider.env_key:
            hint = f" {provider.env_key_hint}" if provider.env_key_hint else ""
            raise ConfigError(f"Missing environment variable: `{provider.env_key}`.{hint}")  # the reference's words
        return None
    if not is_token(key.reveal()):
        source = f" in the environment variable {provider.env_key}" if provider.env_key else ""
        raise ConfigError(f"The API key of model provider {provider.id}{source} {UNSENDABLE}")
    return key


def secret_headers(provider: Provider) -> Iterator[Secret]:
    """Yield the values that come from the environment: most of them are credentials."""
    for name in provider.env_headers:
        yield Secret(provider.headers[name].strip(WHITE_SPACE))


def request_headers(
    provider: Provider,
    access: Access | None,
    session: Session,
    thread_id: str,
    size: int,
    trace: TraceContext | None = None,
) -> httpx.Headers:
    """Return the headers of a turn; `size`: of its body. Raises ConfigError if one of the provider's cannot be sent."""
    headers = identity(access, session)
    if trace is not None:
        headers |= trace.headers
    headers |= {
        "session-id": thread_id,
        "thread-id": thread_id,
        "Accept": "text/event-stream",
        "Accept-Encoding": "identity",  # a compressed stream would arrive in bursts
        "Content-Type": "application/json",
        "Content-Length": str(size),
    }
    ours = {name.lower() for name in headers}
    own = [(name, value) for name, value in _configured(provider) if name.lower() not in ours]
    return httpx.Headers([*own, *headers.items()], encoding="utf-8")


def identity(access: Access | None, session: Session) -> dict[str, str]:
    """Return the headers that identify the client and the account."""
    headers = {"originator": session.originator, "User-Agent": session.user_agent}
    if access is not None:
        headers["Authorization"] = f"Bearer {access.token.reveal()}"
        if access.account_id:
            headers["chatgpt-account-id"] = access.account_id
    return headers


def _configured(provider: Provider) -> Iterator[tuple[str, str]]:
    for name, value in provider.headers.items():
        if not is_name(name):
            raise ConfigError(f"Model provider {provider.id}: {name!r:.60} cannot be the name of an HTTP header")
        if name.lower() == TRANSFER_ENCODING:
            continue
        stripped = value.strip(WHITE_SPACE)
        if not is_value(stripped):
            variable = provider.env_headers.get(name)
            source = f"the environment variable {variable}" if variable else "http_headers"
            raise ConfigError(f"Model provider {provider.id}: the value of {name} in {source} {UNSENDABLE}")
        yield name, stripped
