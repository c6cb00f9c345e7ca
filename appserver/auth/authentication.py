"""One account: who is signed in, the ways to sign in and out, and what refreshes it. The server and the library use it.

Joins the manager of the credential to the store, the issuer and the configured refresher. Knows no client: who is told
of a change, and who is asked for new external tokens, is its owner's to say. The heavy parts (HTTP, the login flows)
are made when first asked for: the first answers need none of them.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol

from appserver.auth.credentials import ManagedTokens, managed_tokens
from appserver.auth.login.pending import Logins
from appserver.auth.manager import AuthManager
from appserver.auth.policy import check_credential
from appserver.auth.refresh.base import load_refresher
from appserver.auth.stores.factory import open_store
from appserver.errors import LoginError

if TYPE_CHECKING:
    from collections.abc import Callable

    from anyio import CancelScope

    from appserver.auth.credentials import ChatgptTokens, Credential, ExternalTokens, PersonalToken
    from appserver.auth.login.browser import BrowserLogin
    from appserver.auth.login.device import DeviceLogin
    from appserver.auth.login.pending import Login
    from appserver.auth.oauth.device import DeviceCode
    from appserver.auth.oauth.http import IssuerHttp
    from appserver.auth.oauth.tokens import LoginGrant, TokenClient
    from appserver.auth.refresh.base import Refresher
    from appserver.auth.stores.base import CredentialStore
    from appserver.session import Session
    from appserver.settings import Settings
    from appserver.tasks import Tasks
    from protocol.base import Secret


class LoginFlow(Protocol):
    """A way to get tokens from the issuer."""

    async def finish(self) -> LoginGrant:
        """Wait for the user. Raises LoginError."""


class Owner(Protocol):
    """On whose behalf an account is used: the clients of a workspace, or the program that this is a library of."""

    @property
    def session(self) -> Session:
        """In whose name the issuer is asked when no particular client has caused it."""

    def external_refresher(self, configured: Refresher | None) -> Refresher:
        """Return what gets new external tokens. `configured`: the refresher that the settings name."""

    def observed(self, refresher: Refresher) -> Refresher:
        """Return the refresher, or one around it that counts."""

    def tell(self) -> None:
        """Hear that another user is signed in, or none."""

    def tell_login(self, login_id: str | None, error: str | None) -> None:
        """Hear that a login has ended. `error`: why it failed, for a person to read; None if it has not."""


class Authentication:
    """That of one account."""

    def __init__(
        self,
        settings: Settings,
        tasks: Tasks,
        issuer: Callable[[Session], IssuerHttp],
        owner: Owner,
        store: CredentialStore | None = None,
    ) -> None:
        """`issuer`: returns requests to the issuer, in the name of a client.

        `store`: where the credential is kept, unless the settings are to say. Raises ConfigError.
        """
        self.settings = settings
        self._tasks = tasks
        self._issuer = issuer
        self._owner = owner
        self._configured = (
            load_refresher(settings.refresher, settings.refresher_options) if settings.refresher else None
        )
        self.store = store or open_store(settings)
        self.auth = AuthManager(settings, self.store, tasks, self._refresher_for, identify=self.identify)
        self.auth.on_change = owner.tell
        self.auth.on_orphan = lambda orphan: tasks.start(self._revoke, orphan)
        self.logins = Logins(tasks, owner.tell_login)
        self._revocations: set[CancelScope] = set()

    # Signing in

    async def sign_in(self, credential: Credential) -> None:
        """Use a credential, and store it; a login that is under way is superseded. To be called in order.

        Raises AuthError, StoreBusy; then nothing has changed.
        """
        await self.auth.sign_in(credential)
        self.logins.cancel_pending()

    def use_external(self, credential: ExternalTokens) -> None:
        """Use tokens that the owner keeps, and supersede a login that is under way. To be called in order."""
        self.auth.use_external(credential)
        self.logins.cancel_pending()

    async def start_browser_login(self, login: Login, session: Session) -> tuple[BrowserLogin, str]:
        """Let the user sign in with a browser, in the background; return the flow and the URL to open.

        Raises AuthError, and RequestError if another login has superseded it.
        """
        with self.logins.starting(login):
            await self.logins.port_free(login)
            self.auth.check_not_external()
            flow = self.browser_login(session)
            url = flow.start()
        self.logins.run(login, partial(self.finish_login, flow))
        return flow, url

    async def start_device_login(self, login: Login, session: Session) -> DeviceCode:
        """Let the user sign in with a device code, in the background; return what they are to be shown.

        Raises AuthError.
        """
        with self.logins.starting(login):
            flow = self.device_login(session)
            device = await flow.start()
            self.auth.check_not_external()
        self.logins.run(login, partial(self.finish_login, flow))
        return device

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

        device_client = DeviceClient(self._issuer(session), self.settings)
        return DeviceLogin(device_client, self.token_client(session), self.settings)

    async def sign_in_with_personal_token(self, token: PersonalToken) -> None:
        """Find out whose a personal access token is, and sign in with it. Raises AuthError."""
        credential = await self.identify(token.bearer)
        check_credential(self.settings, credential)
        await self.auth.in_order(partial(self.sign_in, credential))

    async def identify(self, token: Secret) -> PersonalToken:
        """Ask whose a personal access token is. Raises RefreshError."""
        from appserver.auth.oauth.personal_token import identified

        return await identified(self._issuer(self._owner.session), self.settings.accounts_url, token)

    def token_client(self, session: Session) -> TokenClient:
        """Return requests to the issuer about tokens, in the name of a client."""
        from appserver.auth.oauth.tokens import TokenClient

        return TokenClient(self._issuer(session), self.settings)

    # Signing out

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

    def end_revocations(self, deadline: float) -> None:
        """Let no revocation that is under way last longer than this, in the event loop's time."""
        for scope in self._revocations:
            scope.deadline = min(scope.deadline, deadline)

    async def _revoke(self, credential: ManagedTokens) -> None:
        from anyio import CancelScope

        token_client = self.token_client(self._owner.session)
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

    # Refreshing

    def _refresher_for(self, credential: ChatgptTokens) -> Refresher:
        return self._owner.observed(self._refresher_of(credential))

    def _refresher_of(self, credential: ChatgptTokens) -> Refresher:
        """Choose the refresher: the issuer for managed logins, else what the owner says."""
        if isinstance(credential, ManagedTokens):
            from appserver.auth.refresh.issuer import OAuthRefresher

            return OAuthRefresher(self.token_client(self._owner.session))
        return self._owner.external_refresher(self._configured)
