"""The provider's endpoints: authorization with sign-in and consent, tokens, revocation, metadata."""

from __future__ import annotations

import base64
import binascii
import hmac
import time
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus, urlsplit

from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from appserver.errors import StoreError
from appserver.gateway.hashes import hashed, new_secret, password_fits
from appserver.gateway.oauth import pages
from appserver.gateway.oauth.request import (
    Authorization,
    Client,
    OAuthError,
    Rejected,
    Unusable,
    authorization,
    fields,
    once,
    redirect_uri_of,
    response_uri,
    token_request,
)
from appserver.gateway.oauth.store import ACCESS_SECONDS, SESSION_SECONDS, OAuthStore
from appserver.gateway.requests import read_body
from appserver.gateway.scopes import ALL
from appserver.worker import Worker
from protocol.base import Secret

if TYPE_CHECKING:
    from starlette.requests import Request

    from appserver.gateway.database.accounts import Accounts
    from appserver.gateway.database.cipher import Cipher
    from appserver.gateway.oauth.store import Issued, Session

MAX_BODY_BYTES = 64 * 1024
"""Of a form, or a token request: they hold a code, or a password."""

FORM_SECONDS = 600
"""How long a page may be looked at before it is sent."""

MAX_SECRET = 4096
"""Characters of a cookie or a password that is looked at."""

WRONG = "The name or the password is not right."
STALE = "This page has been open for too long, or was not opened here. Go back to the application and begin again."


class Provider:
    """The provider."""

    def __init__(self, store: OAuthStore, accounts: Accounts, cipher: Cipher, public_url: str) -> None:
        """`public_url`: the issuer, and the beginning of every URL that is told; nothing comes from a Host header."""
        self._store = store
        self._accounts = accounts
        self._cipher = cipher
        self._issuer = public_url
        self._is_secure = public_url.startswith("https:")
        prefix = "__Host-" if self._is_secure else ""  # then the browser takes it from this host alone
        self._session_cookie, self._form_cookie = f"{prefix}gateway-session", f"{prefix}gateway-form"
        self._passwords = Worker("passwords")

    async def metadata(self, request: Request) -> Response:
        """Tell where the endpoints are, and what they take (RFC 8414)."""
        methods = ["client_secret_basic", "client_secret_post", "none"]
        document = {
            "issuer": self._issuer,
            "authorization_endpoint": f"{self._issuer}/oauth/authorize",
            "token_endpoint": f"{self._issuer}/oauth/token",
            "revocation_endpoint": f"{self._issuer}/oauth/revoke",
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_methods_supported": methods,
            "revocation_endpoint_auth_methods_supported": methods,
            "code_challenge_methods_supported": ["S256"],
            "scopes_supported": list(ALL),
            "authorization_response_iss_parameter_supported": True,
        }
        return JSONResponse(document)

    # The browser

    async def authorize(self, request: Request) -> Response:
        """Ask a person to sign in, or for consent."""
        query = request.scope["query_string"].decode("latin-1")
        try:
            client, asked = await self._asked(query)
        except Unusable as exc:
            return self._page(pages.problem(str(exc)), 400)
        except Rejected as exc:
            return self._to_client(exc.redirect_uri, {**exc.members, "state": exc.state})
        session = await self._session(request)
        if session is None:
            return self._sign_in_page(client.name, query)
        form = self._sealed(asked.sealed(), self._binding(request))
        where = urlsplit(asked.redirect_uri)
        page = pages.consent(client.name, where.netloc, asked.scopes, session.name, session.account, form)
        # Browsers hold what a form leads to against form-action, too.
        return self._page(page, 200, form_action=f"'self' {where.scheme}://{where.netloc}")

    async def sign_in(self, request: Request) -> Response:
        """Take a name and a password."""
        try:
            form = await self._form(request)
            query, token = form["query"], form["token"]
            name, password = form.get("name", ""), Secret(form.get("password", ""))
            self._opened(token, f"sign-in/{request.cookies.get(self._form_cookie, '')}")
            client, _ = await self._asked(query)
        except (ValueError, KeyError, StoreError, Unusable, Rejected):
            return self._page(pages.problem(STALE), 400)
        address = request.client.host if request.client else ""
        if wait := await self._store.wait(name, address):
            problem = f"Too many tries. The next one is possible in {wait} seconds."
            response = self._sign_in_page(client.name, query, name, problem, 429)
            response.headers["retry-after"] = str(wait)
            return response
        found = await self._accounts.user(name)
        if not await password_fits(self._passwords, None if found is None else found[1], password) or found is None:
            await self._store.note_failure(name, address)
            return self._sign_in_page(client.name, query, name, WRONG, 401)
        await self._store.forget_failures(name)
        secret = await self._store.begin_session(found[0])  # a new one: what the browser had before counts no more
        response = self._redirect(f"/oauth/authorize?{query}")
        self._set_cookie(response, self._session_cookie, secret.reveal(), SESSION_SECONDS)
        response.delete_cookie(self._form_cookie, path="/", secure=self._is_secure, httponly=True, samesite="lax")
        return response

    async def decide(self, request: Request) -> Response:
        """Take a person's decision."""
        session = await self._session(request)
        try:
            form = await self._form(request)
            if session is None:
                raise ValueError("not signed in")
            asked = Authorization.opened(self._opened(form["request"], self._binding(request)))
            decision = form["decision"]
            client = await self._store.client(asked.client_id)
            if client is None or asked.redirect_uri not in client.redirect_uris or decision not in ("allow", "deny"):
                raise ValueError("changed meanwhile")
        except (ValueError, KeyError, StoreError):
            return self._page(pages.problem(STALE), 400)
        if decision == "deny":
            refusal = {"error": "access_denied", "error_description": "The user has refused", "state": asked.state}
            return self._to_client(asked.redirect_uri, refusal)
        code = await self._store.add_code(session.user_id, asked)
        return self._to_client(asked.redirect_uri, {"code": code.reveal(), "state": asked.state})

    # The client

    async def token(self, request: Request) -> Response:
        """Give tokens for a code or a refresh token."""
        try:
            client, given = await self._client_request(request)
            return self._tokens(await self._granted(client, given))
        except OAuthError as exc:
            return self._oauth_error(request, exc)

    async def revoke(self, request: Request) -> Response:
        """End a token (RFC 7009). One that is not known is ended already."""
        try:
            client, given = await self._client_request(request)
            if "token" not in given:
                raise OAuthError("invalid_request", "token is missing")
            await self._store.revoke(client, Secret(given["token"]))
        except OAuthError as exc:
            return self._oauth_error(request, exc)
        return JSONResponse({}, headers=_NO_STORE)

    async def _granted(self, client: Client, given: dict[str, str]) -> Issued:
        match given.get("grant_type"):
            case "authorization_code":
                if "code" not in given:
                    raise OAuthError("invalid_request", "code is missing")
                code, verifier = Secret(given["code"]), given.get("code_verifier")
                return await self._store.redeem_code(client, code, given.get("redirect_uri"), verifier)
            case "refresh_token":
                if "refresh_token" not in given:
                    raise OAuthError("invalid_request", "refresh_token is missing")
                token = Secret(given["refresh_token"])
                return await self._store.redeem_refresh_token(client, token, given.get("scope"))
            case None:
                raise OAuthError("invalid_request", "grant_type is missing")
            case _:
                raise OAuthError("unsupported_grant_type", "grant_type is authorization_code or refresh_token")

    def _tokens(self, issued: Issued) -> Response:
        document = {
            "access_token": issued.access.reveal(),
            "token_type": "bearer",
            "expires_in": ACCESS_SECONDS,
            "refresh_token": issued.refresh.reveal(),
            "scope": issued.scopes,
        }
        return JSONResponse(document, headers=_NO_STORE)

    async def _client_request(self, request: Request) -> tuple[Client, dict[str, str]]:
        """Return the client, which has shown who it is, and what it asks. Raises OAuthError, Refused."""
        body = await read_body(request, MAX_BODY_BYTES)
        given = token_request(request.headers.get("content-type", ""), body)
        basic = _basic(request.headers.get("authorization", ""))
        if basic is not None and "client_secret" in given:
            raise OAuthError("invalid_request", "The client shows who it is in two ways")
        client_id, secret = basic or (given.get("client_id", ""), given.get("client_secret"))
        if given.get("client_id", client_id) != client_id:
            raise OAuthError("invalid_request", "Two clients are named")
        client = await self._store.client(client_id) if "\0" not in client_id else None
        if client is None or not _secret_fits(client, secret):
            raise OAuthError("invalid_client", "The client is not known, or its secret is not right", 401)
        return client, given

    def _oauth_error(self, request: Request, exc: OAuthError) -> Response:
        basic = exc.status == 401 and "authorization" in request.headers
        challenge = {"www-authenticate": 'Basic realm="oauth"'} if basic else {}
        return JSONResponse(exc.members, exc.status, {**_NO_STORE, **challenge})

    # Parts

    async def _asked(self, query: str) -> tuple[Client, Authorization]:
        """Return what is asked for, and by whom. Raises Unusable, Rejected."""
        try:
            found = fields(query)
        except ValueError:
            raise Unusable("The application's request cannot be understood.") from None
        names = found.get("client_id", ())
        client = await self._store.client(names[0]) if names else None
        redirect_uri = redirect_uri_of(client, found)
        assert client is not None  # noqa: S101 - redirect_uri_of has seen to it
        return client, authorization(client, redirect_uri, found)

    async def _session(self, request: Request) -> Session | None:
        shown = request.cookies.get(self._session_cookie, "")
        return await self._store.session(Secret(shown)) if 0 < len(shown) <= MAX_SECRET else None

    def _binding(self, request: Request) -> str:
        """Return what a consent form is bound to: the session it was made for."""
        return f"consent/{request.cookies.get(self._session_cookie, '')}"

    async def _form(self, request: Request) -> dict[str, str]:
        """Return the fields of a form. Raises ValueError, Refused."""
        body = await read_body(request, MAX_BODY_BYTES)
        return once(fields(body.decode("utf-8")))

    def _sealed(self, plain: bytes, binding: str) -> str:
        stamped = int(time.time() + FORM_SECONDS).to_bytes(8) + plain
        return base64.urlsafe_b64encode(self._cipher.encrypted(stamped, binding)).decode()

    def _opened(self, sealed: str, binding: str) -> bytes:
        """Return what was sealed, unless it was long ago. Raises ValueError, StoreError."""
        plain = self._cipher.decrypted(base64.urlsafe_b64decode(sealed.encode("ascii")), binding)
        if int.from_bytes(plain[:8]) < time.time():
            raise ValueError("too old")
        return plain[8:]

    def _sign_in_page(self, client: str, query: str, name: str = "", problem: str = "", status: int = 200) -> Response:
        """Return the page, with a form that only the browser which gets it can send."""
        browser = new_secret("form-").reveal()
        token = self._sealed(b"", f"sign-in/{browser}")
        response = self._page(pages.sign_in(client, query, token, name=name, problem=problem), status)
        self._set_cookie(response, self._form_cookie, browser, FORM_SECONDS)
        return response

    def _set_cookie(self, response: Response, name: str, value: str, seconds: int) -> None:
        response.set_cookie(
            name, value, max_age=seconds, path="/", secure=self._is_secure, httponly=True, samesite="lax"
        )

    def _page(self, page: str, status: int, form_action: str = "'self'") -> Response:
        policy = (
            f"default-src 'none'; style-src 'sha256-{pages.STYLE_HASH}'; form-action {form_action};"
            " base-uri 'none'; frame-ancestors 'none'"
        )
        return HTMLResponse(page, status, {**_PAGE_HEADERS, "content-security-policy": policy})

    def _to_client(self, redirect_uri: str, members: dict[str, str | None]) -> Response:
        return self._redirect(response_uri(redirect_uri, {**members, "iss": self._issuer}))

    def _redirect(self, where: str) -> Response:
        return RedirectResponse(where, 303, _PAGE_HEADERS)


_NO_STORE = {"cache-control": "no-store", "pragma": "no-cache"}

_PAGE_HEADERS = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


def _basic(header: str) -> tuple[str, str | None] | None:
    """Return id and secret of HTTP Basic (RFC 6749, section 2.3.1), None where it is not used. Raises OAuthError."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        client_id, colon, secret = base64.b64decode(encoded.strip(), validate=True).decode("utf-8").partition(":")
        if not colon:
            raise ValueError("no colon")
        return unquote_plus(client_id, errors="strict"), unquote_plus(secret, errors="strict")
    except (ValueError, binascii.Error):
        raise OAuthError("invalid_client", "The Authorization header cannot be read", 401) from None


def _secret_fits(client: Client, secret: str | None) -> bool:
    if client.secret_hash is None:
        return not secret  # a public client has none, and proves itself by the code verifier
    return bool(secret) and hmac.compare_digest(client.secret_hash, hashed(Secret(secret or "")))
