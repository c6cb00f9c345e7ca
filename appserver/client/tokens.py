"""Tokens that the application owns: asked of it once, however many requests wait for them.

Knows no connection.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import anyio

from appserver.client.calls import call_function
from protocol.base import Secret


@dataclass(frozen=True)
class Tokens:
    """Tokens of the application. What is None is read from the claims of the others."""

    access_token: str | Secret = field(repr=False)
    id_token: str | Secret | None = field(default=None, repr=False)
    account_id: str | None = None
    plan_type: str | None = None

    def to_wire(self) -> dict[str, Any]:
        """Return them as requests have them."""
        found = {
            "accessToken": _revealed(self.access_token),
            "idToken": _revealed(self.id_token),
            "chatgptAccountId": self.account_id,
            "chatgptPlanType": self.plan_type,
        }
        return {name: value for name, value in found.items() if value is not None}


@dataclass(frozen=True)
class TokenRequest:
    """What a token provider is told.

    reason: "login" at the start and after a restart; "unauthorized" when the backend refuses the last tokens, so that
    returning the same ones again is of no use. previous_account_id: whose tokens those were.
    """

    reason: Literal["login", "unauthorized"]
    previous_account_id: str | None = None


TokenProvider = Callable[[TokenRequest], "Tokens | str | Awaitable[Tokens | str]"]
"""Returns tokens, or just an access token. May be a coroutine function; one that is not runs in a thread."""


class SingleFlight:
    """Calls a provider once for all that ask while it is at work."""

    def __init__(self, provider: TokenProvider) -> None:
        self._provider = provider
        self._call: _Call | None = None

    async def tokens(self, request: TokenRequest) -> Tokens:
        """Return what the provider returns. Raises what it raises."""
        while True:
            call = self._call
            if call is None:
                return await self._make(request)
            await call.ended.wait()
            if call.tokens is not None:
                return call.tokens
            if call.error is not None:
                raise call.error
            # The caller that had asked was cancelled: it is another one's turn.

    async def _make(self, request: TokenRequest) -> Tokens:
        call = self._call = _Call(anyio.Event())
        try:
            call.tokens = await _asked(self._provider, request)
        except Exception as exc:
            call.error = exc
            raise
        finally:
            self._call = None
            call.ended.set()
        return call.tokens


@dataclass
class _Call:
    ended: anyio.Event
    tokens: Tokens | None = None
    error: Exception | None = None


async def _asked(provider: TokenProvider, request: TokenRequest) -> Tokens:
    """Call a provider. Raises what it raises, and TypeError if it returns no tokens."""
    answer = await call_function(provider, request)
    if isinstance(answer, Tokens):
        return answer
    if isinstance(answer, str) and answer:
        return Tokens(answer)
    raise TypeError(f"the token provider returned {type(answer).__name__}, not tokens")


def _revealed(secret: str | Secret | None) -> str | None:
    return secret.reveal() if isinstance(secret, Secret) else secret
