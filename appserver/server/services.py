"""What the handlers work with: accounts, logins, threads and turns, joined to each other and to the client.

The heavy ones (HTTP, the model client, the login flows) are made when first asked for, so that answering the
handshake does not import them.
"""

from __future__ import annotations

from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Protocol

from appserver.auth.credentials import ManagedTokens, managed_tokens
from appserver.auth.login.pending import Logins
from appserver.auth.manager import AuthManager
from appserver.auth.policy import check_credential
from appserver.auth.refresh.base import load_refresher
from appserver.auth.refresh.client import ClientRequests
from appserver.auth.stores.factory import open_store
from appserver.errors import ConfigError, LoginError, RequestError
from appserver.settings import provider_named, thread_options
from appserver.settings.layers import request_layer
from appserver.settings.warnings import not_run
from protocol.account import plan_type

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from anyio import CancelScope

    from appserver.auth.credentials import ChatgptTokens, PersonalToken
    from appserver.auth.login.browser import BrowserLogin
    from appserver.auth.login.device import DeviceLogin
    from appserver.auth.oauth.http import IssuerHttp
    from appserver.auth.oauth.tokens import LoginGrant, TokenClient
    from appserver.auth.refresh.base import Refresher
    from appserver.auth.stores.base import CredentialStore
    from appserver.http import Http
    from appserver.llm.account_api import AccountApi
    from appserver.llm.client import ModelClient
    from appserver.server.backend import Authority, Backend
    from appserver.session import Session
    from appserver.settings import Options, Provider, Settings
    from appserver.tasks import Tasks
    from appserver.threads.registry import Threads
    from appserver.threads.subscriptions import Subscriptions
    from appserver.turns.compaction import Compactor
    from appserver.turns.manager import TurnManager
    from protocol.account import AccountUpdatedNotification, LoginCompletedNotification
    from protocol.base import Secret


class LoginFlow(Protocol):
    """A way to get tokens from the issuer."""

    async def finish(self) -> LoginGrant:
        """Wait for the user. Raises LoginError."""


class ClientSide(ClientRequests, Protocol):
    """The client, or what stands in for it where a person is at a terminal."""

    def notify(self, method: str, params: object) -> None:
        """Send a notification."""


class Services:
    """Everything behind one connection."""

    def __init__(
        self,
        settings: Settings,
        session: Session,
        tasks: Tasks,
        client: ClientSide,
        room: Callable[[], Awaitable[None]],
    ) -> None:
        self.settings = settings
        self.session = session
        self.client = client
        self._tasks = tasks
        self._room = room
        self._configured = (
            load_refresher(settings.refresher, settings.refresher_options) if settings.refresher else None
        )
        self.store: CredentialStore = open_store(settings)
        self.auth = AuthManager(settings, self.store, tasks, self._refresher_for, identify=self.identify)
        self.auth.on_change = self.tell_account
        self.auth.on_orphan = lambda orphan: tasks.start(self._revoke, orphan)
        self._told_not_run = not_run(settings.values) is not None  # then the client was told after the handshake
        self.logins = Logins(tasks, self.tell_login)
        self._revocations: set[CancelScope] = set()

    # Accounts

    def sign_out(self, *, revoke: bool) -> None:
        """End the login. The issuer is told in the background: that it cannot be reached must not keep anybody in.

        Raises StoreError, StoreBusy; then nothing has changed.
        """
        ended = self.auth.sign_out(everywhere=revoke)
        self.logins.cancel_pending()
        for credential in ended:
            if revoke and isinstance(credential, ManagedTokens):
                self._tasks.start(self._revoke, credential)

    async def finish_login(self, flow: LoginFlow) -> None:
        """Wait for a login flow and sign in with what it brings. Raises AuthError."""
        grant = await flow.finish()
        issued = grant.tokens
        if issued.id_token is None or issued.access_token is None:
            raise LoginError("The issuer's answer has no tokens")
        credential = managed_tokens(
            issued.id_token,
            issued.access_token,
            issued.refresh_token,
            last_refresh=self.auth.timestamp(),
            api_key=grant.api_key,
        )
        check_credential(self.settings, credential)
        await self.auth.apply(partial(self.auth.sign_in, credential))

    def browser_login(self) -> BrowserLogin:
        """Make a browser login."""
        from appserver.auth.login.browser import BrowserLogin

        return BrowserLogin(self.token_client, self.settings, self.session)

    def device_login(self) -> DeviceLogin:
        """Make a device code login."""
        from appserver.auth.login.device import DeviceLogin
        from appserver.auth.oauth.device import DeviceClient

        device_client = DeviceClient(self._issuer_http(), self.settings)
        return DeviceLogin(device_client, self.token_client, self.settings)

    async def identify(self, token: Secret) -> PersonalToken:
        """Ask whose a personal access token is. Raises RefreshError."""
        from appserver.auth.oauth.personal_token import identified

        return await identified(self._issuer_http(), self.settings.accounts_url, token)

    def tell_login(self, login_id: str | None, error: str | None) -> None:
        """Tell the client how a login ended, and who is signed in now if that changed."""
        completed: LoginCompletedNotification = {
            "loginId": login_id,
            "success": error is None,
            "error": error,
        }
        self.client.notify("account/login/completed", completed)
        if error is None:
            self.tell_account()

    def tell_account(self) -> None:
        """Tell the client who is signed in."""
        held = self.auth.current()
        plan = held.credential.identity.plan if held else None
        updated: AccountUpdatedNotification = {
            "authMode": held.credential.mode if held else None,
            "planType": plan_type(plan),
        }
        self.client.notify("account/updated", updated)

    def _tell_not_run(self, config: Mapping[str, Any]) -> None:
        """Warn the client, once, that what it passes with a thread is not run here."""
        if warning := not_run(request_layer(config).values):
            self._told_not_run = True
            self.client.notify("configWarning", warning)

    # Threads and turns

    @cached_property
    def threads(self) -> Threads:
        """The threads of this home."""
        from appserver.threads.registry import Threads
        from appserver.threads.stores.sqlite.store import SqliteThreads

        return Threads(SqliteThreads(self.settings.home), self.provider)

    def options(self, config: Mapping[str, Any] | None) -> Options:
        """Return the options that the `config` of a thread chooses. Raises RequestError."""
        try:
            chosen = thread_options(self.settings, config)
        except ConfigError as exc:
            raise _unusable(exc) from None
        if config and not self._told_not_run:
            self._tell_not_run(config)
        return chosen

    def provider(self, name: str | None, config: Mapping[str, Any] | None = None) -> Provider:
        """Return the model provider with this name, or the configured one. Raises RequestError."""
        try:
            found = provider_named(self.settings, name or self.settings.provider.id, config)
        except ConfigError as exc:
            raise _unusable(exc) from None
        if found is None:
            words = f"failed to load configuration: Model provider `{name}` not found"  # the reference's
            raise RequestError(words, {"kind": "modelProviderNotFound"})
        return found

    @cached_property
    def subscriptions(self) -> Subscriptions:
        """Which threads the client listens to."""
        from appserver.threads.subscriptions import Subscriptions

        return Subscriptions(self.client.notify, self._tasks)

    @cached_property
    def turns(self) -> TurnManager:
        """The owner of running turns."""
        from appserver.turns.manager import TurnManager
        from appserver.turns.runner import TurnRunner
        from appserver.turns.tools import ToolDesk

        emit = self.subscriptions.emit
        desk = ToolDesk(self.client, self.settings.tool_timeout)
        return TurnManager(TurnRunner(self.backend, emit, self._room, desk), self._tasks, emit)

    @cached_property
    def compactor(self) -> Compactor:
        """What makes long conversations short."""
        from appserver.turns.compaction import Compactor

        return Compactor(self.backend, self.subscriptions.emit)

    def interrupt_turns(self) -> None:
        """End every running turn and start no other."""
        if self._has_turns:
            self.turns.interrupt_all()

    async def turns_ended(self) -> None:
        """Wait until no turn runs."""
        if self._has_turns:
            await self.turns.idle()

    def end_revocations(self, deadline: float) -> None:
        """Let no revocation that is under way last longer than this, in the event loop's time."""
        for scope in self._revocations:
            scope.deadline = min(scope.deadline, deadline)

    def stop_waiting(self) -> None:
        """Let nothing wait any longer for another process that keeps the threads or the account locked."""
        self.auth.stop_waiting()
        if "threads" in self.__dict__:
            self.threads.stop_waiting()

    @property
    def _has_turns(self) -> bool:
        """Whether a turn was ever started: asking `turns` would import what runs them."""
        return "turns" in self.__dict__

    # HTTP

    @cached_property
    def http(self) -> Http:
        """The one HTTP stack."""
        from appserver.http import Http

        return Http(self.settings)

    @cached_property
    def token_client(self) -> TokenClient:
        """Requests to the issuer about tokens."""
        from appserver.auth.oauth.tokens import TokenClient

        return TokenClient(self._issuer_http(), self.settings)

    @cached_property
    def model(self) -> ModelClient:
        """Requests to the model backend."""
        from appserver.llm.client import ModelClient

        return ModelClient(self.http, self.settings, self.session)

    @cached_property
    def account_api(self) -> AccountApi:
        """Requests to the backend about the account."""
        from appserver.llm.account_api import AccountApi

        return AccountApi(self.http, self.settings, self.session)

    @cached_property
    def authority(self) -> Authority:
        """Credentials for the model backend."""
        from appserver.server.backend import Authority

        return Authority(self.auth)

    @cached_property
    def backend(self) -> Backend:
        """The model backend, credentials taken care of."""
        from appserver.server.backend import Backend

        return Backend(self.authority, lambda: self.model, self._tasks)

    async def close(self) -> None:
        """Close what was opened."""
        if "threads" in self.__dict__:
            self.threads.close()
        if "http" in self.__dict__:
            await self.http.close()

    def _issuer_http(self) -> IssuerHttp:
        from appserver.auth.oauth.http import IssuerHttp

        return IssuerHttp(self.http, self.session)

    def _refresher_for(self, credential: ChatgptTokens) -> Refresher:
        """Choose the refresher: the issuer for managed logins, else the configured one, else the client."""
        if isinstance(credential, ManagedTokens):
            from appserver.auth.refresh.issuer import OAuthRefresher

            return OAuthRefresher(self.token_client)
        if self._configured is not None:
            return self._configured
        from appserver.auth.refresh.client import ClientRefresher

        return ClientRefresher(self.client, self.settings.refresh_timeout)

    async def _revoke(self, credential: ManagedTokens) -> None:
        from anyio import CancelScope

        # Shielded, because the process may be told to end right after a logout. The request has a bound of its own.
        with CancelScope(shield=True) as scope:
            self._revocations.add(scope)
            try:
                if credential.refresh_token:
                    await self.token_client.revoke(credential.refresh_token, "refresh_token")
                else:
                    await self.token_client.revoke(credential.access_token, "access_token")
            finally:
                self._revocations.discard(scope)


def _unusable(exc: ConfigError) -> RequestError:
    return RequestError(f"failed to load configuration: {exc.message}", {"kind": "configurationError"})
