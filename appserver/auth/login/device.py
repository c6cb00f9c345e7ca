"""Device code login (RFC 8628), for machines without a browser: when to ask, how often, and when to stop.

Owns the pace and the bounds of one attempt. The requests themselves are oauth_device's and oauth_tokens'; where the
tokens go is the caller's. It looks at no clock of its own: time and sleep are handed in.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

import anyio

from appserver.auth.oauth.device import DeviceGrant, PollAgain, TransientLoginError
from appserver.auth.oauth.pkce import s256_challenge
from appserver.auth.oauth.tokens import LoginGrant
from appserver.errors import LoginError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from appserver.auth.oauth.device import DeviceAnswer, DeviceClient, DeviceCode
    from appserver.auth.oauth.tokens import TokenClient
    from appserver.settings import Settings

LOGIN_SECONDS: Final = 15 * 60.0
"""What the issuer grants the user to type the code. No poll begins later."""

SLOW_DOWN_SECONDS: Final = 5.0
"""Added to the interval each time the issuer asks for patience (RFC 8628, section 3.5)."""

MIN_INTERVAL_SECONDS: Final = 0.2
"""Between two polls, whatever the issuer says: one that names no pause must not make us spin."""

MAX_SERVER_ERRORS: Final = 5
"""Answers 5xx in a row after which the issuer counts as broken. No answer at all does not count."""

_TOO_MANY_REQUESTS: Final = 429


class DeviceLogin:
    """One attempt: `start` for the code that the user types, then `finish` until they have typed it."""

    def __init__(
        self,
        device_client: DeviceClient,
        token_client: TokenClient,
        settings: Settings,
        *,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
        clock: Callable[[], float] = anyio.current_time,
    ) -> None:
        self._device_client = device_client
        self._token_client = token_client
        self._settings = settings
        self._sleep = sleep
        self._clock = clock
        self._device: DeviceCode | None = None
        self._interval = 0.0
        self._deadline = 0.0
        self._server_errors = 0

    async def start(self) -> DeviceCode:
        """Ask the issuer for a code, for the user to type. Raises LoginError."""
        self._device = await self._device_client.request_user_code()
        self._interval = max(MIN_INTERVAL_SECONDS, self._device.interval_seconds)
        self._deadline = self._clock() + LOGIN_SECONDS
        return self._device

    async def finish(self) -> LoginGrant:
        """Wait until the user has agreed, and exchange what that gives.

        Raises LoginError; after 15 minutes at the latest, and the one request that is then under way.
        """
        if self._device is None:
            raise RuntimeError("finish() before start()")
        grant = await self._decision(self._device)
        _check(grant)
        redirect_uri = f"{self._settings.issuer}/deviceauth/callback"
        return LoginGrant(await self._token_client.exchange_code(grant.code, grant.verifier, redirect_uri))

    async def _decision(self, device: DeviceCode) -> DeviceGrant:
        while self._clock() < self._deadline:
            answer = await self._ask(device)
            if isinstance(answer, DeviceGrant):
                return answer
            if answer is PollAgain.SLOW_DOWN:
                self._interval += SLOW_DOWN_SECONDS
            await self._sleep(min(self._interval, max(0.0, self._deadline - self._clock())))
        raise LoginError(f"The device code was not confirmed within {LOGIN_SECONDS / 60:g} minutes. Start a new login")

    async def _ask(self, device: DeviceCode) -> DeviceAnswer:
        """Poll once. What may pass is an answer to ask again, until there was too much of it in a row."""
        try:
            answer = await self._device_client.poll_device(device)
        except TransientLoginError as exc:
            if exc.status is None:
                return PollAgain.PENDING
            if exc.status == _TOO_MANY_REQUESTS:
                return PollAgain.SLOW_DOWN
            self._server_errors += 1
            if self._server_errors >= MAX_SERVER_ERRORS:
                raise
            return PollAgain.PENDING
        self._server_errors = 0
        return answer


def _check(grant: DeviceGrant) -> None:
    """Compare verifier and challenge (RFC 7636, section 4.6): else it fails later, and unexplained."""
    if grant.challenge is None:
        return
    if not secrets.compare_digest(s256_challenge(grant.verifier.reveal()), grant.challenge):
        raise LoginError("The issuer's answer to the device login cannot be used: its code_challenge does not fit")
