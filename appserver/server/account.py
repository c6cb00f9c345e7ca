"""The account of a workspace: who is signed in, and the ways to sign in and out.

Joins the manager of the credential to the issuer, to the configured refresher, and to the clients that are told. The
heavy parts (HTTP, the login flows) are made when first asked for: the first answers need none of them.
"""

from __future__ import annotations

from functools import cached_property, partial
from typing import TYPE_CHECKING, Protocol

from appserver.auth.credentials import ManagedTokens, managed_tokens
from appserver.auth.login.pending import Logins
from appserver.auth.manager import AuthManager
from appserver.auth.policy import check_credential
from appserver.auth.refresh.base import load_refresher
from appserver.auth.stores.factory import open_store
from appserver.errors import AuthError, LoginError
from appserver.server.refreshes import CountedRefresher, Refreshes
from appserver.session import Session

if TYPE_CHECKING:
    from anyio import CancelScope

    from appserver.auth.credentials import ChatgptTokens, Credential, ExternalTokens, PersonalToken
    from appserver.auth.login.browser import BrowserLogin
    from appserver.auth.login.device import DeviceLogin
    from appserver.auth.oauth.tokens import LoginGrant, TokenClient
    from appserver.auth.refresh.base import Refresher
    from appserver.auth.stores.base import CredentialStore
    from appserver.llm.account_api import AccountApi
    from appserver.server.asked import Asked
    from appserver.server.backend import Authority
    from appserver.server.runtime import Runtime
    from appserver.server.subscriber import Subscriber
    from appserver.server.subscriptions import Subscriptions
    from appserver.settings import Provider, Settings
    from protocol.account import AccountUpdatedNotification, LoginCompletedNotification
    from protocol.base import Secret


class LoginFlow(Protocol):
    """A way to get tokens from the issuer."""

    async def finish(self) -> LoginGrant:
        """Wait for the user. Raises LoginError."""


class Account:
    """The one of a workspace."""

    def __init__(
        self,
        runtime: Runtime,
        settings: Settings,
        subscriptions: Subscriptions,
        store: CredentialStore | None = None,
    ) -> None:
        """`store`: where the credential is kept, unless the settings are to say. Raises ConfigError."""
        self.settings = settings
        self.runtime = runtime
        self._subscriptions = subscriptions
        self._tasks = runtime.tasks
        self._configured = (
            load_refresher(settings.refresher, settings.refresher_options) if settings.refresher else None
        )
        self.store = store or open_store(settings)
        self.auth = AuthManager(settings, self.store, self._tasks, self._refresher_for, identify=self.identify)
        self.auth.on_change = self.tell
        self.auth.on_orphan = lambda orphan: self._tasks.start(self._revoke, orphan)
        self.logins = Logins(self._tasks, self.tell_login)
        self.refreshes = Refreshes()
        self._supplier: Asked | None = None
        """Who supplied the external tokens in use, and is asked for new ones."""
        self._revocations: set[CancelScope] = set()

    def sign_in_external(self, credential: ExternalTokens, supplier: Subscriber) -> None:
        """Use tokens that a client owns; it is asked for others. To be called in order."""
        self.auth.use_external(credential)
        self._supplier = self._subscriptions.supplier(supplier)

    def may_read_token(self, credential: Credential, session: Session) -> bool:
        """Whether a client may see a token: those that a client owns are for that client alone."""
        is_external = credential.mode == "chatgptAuthTokens"
        return not is_external or (self._supplier is not None and self._supplier.session is session)

    def check_provider(self, provider: Provider) -> None:
        """Refuse to send a client's tokens to a provider that another client has defined. Raises AuthError."""
        held = self.auth.current()
        definer = provider.defined_by
        if held and isinstance(definer, Session) and not self.may_read_token(held.credential, definer):
            raise AuthError("The tokens of one client are not sent to a model provider that another has defined")

    async def sign_out(self, *, revoke: bool) -> None:
        """End the login. To be called in order.

        The issuer is told in the background: that it cannot be reached must keep no user signed in.

        Raises StoreError, StoreBusy; then nothing has changed.
        """
        ended = await self.auth.sign_out(everywhere=revoke)
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
        await self.auth.in_order(partial(self.auth.sign_in, credential))

    def browser_login(self, session: Session) -> BrowserLogin:
        """Make a browser login in the name of a client."""
        from appserver.auth.login.browser import BrowserLogin

        return BrowserLogin(self.token_client(session), self.settings, session)

    def device_login(self, session: Session) -> DeviceLogin:
        """Make a device code login in the name of a client."""
        from appserver.auth.login.device import DeviceLogin
        from appserver.auth.oauth.device import DeviceClient

        device_client = DeviceClient(self.runtime.issuer(session), self.settings)
        return DeviceLogin(device_client, self.token_client(session), self.settings)

    async def identify(self, token: Secret) -> PersonalToken:
        """Ask whose a personal access token is. Raises RefreshError."""
        from appserver.auth.oauth.personal_token import identified

        return await identified(self.runtime.issuer(self.session), self.settings.accounts_url, token)

    def tell_login(self, login_id: str | None, error: str | None) -> None:
        """Tell all clients how a login ended, and who is signed in now if that changed."""
        completed: LoginCompletedNotification = {
            "loginId": login_id,
            "success": error is None,
            "error": error,
        }
        self._subscriptions.broadcast("account/login/completed", completed)
        if error is None:
            self.tell()

    def tell(self) -> None:
        """Tell all clients who is signed in."""
        identity = self.auth.identity
        updated: AccountUpdatedNotification = {
            "authMode": identity.mode if identity else None,
            "planType": identity.plan if identity else None,
        }
        self._subscriptions.broadcast("account/updated", updated)

    @cached_property
    def authority(self) -> Authority:
        """The credential as the model client sees it."""
        from appserver.server.backend import Authority

        return Authority(self.auth)

    def api(self, session: Session) -> AccountApi:
        """Return requests to the backend about the account, in the name of a client."""
        from appserver.llm.account_api import AccountApi

        return AccountApi(self.runtime.http, self.settings, session)

    def token_client(self, session: Session) -> TokenClient:
        """Return requests to the issuer about tokens, in the name of a client."""
        from appserver.auth.oauth.tokens import TokenClient

        return TokenClient(self.runtime.issuer(session), self.settings)

    @property
    def session(self) -> Session:
        """In whose name the issuer is asked when no particular client has caused it."""
        return self._subscriptions.session

    def end_revocations(self, deadline: float) -> None:
        """Let no revocation that is under way last longer than this, in the event loop's time."""
        for scope in self._revocations:
            scope.deadline = min(scope.deadline, deadline)

    def _refresher_for(self, credential: ChatgptTokens) -> Refresher:
        return CountedRefresher(self._refresher_of(credential), self.refreshes, self.runtime.telemetry)

    def _refresher_of(self, credential: ChatgptTokens) -> Refresher:
        """Choose the refresher: the issuer for managed logins, else the configured one, else the client."""
        if isinstance(credential, ManagedTokens):
            from appserver.auth.refresh.issuer import OAuthRefresher

            return OAuthRefresher(self.token_client(self.session))
        if self._configured is not None:
            return self._configured
        from appserver.auth.refresh.client import ClientRefresher

        assert self._supplier is not None  # noqa: S101 - external tokens come from a client
        return ClientRefresher(self._supplier, self.settings.refresh_timeout)

    async def _revoke(self, credential: ManagedTokens) -> None:
        from anyio import CancelScope

        token_client = self.token_client(self.session)
        # Shielded, because the process may be told to end right after a logout. The request has a bound of its own.
        with CancelScope(shield=True) as scope:
            self._revocations.add(scope)
            try:
                if credential.refresh_token:
                    await token_client.revoke(credential.refresh_token, "refresh_token")
                else:
                    await token_client.revoke(credential.access_token, "access_token")
            finally:
                self._revocations.discard(scope)
