"""Fixtures for the integration tests of applications (docs/testing.md). pytest loads this wherever we are installed.

So nothing is imported here before a fixture is used, and it is not in `testing/`, whose package imports all of that.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appserver.client import AppServer, AsyncAppServer
    from appserver.client.attachment import Attachment
    from appserver.testing import FakeBackend


@pytest.fixture
def fake_backend() -> Iterator[FakeBackend]:
    """An OAuth issuer and a model on loopback, to be scripted; see `appserver.testing.FakeBackend`."""
    from appserver.testing import running_backend  # late: see the module's docstring

    with running_backend() as backend:
        yield backend


@pytest.fixture
def appserver_environ(fake_backend: FakeBackend, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The variables with which an app-server uses the fake backend, and a home of its own that is empty.

    For an application that starts the server itself: add them to its environment.
    """
    home = tmp_path_factory.mktemp("appserver-home")
    fake_backend.write_config(home)
    return fake_backend.environ(home)


class AppServerFactory:
    """Makes clients with servers of their own, on one home and one fake backend.

    Their tokens come from the backend unless `token_provider=` says otherwise. `in_process=True` starts no subprocess:
    that is faster. All other arguments are those of `AppServer`.
    """

    def __init__(self, backend: FakeBackend, environ: dict[str, str], clients: ExitStack) -> None:
        self._backend = backend
        self._environ = environ
        self._clients = clients

    def __call__(self, *, in_process: bool = False, **arguments: Any) -> AppServer:  # noqa: ANN401 - those of AppServer
        """Return a client that is ready, and ends with the test."""
        from appserver.client import AppServer  # late: see the module's docstring

        return self._clients.enter_context(AppServer(**self._with_defaults(in_process, arguments)))

    def asynchronous(self, *, in_process: bool = False, **arguments: Any) -> AsyncAppServer:  # noqa: ANN401 - those of AppServer
        """Return a client for `async with`, in the event loop of the test."""
        from appserver.client import AsyncAppServer  # late: see the module's docstring

        return AsyncAppServer(**self._with_defaults(in_process, arguments))

    def _with_defaults(self, in_process: bool, arguments: dict[str, Any]) -> dict[str, Any]:
        from appserver.client import InProcess, Subprocess  # late: see the module's docstring

        server: Attachment = InProcess(env=self._environ) if in_process else Subprocess(env=self._environ)
        return {"attachment": server, "token_provider": self._token, **arguments}

    def _token(self, request: object) -> str:
        return self._backend.grant().access_token


@pytest.fixture
def appserver_factory(fake_backend: FakeBackend, appserver_environ: dict[str, str]) -> Iterator[AppServerFactory]:
    """Makes clients: `appserver_factory(tools=[...])`; see `AppServerFactory`."""
    with ExitStack() as clients:
        yield AppServerFactory(fake_backend, appserver_environ, clients)


@pytest.fixture
def appserver(appserver_factory: AppServerFactory) -> AppServer:
    """A client that is ready: its server runs, and is signed in with tokens of the fake backend."""
    return appserver_factory()
