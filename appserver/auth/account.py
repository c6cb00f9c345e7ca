"""An account in this process, without a server: the public face of `authentication`.

What it does, alone or beside other processes on the same home, is the server's own code. Knows no client and no thread.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Self, TypeVar, TypeVarTuple

from appserver.auth.account_info import account_info
from appserver.auth.account_settings import account_settings
from appserver.auth.authentication import Authentication
from appserver.auth.caller import Caller
from appserver.auth.lifetime import Lifetime
from appserver.auth.policy import check_external_workspace, check_login_method
from appserver.auth.refresh.function import FunctionRefresher
from appserver.auth.supplied import supplied_api_key, supplied_personal_token, supplied_tokens
from appserver.errors import LoginError, NotSignedIn, RequestError
from appserver.session import Session
from protocol.base import Secret

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from types import TracebackType

    from appserver.auth.account_info import AccountInfo
    from appserver.auth.account_settings import StoreKind
    from appserver.auth.credentials import Held
    from appserver.auth.httpx_auth import AccountAuth
    from appserver.auth.login.handles import PendingBrowserLogin, PendingDeviceLogin
    from appserver.auth.refresh.function import RefreshFunction
    from appserver.auth.stores.base import CredentialStore
    from appserver.settings import Settings

Args = TypeVarTuple("Args")
T = TypeVar("T")


class Account:
    """The login of one user: `async with Account.open(home) as account`.

    It belongs to the event loop (asyncio) in which it was entered, and any number of tasks may use it. From other
    threads there is `from_thread`; a program without an event loop uses `in_thread`. Any number of accounts may be open
    in a process, also several of one home.

    Methods raise AuthError if what they do does not work: NotSignedIn, LoginError, RefreshError, StoreError, and
    StoreBusy where another process keeps the stored credential locked, or the keyring takes too long. No message, log
    record or repr shows a credential.
    """

    def __init__(self, settings: Settings, *, session: Session, store: CredentialStore | None = None) -> None:
        """Use `Account.open`."""
        self._settings = settings
        self._closes_store = store is None
        self._caller = Caller(session)
        self._lifetime = Lifetime(settings)
        self._authentication = Authentication(
            settings, self._lifetime.tasks, self._lifetime.issuer, self._caller, store
        )
        self._auth = self._authentication.auth

    @classmethod
    def open(
        cls,
        home: str | os.PathLike[str] | None = None,
        *,
        store: CredentialStore | None = None,
        store_kind: StoreKind | None = None,
        issuer: str | None = None,
        client_id: str | None = None,
        refresh_skew: float | None = None,
        background_refresh: bool = True,
        client_name: str = "",
        client_version: str = "",
        environ: Mapping[str, str] | None = None,
    ) -> Self:
        """Return an account to enter with `async with`. The store is not read, and no request sent, before it is used.

        home: where the login is kept, and config.toml read; left out: that of the server (`APPSERVER_HOME`, else
        `CODEX_HOME`, else `~/.codex`). store: one of the caller's own instead, which stays open; without a home, no
        config.toml is read then. store_kind: in place of `cli_auth_credentials_store`. issuer, client_id: in place of
        the environment's. refresh_skew: how many seconds before its expiry a token is refreshed, 120 if neither this
        nor config.toml says. background_refresh: whether to refresh ahead of time while the account is open; a token is
        refreshed before its use in any case. client_name, client_version: of the program, as the issuer is told.
        environ: variables in place of `os.environ`.

        Raises ConfigError.
        """
        settings = account_settings(
            home,
            os.environ if environ is None else environ,
            reads_config=home is not None or store is None,
            store_kind=store_kind,
            issuer=issuer,
            client_id=client_id,
            refresh_skew=refresh_skew,
            background_refresh=background_refresh,
        )
        session = Session()
        session.begin(client_name, client_version, frozenset())
        return cls(settings, session=session, store=store)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._settings.home or 'a store'}>"

    # Its life

    async def __aenter__(self) -> Self:
        await self._lifetime.begin(self._authentication)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        closes_store = self._closes_store
        return await self._lifetime.end(self._authentication, kind, error, trace, closes_store=closes_store)

    def from_thread(self, function: Callable[[*Args], Awaitable[T]], *args: *Args) -> T:
        """Call a coroutine function in the account's event loop, from another thread; return what it returns.

        `account.from_thread(account.read)`. Raises what it raises, and RuntimeError in the event loop's own thread.
        """
        return self._lifetime.from_thread(function, *args)

    # Using it

    async def read(self) -> AccountInfo:
        """Return who is signed in, also if another process has signed them in. Sends no request."""
        self._lifetime.check_open()
        held = await self._auth.look()
        return account_info(held.credential if held else None, self._auth.needs_login)

    async def access_token(self) -> str:
        """Return what goes after "Bearer" now: an access token, or the API key.

        One that is about to expire is refreshed first, once, whichever processes ask at the same time; while that is
        under way, other callers get the old one as long as it is good. Raises NotSignedIn, RefreshError.
        """
        return (await self._held()).credential.bearer.reveal()

    def access_token_from_thread(self) -> str:
        """Return the same from a thread that is not the event loop's."""
        return self.from_thread(self.access_token)

    async def headers(self) -> dict[str, str]:
        """Return the headers of a request to the vendor: `Authorization`, and `chatgpt-account-id` of a ChatGPT login.

        Raises as `access_token` does.
        """
        credential = (await self._held()).credential
        headers = {"Authorization": f"Bearer {credential.bearer.reveal()}"}
        if credential.account_id is not None:
            headers["chatgpt-account-id"] = credential.account_id
        return headers

    async def refresh(self, refused: str) -> str:
        """Return an access token in place of one that a backend has refused with 401.

        If that one is not in use any more, the one that is; else it is refreshed, once for all that ask at the same
        time. Raises NotSignedIn, RefreshError; `permanent` says that the user has to sign in again.
        """
        held = await self._looked()
        if held.credential.bearer.reveal() == refused:
            held = await self._auth.refresh(held.generation)
        return held.credential.bearer.reveal()

    def httpx_auth(self) -> AccountAuth:
        """Return what authorizes the requests of an httpx client: `httpx.AsyncClient(auth=account.httpx_auth())`."""
        from appserver.auth.httpx_auth import AccountAuth  # late: brings httpx

        return AccountAuth(self)

    # Signing in and out

    async def login_api_key(self, api_key: str | Secret) -> None:
        """Sign in with an API key, which is stored. Raises LoginError, StoreError, StoreBusy."""
        self._check_allowed("apiKey")
        self._auth.check_not_external()
        credential = supplied_api_key(_secret(api_key))
        await self._auth.in_order(partial(self._authentication.sign_in, credential))

    async def login_personal_access_token(self, token: str | Secret) -> None:
        """Sign in with a personal access token of ChatGPT, which is stored. Asks the issuer whose it is.

        Raises LoginError, RefreshError, StoreError, StoreBusy.
        """
        self._check_allowed("personalAccessToken")
        await self._authentication.sign_in_with_personal_token(supplied_personal_token(_secret(token)))

    async def login_tokens(
        self,
        access_token: str | Secret,
        *,
        refresher: RefreshFunction | None = None,
        id_token: str | Secret | None = None,
        account_id: str | None = None,
        plan_type: str | None = None,
    ) -> None:
        """Sign in with ChatGPT tokens that the program owns. They stay in memory, and are gone when the account closes.

        refresher: is asked for another access token when this one is about to expire or was refused: once for all that
        need it, and within 5 minutes. It returns the token, or `RefreshedTokens`. Left out: the refresher of
        config.toml, or none. What is None is read from the tokens. Raises AuthError.
        """
        self._check_allowed("chatgptAuthTokens")
        optional = None if id_token is None else _secret(id_token)
        credential = supplied_tokens(_secret(access_token), optional, account_id, plan_type)
        try:
            check_external_workspace(self._settings, credential.account_id)
        except RequestError as exc:
            raise LoginError(exc.message) from None

        async def use() -> None:
            self._authentication.use_external(credential)
            self._caller.refresher = FunctionRefresher(refresher) if refresher else None

        await self._auth.in_order(use)

    async def login_chatgpt(self) -> PendingBrowserLogin:
        """Begin a login in a browser on this machine: open its `auth_url`, then `wait` for the user.

        One login is under way at a time: another one ends it. Raises LoginError, for one if ports 1455 and 1457 are
        taken.
        """
        from appserver.auth.login.handles import PendingBrowserLogin

        self._check_allowed("chatgpt")
        self._auth.check_not_external()
        login = self._authentication.logins.begin(by_browser=True)
        pending = PendingBrowserLogin(login, self.read, partial(self._cancel, login.id))
        with self._caller.expecting(login.id, pending):
            pending.begin(*await self._authentication.start_browser_login(login, self._caller.session))
        login.known.set()
        return pending

    async def login_device_code(self) -> PendingDeviceLogin:
        """Begin a login with a code: show its `user_code` and `verification_url`, then `wait` for the user.

        One login is under way at a time: another one ends it. Raises LoginError.
        """
        from appserver.auth.login.handles import PendingDeviceLogin

        self._check_allowed("chatgptDeviceCode")
        self._auth.check_not_external()
        login = self._authentication.logins.begin()
        pending = PendingDeviceLogin(login, self.read, partial(self._cancel, login.id))
        with self._caller.expecting(login.id, pending):
            device = await self._authentication.start_device_login(login, self._caller.session)
        pending.verification_url, pending.user_code = device.verification_url, device.user_code.reveal()
        login.known.set()
        return pending

    async def logout(self, *, revoke: bool = True) -> None:
        """Sign out: what is stored is removed, for all processes on the home.

        revoke: whether the issuer is told to end the login everywhere, in the background; that it cannot be reached
        keeps no user signed in. Raises StoreError, StoreBusy; then nothing has changed.
        """
        self._lifetime.check_open()
        await self._auth.in_order(partial(self._authentication.sign_out, revoke=revoke))

    def _cancel(self, login_id: str) -> None:
        self._authentication.logins.cancel(login_id)

    async def _held(self) -> Held:
        self._lifetime.check_open()
        return self._signed_in(await self._auth.for_request())

    async def _looked(self) -> Held:
        self._lifetime.check_open()
        return self._signed_in(await self._auth.look())

    def _signed_in(self, held: Held | None) -> Held:
        if held is None:
            raise NotSignedIn(self._auth.problem or "Not signed in")
        return held

    def _check_allowed(self, login_type: str) -> None:
        """Raise LoginError if the configuration does not allow this way to sign in."""
        self._lifetime.check_open()
        try:
            check_login_method(self._settings, login_type)
        except RequestError as exc:
            raise LoginError(exc.message) from None


def _secret(value: str | Secret) -> Secret:
    return value if isinstance(value, Secret) else Secret(value)
