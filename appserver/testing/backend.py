"""The fake backend as one thing: issuer and model API behind one port on loopback, started and stopped.

Owns the server's life and the routing. issuer.py and model_api.py have the endpoints; this module passes tokens
and replies on without knowing them.
"""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Self

import anyio
from anyio.from_thread import start_blocking_portal

from appserver.loopback import Limits, Request, Response, bind, serve
from appserver.testing import home as homes
from appserver.testing.issuer import Issuer
from appserver.testing.ledger import TokenLedger
from appserver.testing.model_api import ModelApi
from appserver.testing.recording import RecordedRequest, RequestLog
from appserver.testing.service import error_body, respond
from appserver.testing.tokens import DEFAULT_EMAIL, DEFAULT_PLAN, Grant, Profile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from types import TracebackType

    from anyio.abc import TaskGroup

    from appserver.testing.replies import Reply
    from appserver.testing.service import Endpoint, FaultyService, Routes

LIMITS: Final = Limits(
    connections=1024,  # a load test's; later clients wait in the backlog
    replaces_idle=False,
    head_bytes=64 * 1024,
    body_bytes=64 * 1024 * 1024,  # turns carry pictures; beyond this it is a mistake
    read_bytes=256 * 1024,
    receive_seconds=60.0,
    send_seconds=30.0,
)


class FakeBackend:
    """Issuer and model backend on loopback, scriptable, for anyone's tests.

    `issuer` and `model` are the two services and their switches; `tokens` says which tokens are good;
    `requests` is every request so far. Enter it with `async with`; a port that is taken raises OSError
    there.
    """

    def __init__(self, port: int = 0) -> None:
        self.tokens = TokenLedger()
        self.issuer = Issuer(self.tokens)
        self.model = ModelApi(self.tokens)
        self.requests = RequestLog()
        self._port = port
        self._tasks: TaskGroup | None = None
        self._routes: dict[tuple[str, str], tuple[FaultyService, Endpoint]] = {
            **_owned(self.issuer, self.issuer.routes()),
            **_owned(self.model, self.model.routes()),
        }

    @property
    def url(self) -> str:
        """Root of everything, and the issuer's URL: http://127.0.0.1:PORT. Empty until entered."""
        return self.issuer.url

    @property
    def base_url(self) -> str:
        """What a model provider's base_url must be."""
        return f"{self.url}/v1"

    @property
    def chatgpt_base_url(self) -> str:
        """What chatgpt_base_url must be."""
        return f"{self.url}/backend-api"

    def script(self, *replies: Reply) -> None:
        """Queue what the model says to the next turns; see `appserver.testing.replies`."""
        self.model.script(*replies)

    def grant(
        self,
        account: str = "org-1",
        user: str = "user-1",
        email: str | None = DEFAULT_EMAIL,
        plan: str | None = DEFAULT_PLAN,
        expires_in: float | None = 3600,
    ) -> Grant:
        """Issue tokens without a sign-in, good here from now on.

        `expires_in` (seconds) is what the access token says of itself. The backend itself goes by
        `expire_access_tokens`, never by the clock.
        """
        return self.tokens.issue(Profile(account, user, email, plan), expires_in)

    def personal_access_token(self, account: str = "org-1", user: str = "user-1") -> str:
        """Make a personal access token, good here from now on."""
        token = f"at-{secrets.token_hex(12)}"
        self.issuer.personal_tokens[token] = Profile(account, user)
        self.tokens.accept(token)
        return token

    def expire_access_tokens(self) -> None:
        """Answer 401 to every access token and API key from before this call; those issued later are good.

        Until the first call any bearer is good, also one made elsewhere. After it, one made elsewhere must be
        named to `tokens.accept`.
        """
        self.tokens.expire_access_tokens()

    def environ(self, home: homes.StrPath) -> dict[str, str]:
        """Return the environment variables that point a daemon here; merge them with yours."""
        return homes.environ(self.url, home)

    def write_config(
        self, home: homes.StrPath, provider: Mapping[str, object] | None = None, **overrides: object
    ) -> Path:
        """Write a config.toml that points a daemon here; see `appserver.testing.home.write_config`."""
        return homes.write_config(self.url, home, provider, **overrides)

    async def __aenter__(self) -> Self:
        listener = bind(self._port)
        host, port = listener.getsockname()
        self.issuer.url = f"http://{host}:{port}"
        self._tasks = await anyio.create_task_group().__aenter__()
        self._tasks.start_soon(serve, listener, self._answer, LIMITS)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        tasks, self._tasks = self._tasks, None
        if tasks is None:
            return None
        tasks.cancel_scope.cancel()
        if isinstance(error, Exception):
            # Kept from the task group, which would wrap a test's failed assertion in an ExceptionGroup. What
            # it returns says that it has swallowed its own cancellation, and must not swallow the failure.
            await tasks.__aexit__(None, None, None)
            return None
        return await tasks.__aexit__(kind, error, trace)

    async def _answer(self, request: Request) -> Response:
        recorded = RecordedRequest.of(request)
        self.requests.record(recorded)
        found = self._routes.get((recorded.method, recorded.path))
        if found is None:
            return respond(error_body("not_found", "The fake backend has no such endpoint."), 404)
        service, endpoint = found
        return await service.answer(recorded, endpoint)


@contextmanager
def running_backend(port: int = 0) -> Iterator[FakeBackend]:
    """Run a fake backend in a thread of its own, for tests that are not async.

    Scripting it from the test's thread is safe; wait with the `..._blocking` methods.
    """
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(FakeBackend(port)) as backend,
    ):
        yield backend


async def run_forever(port: int, on_ready: Callable[[FakeBackend], None]) -> None:
    """Serve on `port` (0: any free one) until cancelled; `on_ready` is told once. Raises OSError if taken."""
    async with FakeBackend(port) as backend:
        on_ready(backend)
        await anyio.sleep_forever()


def _owned(service: FaultyService, routes: Routes) -> dict[tuple[str, str], tuple[FaultyService, Endpoint]]:
    return {route: (service, endpoint) for route, endpoint in routes.items()}
