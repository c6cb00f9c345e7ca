"""The account of a workspace: what clients are told of it, and which of them may use the tokens that one supplied.

Signing in and out and refreshing are `auth.authentication`'s: this joins it to the clients, and the model client to it.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from appserver.auth.authentication import Authentication
from appserver.errors import AuthError
from appserver.server.refreshes import CountedRefresher, Refreshes
from appserver.session import Session

if TYPE_CHECKING:
    from appserver.auth.credentials import Credential, ExternalTokens
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


class Account(Authentication):
    """The one of a workspace, and its own owner (`auth.authentication.Owner`)."""

    def __init__(
        self,
        runtime: Runtime,
        settings: Settings,
        subscriptions: Subscriptions,
        store: CredentialStore | None = None,
    ) -> None:
        """`store`: where the credential is kept, unless the settings are to say. Raises ConfigError."""
        super().__init__(settings, runtime.tasks, runtime.issuer, owner=self, store=store)
        self.runtime = runtime
        self.refreshes = Refreshes()
        self._subscriptions = subscriptions
        self._supplier: Asked | None = None
        """Who supplied the external tokens in use, and is asked for new ones."""

    def sign_in_external(self, credential: ExternalTokens, supplier: Subscriber) -> None:
        """Use tokens that a client owns; it is asked for others. To be called in order."""
        self.use_external(credential)
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

    @property
    def session(self) -> Session:
        return self._subscriptions.session

    def external_refresher(self, configured: Refresher | None) -> Refresher:
        """Return the configured refresher, else what asks the client whose tokens are in use."""
        if configured is not None:
            return configured
        from appserver.auth.refresh.client import ClientRefresher

        assert self._supplier is not None  # noqa: S101 - external tokens come from a client
        return ClientRefresher(self._supplier, self.settings.refresh_timeout)

    def observed(self, refresher: Refresher) -> Refresher:
        return CountedRefresher(refresher, self.refreshes, self.runtime.telemetry)
