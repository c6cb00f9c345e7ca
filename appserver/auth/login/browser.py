"""Browser login: authorization code with PKCE, caught on a loopback port (RFC 8252, section 7.3).

Owns one attempt: the authorize URL, the callback's port, and the check that an answer is ours. The
requests to the issuer are oauth_tokens'; where the tokens go is the caller's. Nothing that arrives in a
query is logged or shown, but for the issuer's own description of an error.
"""

from __future__ import annotations

import errno
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

import anyio

from appserver import loopback
from appserver.auth.login.page import AGAIN, HEADERS, Look, page
from appserver.auth.login.redirect import read_pasted, read_redirect
from appserver.auth.oauth.pkce import new_pkce, new_state
from appserver.auth.oauth.tokens import LoginGrant
from appserver.errors import LoginError
from appserver.loopback import Response, bind, serve
from protocol.base import Secret

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Sequence

    from appserver.auth.login.redirect import Redirect
    from appserver.auth.oauth.tokens import TokenClient
    from appserver.loopback import Request
    from appserver.session import Session
    from appserver.settings import Settings

PORTS: Final = (1455, 1457)
"""The ports of the only redirect URIs that are registered with the issuer."""

HOST_NAMES: Final = ("localhost", "127.0.0.1", "[::1]")
"""What a browser may call this machine. Any other name is another site's."""

CALLBACK_PATH: Final = "/auth/callback"

SCOPE: Final = "openid profile email offline_access api.connectors.read api.connectors.invoke"

LOGIN_SECONDS: Final = 10 * 60.0
"""For the user to sign in. Afterwards the port is free again; a forgotten tab must not hold it."""

NOT_COMPLETED: Final = "Login was not completed"

PAGE_SECONDS: Final = 5.0
"""For the browser to take its last page, once the login is decided."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How the login ended, and the page that says so."""

    result: LoginGrant | LoginError
    status: int
    page: bytes


class _OfAnotherSignIn(LoginError):
    """A redirect with another state: of a sign-in that was given up, or superseded, or is not ours at all."""


class BrowserLogin:
    """One attempt: `start` for the URL that the user opens, then `finish` until they have signed in.

    `paste` helps where the browser runs on another machine. Where `finish` is never called, call `close`.
    """

    def __init__(
        self, token_client: TokenClient, settings: Settings, session: Session, ports: Sequence[int] = PORTS
    ) -> None:
        self._token_client = token_client
        self._settings = settings
        self._session = session
        self._ports = ports
        self._pkce = new_pkce()
        self._state = new_state()
        self._redirect_uri = ""
        self._hosts: frozenset[str] = frozenset()
        self._listeners: list[socket.socket] = []
        self._redirect: Secret | LoginError | None = None  # the code, or the issuer's error
        self._redirected = anyio.Event()
        self._outcome: _Outcome | None = None
        self._decided = anyio.Event()
        self._pages_due = 0
        self._pages_sent = anyio.Event()

    def start(self) -> str:
        """Take a port and return the URL to open. Raises LoginError if no port can be had."""
        self._listeners = _listen(self._ports)
        port = self._listeners[0].getsockname()[1]
        self._hosts = frozenset(f"{name}:{port}" for name in HOST_NAMES)
        self._redirect_uri = f"http://localhost:{port}{CALLBACK_PATH}"  # spelled as it is registered
        return f"{self._settings.issuer}/oauth/authorize?{urlencode(self._authorize_query())}"

    async def finish(self) -> LoginGrant:
        """Serve the callback until the login is decided; the port is free afterwards, also on cancellation.

        Raises LoginError, after 10 minutes at the latest.
        """
        if not self._redirect_uri:
            raise RuntimeError("finish() before start()")
        try:
            with anyio.move_on_after(LOGIN_SECONDS) as bound:
                if self._outcome is None:
                    await self._serve()
            if bound.cancelled_caught:
                self._end_with(_failed(LoginError(f"Nobody signed in within {LOGIN_SECONDS / 60:g} minutes")))
        finally:
            self.close()
        return self._result()

    async def paste(self, redirect_url: Secret) -> LoginGrant:
        """Complete the login with the URL that the browser was sent to, where it could not be reached.

        `finish` must be running; it ends with the same result. Raises LoginError. A URL that does not belong
        to this login changes nothing.
        """
        self._receive(read_pasted(redirect_url))
        with anyio.move_on_after(LOGIN_SECONDS):
            await self._decided.wait()
        return self._result()

    def close(self) -> None:
        """Give the port back, and end the login if it is not decided yet."""
        for listener in self._listeners:
            listener.close()
        self._end_with(_failed(LoginError(NOT_COMPLETED)))

    def _authorize_query(self) -> dict[str, str]:
        """RFC 6749, section 4.1.1; RFC 7636, section 4.3; the rest are the issuer's own parameters."""
        query = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": self._redirect_uri,
            "scope": SCOPE,
            "code_challenge": self._pkce.challenge,
            "code_challenge_method": "S256",
            "id_token_add_organizations": "true",
            "codex_cli_simplified_flow": "true",
            "state": self._state,
            "originator": self._session.originator,
        }
        if self._settings.forced_workspaces:
            query["allowed_workspace_id"] = ",".join(self._settings.forced_workspaces)
        return query

    async def _answer(self, request: Request) -> Response:
        if request.headers.get("host", "").lower() not in self._hosts:
            # A page can have the browser connect here under a name of its own (DNS rebinding), and read the answer.
            return Response(421, HEADERS, page(Look.FAILED, "Misdirected", "This address belongs to another server."))
        if request.path != CALLBACK_PATH:
            return Response(404, HEADERS, page(Look.FAILED, "Not found", "There is nothing here."))
        if request.method != "GET":
            refusal = page(Look.FAILED, "Not allowed", "Only GET is answered here.")
            return Response(405, HEADERS | {"Allow": "GET"}, refusal)
        try:
            self._receive(read_redirect(request.query_string))
        except _OfAnotherSignIn as exc:
            return Response(400, HEADERS, page(Look.EXPIRED, "This sign-in has expired", exc.message, AGAIN))
        except LoginError as exc:
            return Response(400, HEADERS, page(Look.FAILED, "Sign-in not accepted", exc.message))
        self._pages_due += 1
        await self._decided.wait()  # also a second request for the same redirect: one exchange serves both
        outcome = self._outcome or _failed(LoginError(NOT_COMPLETED))
        headers = HEADERS | {"Content-Length": str(len(outcome.page))}
        return Response(outcome.status, headers, self._last_page(outcome.page))

    def _receive(self, redirect: Redirect) -> None:
        """Take what came back from the issuer; only the first counts. Raises LoginError if it is not ours."""
        if not secrets.compare_digest(redirect.state.reveal().encode("utf-8", "surrogatepass"), self._state.encode()):
            raise _OfAnotherSignIn("This address belongs to another sign-in. Use the link that was opened last")
        if redirect.result is None:
            raise LoginError("The address holds no authorization code. Sign in again")
        if self._redirect is None:
            self._redirect = redirect.result
            self._redirected.set()

    async def _serve(self) -> None:
        async with anyio.create_task_group() as tasks:
            for listener in self._listeners:
                tasks.start_soon(serve, listener, self._answer)
            await self._decide()
            tasks.cancel_scope.cancel()

    async def _decide(self) -> None:
        """Exchange the code when it comes, then see that the pages that wait for it are delivered."""
        await self._redirected.wait()
        self._end_with(await self._exchange())
        if self._pages_due:
            with anyio.move_on_after(PAGE_SECONDS):
                await self._pages_sent.wait()

    async def _exchange(self) -> _Outcome:
        if not isinstance(self._redirect, Secret):
            return _failed(self._redirect or LoginError(NOT_COMPLETED), 400)
        try:
            tokens = await self._token_client.exchange_code(self._redirect, self._pkce.verifier, self._redirect_uri)
        except LoginError as exc:
            return _failed(exc, 502)
        key = await self._token_client.exchange_api_key(tokens.id_token) if tokens.id_token else None
        farewell = page(Look.DONE, "Signed in", "You can close this window and go back to the application.")
        return _Outcome(LoginGrant(tokens, key), 200, farewell)

    def _end_with(self, outcome: _Outcome) -> None:
        """Decide the login, once; a later outcome changes nothing."""
        if self._outcome is None:
            self._outcome = outcome
            self._decided.set()

    def _result(self) -> LoginGrant:
        result = self._outcome.result if self._outcome else LoginError(NOT_COMPLETED)
        if isinstance(result, LoginError):
            raise LoginError(result.message)  # anew: finish and paste each raise it, with a traceback of their own
        return result

    async def _last_page(self, content: bytes) -> AsyncIterator[bytes]:
        """Send the page as a stream: that resumes once the page is sent, and tells when the server may go."""
        try:
            yield content
        finally:
            self._pages_due -= 1
            if not self._pages_due:
                self._pages_sent.set()


def _listen(ports: Sequence[int]) -> list[socket.socket]:
    """Listen on the first port that is free. Whatever the system objects to, the next one may do."""
    problems = []
    for port in ports:
        try:
            return _bind_both(port)
        except OSError as exc:
            problems.append(f"{port} ({exc.strerror or exc})")
    raise LoginError(
        f"The sign-in needs port {' or '.join(problems)}. Free one of them, "
        'or sign in with a device code (login type "chatgptDeviceCode")'
    )


def _bind_both(port: int) -> list[socket.socket]:
    """Bind 127.0.0.1 and, where there is IPv6, ::1: a browser may take localhost for either."""
    listener = bind(port)
    try:
        return [listener, _bind_ipv6(listener.getsockname()[1])]
    except OSError as exc:
        if exc.errno != errno.EADDRINUSE:
            return [listener]
        # Somebody else listens on ::1: the browser could take our code there.
        listener.close()
        raise


def _bind_ipv6(port: int) -> socket.socket:
    return loopback.bind(port, "::1")


def _failed(error: LoginError, status: int = 400) -> _Outcome:
    return _Outcome(error, status, page(Look.FAILED, "Sign-in failed", error.message, AGAIN))
