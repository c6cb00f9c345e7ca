"""Browser login: the URL, the callback and its pages, who may end the login, and the port that comes free."""

from __future__ import annotations

import base64
import hashlib
import http.client
import re
import socket
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit

import anyio
import anyio.to_thread
import pytest

from appserver.auth.login import browser as login_browser
from appserver.auth.login.browser import BrowserLogin
from appserver.auth.oauth.http import IssuerHttp
from appserver.auth.oauth.pkce import s256_challenge
from appserver.auth.oauth.tokens import LoginGrant, TokenClient
from appserver.errors import LoginError
from appserver.http import Http
from appserver.loopback import bind
from appserver.session import Session
from appserver.settings import Settings
from appserver.testing import FakeBackend
from protocol.base import Secret
from tests.auth.told import assert_tells_none

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from email.message import Message

    from appserver.auth.login.redirect import Redirect

pytestmark = pytest.mark.anyio

TOKEN_PATH = "/oauth/token"
WAIT_SECONDS = 5.0  # for what should come at once


@dataclass
class Answer:
    status: int
    headers: Message
    text: str


def get(url: str, method: str = "GET") -> Answer:
    """Ask as a browser does, with a client that logs nothing itself; redirects are not followed."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=WAIT_SECONDS)
    try:
        connection.request(method, f"{parts.path}?{parts.query}")
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read().decode())
    finally:
        connection.close()


async def browse(url: str, method: str = "GET") -> Answer:
    return await anyio.to_thread.run_sync(get, url, method)


async def send(port: int, data: bytes) -> bytes:
    """Send these bytes to the callback's port, and read until it closes the connection."""
    received = bytearray()
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        await stream.send(data)
        with anyio.fail_after(WAIT_SECONDS), suppress(anyio.EndOfStream):
            while True:
                received += await stream.receive()
    return bytes(received)


@dataclass
class Attempt:
    """A login whose `finish` runs in the background."""

    login: BrowserLogin
    url: str
    ended: anyio.Event = field(default_factory=anyio.Event)
    grant: LoginGrant | None = None
    error: LoginError | None = None

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.url).query))

    def callback(self, **query: str) -> str:
        return f"{self.query['redirect_uri']}?{urlencode({'state': self.query['state'], **query})}"

    def elsewhere(self, path: str) -> str:
        return f"http://localhost:{self.port}{path}"

    @property
    def port(self) -> int:
        return urlsplit(self.query["redirect_uri"]).port or 0

    async def sign_in(self) -> str:
        """Let the issuer's user agree (or not); return where the browser is sent."""
        return (await browse(self.url)).headers["location"]

    async def run(self) -> None:
        try:
            self.grant = await self.login.finish()
        except LoginError as exc:
            self.error = exc
        finally:
            self.ended.set()

    async def end(self) -> None:
        with anyio.fail_after(WAIT_SECONDS):
            await self.ended.wait()

    async def granted(self) -> LoginGrant:
        await self.end()
        assert self.grant is not None, self.error
        return self.grant

    async def failed(self) -> LoginError:
        await self.end()
        assert self.error is not None
        return self.error


class Lab:
    """Starts logins against a fake backend."""

    def __init__(self, settings: Settings, http: Http) -> None:
        self.settings = settings
        self.session = Session()
        self.session.begin("lab", "1", frozenset())
        self._http = http

    def login(self, ports: Sequence[int] = (0,)) -> BrowserLogin:
        client = TokenClient(IssuerHttp(self._http, self.session), self.settings)
        return BrowserLogin(client, self.settings, self.session, ports)

    @asynccontextmanager
    async def attempt(self) -> AsyncIterator[Attempt]:
        login = self.login()
        attempt = Attempt(login, login.start())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(attempt.run)
            yield attempt
            tasks.cancel_scope.cancel()


@pytest.fixture
async def backend() -> AsyncIterator[FakeBackend]:
    async with FakeBackend() as fake:
        yield fake


@pytest.fixture
async def lab(backend: FakeBackend) -> AsyncIterator[Lab]:
    settings = Settings(home="unused", issuer=backend.url, token_url=f"{backend.url}{TOKEN_PATH}")
    client = Http(settings)
    yield Lab(settings, client)
    await client.close()


@contextmanager
def occupied(port: int = 0) -> Iterator[int]:
    with bind(port) as listener:
        yield listener.getsockname()[1]


def can_bind(port: int, host: str = "127.0.0.1") -> bool:
    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            return True
    except OSError:
        return False


HAS_IPV6 = socket.has_ipv6 and can_bind(0, "::1")


# ---------------------------------------------------------------- the URL and the ports


async def test_the_url_has_exactly_the_agreed_parameters_in_order(lab: Lab) -> None:
    login = lab.login()
    url = login.start()
    login.close()
    query = parse_qsl(urlsplit(url).query)
    port = urlsplit(dict(query)["redirect_uri"]).port
    assert url.startswith(f"{lab.settings.issuer}/oauth/authorize?")
    assert [name for name, _ in query] == [
        "response_type",
        "client_id",
        "redirect_uri",
        "scope",
        "code_challenge",
        "code_challenge_method",
        "id_token_add_organizations",
        "codex_cli_simplified_flow",
        "state",
        "originator",
    ]
    values = dict(query)
    assert values["redirect_uri"] == f"http://localhost:{port}/auth/callback"
    assert values["scope"] == ("openid profile email offline_access api.connectors.read api.connectors.invoke")
    assert (values["response_type"], values["code_challenge_method"]) == ("code", "S256")
    assert (values["id_token_add_organizations"], values["codex_cli_simplified_flow"]) == ("true", "true")
    assert values["originator"] == "lab"
    assert len(values["code_challenge"]) == 43
    assert len(values["state"]) >= 32


async def test_forced_workspaces_are_named_in_the_url(lab: Lab) -> None:
    lab.settings = lab.settings._replace(forced_workspaces=("ws-1", "ws-2"))
    login = lab.login()
    url = login.start()
    login.close()
    assert parse_qsl(urlsplit(url).query)[-1] == ("allowed_workspace_id", "ws-1,ws-2")


async def test_no_two_attempts_share_a_state_or_a_challenge(lab: Lab) -> None:
    async with lab.attempt() as one, lab.attempt() as other:
        assert one.query["state"] != other.query["state"]
        assert one.query["code_challenge"] != other.query["code_challenge"]


async def test_a_port_in_use_is_passed_over(lab: Lab) -> None:
    with occupied() as taken:
        login = lab.login((taken, 0))
        login.start()
        login.close()


async def test_a_port_that_is_not_permitted_is_passed_over(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse_low(port: int) -> socket.socket:
        if port == 1:
            raise PermissionError(13, "Permission denied")
        return bind(port)

    monkeypatch.setattr(login_browser, "bind", refuse_low)
    login = lab.login((1, 0))
    login.start()
    login.close()


async def test_where_no_port_can_be_had_both_are_named_and_device_code_is_offered(lab: Lab) -> None:
    with occupied() as first, occupied() as second, pytest.raises(LoginError) as caught:
        lab.login((first, second)).start()
    assert re.search(rf"{first} \(.+\) or {second} \(.+\).*chatgptDeviceCode", caught.value.message)


@pytest.mark.usefixtures("callback_ports")
async def test_the_second_registered_port_is_used_where_the_first_is_taken(lab: Lab) -> None:
    with occupied(1455):
        login = lab.login(login_browser.PORTS)
        url = login.start()
        login.close()
    assert dict(parse_qsl(urlsplit(url).query))["redirect_uri"] == "http://localhost:1457/auth/callback"


@pytest.mark.skipif(not HAS_IPV6, reason="the system has no IPv6 loopback")
async def test_the_callback_answers_on_both_loopback_addresses(lab: Lab) -> None:
    async with lab.attempt() as attempt:
        for host in ("127.0.0.1", "[::1]"):
            assert (await browse(f"http://{host}:{attempt.port}/favicon.ico")).status == 404


@pytest.mark.skipif(not HAS_IPV6, reason="the system has no IPv6 loopback")
async def test_a_port_that_somebody_else_has_on_ipv6_is_passed_over(lab: Lab) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        taken = listener.getsockname()[1]
        with pytest.raises(LoginError, match=f"{taken} "):
            lab.login((taken,)).start()
        assert can_bind(taken)


async def test_without_ipv6_the_callback_answers_on_ipv4(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(port: int) -> socket.socket:
        raise OSError(97, "Address family not supported by protocol")

    monkeypatch.setattr(login_browser, "_bind_ipv6", refuse)
    async with lab.attempt() as attempt:
        assert (await browse(f"http://127.0.0.1:{attempt.port}/")).status == 404


# ---------------------------------------------------------------- signing in


async def test_signing_in_gives_tokens_and_an_api_key(backend: FakeBackend, lab: Lab) -> None:
    async with lab.attempt() as attempt:
        page = await browse(await attempt.sign_in())
        grant = await attempt.granted()
    assert page.status == 200
    assert "Signed in" in page.text
    assert grant.tokens.id_token
    assert grant.tokens.access_token
    assert grant.tokens.refresh_token
    assert grant.api_key
    exchange = backend.requests.to(TOKEN_PATH)[0].form()
    assert exchange["redirect_uri"] == attempt.query["redirect_uri"]
    assert s256_challenge(exchange["code_verifier"]) == attempt.query["code_challenge"]


async def test_without_an_api_key_the_login_is_complete(backend: FakeBackend, lab: Lab) -> None:
    backend.issuer.api_keys = False
    async with lab.attempt() as attempt:
        assert (await browse(await attempt.sign_in())).status == 200
        assert (await attempt.granted()).api_key is None


async def test_every_page_is_kept_from_caches_referrers_and_scripts(lab: Lab) -> None:
    async with lab.attempt() as attempt:
        pages = [await browse(attempt.elsewhere("/")), await browse(attempt.callback(state="x", code="c"))]
        pages.append(await browse(await attempt.sign_in()))
    for page in pages:
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["referrer-policy"] == "no-referrer"
        assert page.headers["content-security-policy"] == (
            f"default-src 'none'; style-src 'sha256-{style_hash(page.text)}'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        assert page.headers["cross-origin-resource-policy"] == "same-origin"
        assert page.headers["x-content-type-options"] == "nosniff"
        assert int(page.headers["content-length"]) == len(page.text.encode())
        assert not re.search(r"<script|src=|href=|url\(|@import|https?://", page.text)


def style_hash(text: str) -> str:
    [style] = re.findall("<style>(.*?)</style>", text, re.DOTALL)
    return base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()


async def test_the_page_comes_only_after_the_exchange(backend: FakeBackend, lab: Lab) -> None:
    gate = backend.issuer.hold_next(path=TOKEN_PATH)
    pages: list[Answer] = []

    async def load(url: str) -> None:
        pages.append(await browse(url))

    async with lab.attempt() as attempt, anyio.create_task_group() as tasks:
        tasks.start_soon(load, await attempt.sign_in())
        await gate.reached.wait()
        assert not pages
        assert not attempt.ended.is_set()
        gate.release()
        await attempt.granted()
    assert pages[0].status == 200


async def test_a_callback_that_comes_twice_is_exchanged_once_and_answered_twice(backend: FakeBackend, lab: Lab) -> None:
    gate = backend.issuer.hold_next(path=TOKEN_PATH)
    pages: list[Answer] = []

    async def load(url: str) -> None:
        pages.append(await browse(url))

    async with lab.attempt() as attempt, anyio.create_task_group() as tasks:
        url = await attempt.sign_in()
        tasks.start_soon(load, url)
        await gate.reached.wait()
        asked_again = anyio.Event()
        answer = attempt.login._receive

        def receive(redirect: Redirect) -> None:
            answer(redirect)
            asked_again.set()

        attempt.login._receive = receive  # type: ignore[method-assign] # to see it come in
        tasks.start_soon(load, url)
        with anyio.fail_after(WAIT_SECONDS):
            await asked_again.wait()
        gate.release()
        await attempt.granted()
    assert [page.status for page in pages] == [200, 200]
    assert pages[0].text == pages[1].text
    grants = [it.form()["grant_type"] for it in backend.requests.to(TOKEN_PATH)]
    assert grants.count("authorization_code") == 1


async def test_a_browser_that_leaves_early_does_not_keep_the_login_from_ending(backend: FakeBackend, lab: Lab) -> None:
    gate = backend.issuer.hold_next(path=TOKEN_PATH)
    async with lab.attempt() as attempt:
        parts = urlsplit(await attempt.sign_in())
        stream = await anyio.connect_tcp("127.0.0.1", attempt.port)
        async with stream:
            await stream.send(
                f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: localhost:{attempt.port}\r\n\r\n".encode()
            )
            await gate.reached.wait()
        gate.release()
        assert (await attempt.granted()).tokens.access_token


# ---------------------------------------------------------------- what does not end the login


@pytest.mark.parametrize(
    "host", ["attacker.test:{port}", "localhost", "localhost:1", "localhost:{port}.test", "", None]
)
@pytest.mark.parametrize("path", ["/auth/callback", "/"])
async def test_a_request_under_another_name_is_misdirected_and_changes_nothing(
    backend: FakeBackend, lab: Lab, host: str | None, path: str
) -> None:
    async with lab.attempt() as attempt:
        line = f"GET {path}?{urlencode({'code': 'c', 'state': attempt.query['state']})} HTTP/1.0"
        header = "" if host is None else f"Host: {host.format(port=attempt.port)}\r\n"
        answer = await send(attempt.port, f"{line}\r\n{header}\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 421 ")
        assert b"attacker" not in answer
        assert not attempt.ended.is_set()
    assert not backend.requests.to(TOKEN_PATH)


@pytest.mark.parametrize("host", ["localhost", "LocalHost", "127.0.0.1", "[::1]"])
async def test_every_name_of_this_machine_is_answered(lab: Lab, host: str) -> None:
    async with lab.attempt() as attempt:
        request = f"GET /favicon.ico HTTP/1.1\r\nHost: {host}:{attempt.port}\r\n\r\n"
        assert (await send(attempt.port, request.encode())).startswith(b"HTTP/1.1 404 ")


@pytest.mark.parametrize("repeated", ["code=another", "state=another", "state="])
async def test_a_parameter_that_stands_there_twice_is_refused_and_the_login_goes_on(
    backend: FakeBackend, lab: Lab, repeated: str
) -> None:
    async with lab.attempt() as attempt:
        page = await browse(f"{attempt.callback(code='c')}&{repeated}")
        assert page.status == 400
        assert not backend.requests.to(TOKEN_PATH)
        assert (await browse(await attempt.sign_in())).status == 200
        await attempt.granted()


@pytest.mark.parametrize("path", ["/favicon.ico", "/", "/auth", "/auth/callback/", "/success", "/cancel"])
async def test_other_paths_are_not_found_and_the_login_goes_on(lab: Lab, path: str) -> None:
    async with lab.attempt() as attempt:
        assert (await browse(attempt.elsewhere(path))).status == 404
        assert (await browse(await attempt.sign_in())).status == 200
        await attempt.granted()


@pytest.mark.parametrize("method", ["POST", "HEAD", "PUT", "OPTIONS"])
async def test_the_callback_takes_only_get(backend: FakeBackend, lab: Lab, method: str) -> None:
    async with lab.attempt() as attempt:
        page = await browse(attempt.callback(code="c"), method)
        assert page.status == 405
        assert page.headers["allow"] == "GET"
        assert not attempt.ended.is_set()
    assert not backend.requests.to(TOKEN_PATH)


@pytest.mark.parametrize(
    "query",
    [
        {"code": "attackers-code", "state": "wrong"},
        {"code": "attackers-code", "state": ""},
        {"error": "access_denied", "state": "wrong"},
        {"code": "attackers-code", "state": "\N{SNOWMAN}"},
    ],
)
async def test_a_wrong_state_is_refused_and_cannot_end_the_login(
    backend: FakeBackend, lab: Lab, query: dict[str, str]
) -> None:
    async with lab.attempt() as attempt:
        page = await browse(attempt.callback(**query))
        assert page.status == 400
        assert "This sign-in has expired" in page.text
        assert "attackers-code" not in page.text
        assert not backend.requests.to(TOKEN_PATH)
        assert (await browse(await attempt.sign_in())).status == 200
        await attempt.granted()


@pytest.mark.parametrize("query", [{}, {"code": ""}, {"code": "line\nbreak"}])
async def test_a_callback_without_a_code_is_refused_and_the_login_goes_on(
    backend: FakeBackend, lab: Lab, query: dict[str, str]
) -> None:
    async with lab.attempt() as attempt:
        assert (await browse(attempt.callback(**query))).status == 400
        assert not attempt.ended.is_set()
    assert not backend.requests.to(TOKEN_PATH)


# ---------------------------------------------------------------- what ends it without a credential


async def test_a_refusal_of_the_user_is_told_in_the_issuers_words(backend: FakeBackend, lab: Lab) -> None:
    backend.issuer.deny_next()
    async with lab.attempt() as attempt:
        page = await browse(await attempt.sign_in())
        error = await attempt.failed()
    assert page.status == 400
    assert "The fake user said no." in page.text
    assert "The fake user said no." in error.message
    assert not backend.requests.to(TOKEN_PATH)


async def test_the_issuers_words_are_escaped_on_the_page_and_cut(lab: Lab) -> None:
    description = "<script>alert(1)</script> & \x00\x1b[31m\n" + "x" * 10_000
    async with lab.attempt() as attempt:
        page = await browse(attempt.callback(error="access_denied", error_description=description))
        error = await attempt.failed()
    assert "<script" not in page.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; " in page.text
    assert len(error.message) < 300
    assert error.message.isprintable()


async def test_an_error_without_a_description_is_named(lab: Lab) -> None:
    async with lab.attempt() as attempt:
        await browse(attempt.callback(error="server_error"))
        assert "server_error" in (await attempt.failed()).message


async def test_a_failed_exchange_is_told_to_the_browser_and_ends_the_login(backend: FakeBackend, lab: Lab) -> None:
    backend.issuer.fail_next(500, path=TOKEN_PATH)
    async with lab.attempt() as attempt:
        page = await browse(await attempt.sign_in())
        error = await attempt.failed()
    assert page.status == 502
    assert "Sign-in failed" in page.text
    assert "HTTP 500" in error.message


async def test_a_login_that_nobody_completes_ends_by_itself(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login_browser, "LOGIN_SECONDS", 0.05)
    async with lab.attempt() as attempt:
        assert "Nobody signed in" in (await attempt.failed()).message
        assert can_bind(attempt.port)


# ---------------------------------------------------------------- the port comes free


async def test_the_port_is_free_after_a_login(lab: Lab) -> None:
    async with lab.attempt() as attempt:
        await browse(await attempt.sign_in())
        await attempt.granted()
        with occupied(attempt.port):
            pass


async def test_the_port_is_free_after_a_cancelled_login(lab: Lab) -> None:
    async with lab.attempt() as attempt:
        await browse(attempt.elsewhere("/"))
    with occupied(attempt.port):
        assert attempt.grant is None


async def test_the_port_is_free_where_finish_was_cancelled_before_it_ran(lab: Lab) -> None:
    login = lab.login()
    port = Attempt(login, login.start()).port
    with anyio.CancelScope() as scope:
        scope.cancel()
        await login.finish()
    with occupied(port):
        pass


async def test_a_closed_login_has_not_been_completed(lab: Lab) -> None:
    login = lab.login()
    login.start()
    login.close()
    with pytest.raises(LoginError, match="not completed"):
        await login.finish()


async def test_finish_needs_a_start(lab: Lab) -> None:
    with pytest.raises(RuntimeError, match="before start"):
        await lab.login().finish()


# ---------------------------------------------------------------- pasting the URL


async def test_a_pasted_redirect_url_completes_the_login(backend: FakeBackend, lab: Lab) -> None:
    async with lab.attempt() as attempt:
        pasted = await attempt.login.paste(Secret(f"  {await attempt.sign_in()}\n"))
        assert await attempt.granted() == pasted
    assert pasted.tokens.access_token
    assert pasted.api_key


@pytest.mark.parametrize("url", ["", "hello", "http://[", "http://localhost:1455/auth/callback", "?\ud800"])
async def test_what_is_no_redirect_url_is_refused_and_the_login_goes_on(lab: Lab, url: str) -> None:
    async with lab.attempt() as attempt:
        with pytest.raises(LoginError):
            await attempt.login.paste(Secret(url))
        assert (await attempt.login.paste(Secret(await attempt.sign_in()))).tokens.access_token


@pytest.mark.parametrize("query", [{"code": "c", "state": "wrong"}, {"code": "c", "state": "\ud800"}])
async def test_a_pasted_url_with_a_wrong_state_changes_nothing(
    backend: FakeBackend, lab: Lab, query: dict[str, str]
) -> None:
    async with lab.attempt() as attempt:
        with pytest.raises(LoginError, match="another sign-in"):
            await attempt.login.paste(Secret(f"http://localhost/auth/callback?code=c&state={query['state']}"))
        assert not attempt.ended.is_set()
    assert not backend.requests.to(TOKEN_PATH)


async def test_a_pasted_refusal_ends_the_login(backend: FakeBackend, lab: Lab) -> None:
    backend.issuer.deny_next()
    async with lab.attempt() as attempt:
        with pytest.raises(LoginError, match="The fake user said no"):
            await attempt.login.paste(Secret(await attempt.sign_in()))
        await attempt.failed()


async def test_a_paste_that_is_given_up_does_not_end_the_login(backend: FakeBackend, lab: Lab) -> None:
    gate = backend.issuer.hold_next(path=TOKEN_PATH)
    async with lab.attempt() as attempt:
        url = await attempt.sign_in()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(attempt.login.paste, Secret(url))
            await gate.reached.wait()
            tasks.cancel_scope.cancel()
        gate.release()
        assert (await attempt.granted()).tokens.access_token


async def test_a_paste_into_a_cancelled_login_is_told_so(backend: FakeBackend, lab: Lab) -> None:
    async with lab.attempt() as attempt:
        url = await attempt.sign_in()
    with anyio.fail_after(WAIT_SECONDS), pytest.raises(LoginError, match="not completed"):
        await attempt.login.paste(Secret(url))
    assert not backend.requests.to(TOKEN_PATH)


# ---------------------------------------------------------------- secrets


@pytest.mark.parametrize("status", [200, 500])
async def test_no_page_no_error_and_no_log_shows_a_secret(
    backend: FakeBackend, lab: Lab, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    caplog.set_level("DEBUG")
    if status != 200:
        backend.issuer.fail_next(status, path=TOKEN_PATH)
    async with lab.attempt() as attempt:
        url = await attempt.sign_in()
        page = await browse(url)
        await attempt.end()
    forms = [it.form() for it in backend.requests.to(TOKEN_PATH)]
    secrets = [forms[0]["code"], forms[0]["code_verifier"], attempt.query["state"]]
    if attempt.grant:
        tokens, key = attempt.grant.tokens, attempt.grant.api_key
        issued = (tokens.id_token, tokens.access_token, tokens.refresh_token, key)
        secrets += [token.reveal() for token in issued if token]
    told = f"{page.text}{page.headers}{attempt.error!r}{attempt.grant!r}{attempt.login!r}{caplog.text}"
    assert len(secrets) == (7 if status == 200 else 3)
    assert not [secret for secret in secrets if secret in told]
    if attempt.error:
        assert_tells_none(attempt.error, *secrets)


async def test_no_frame_of_a_paste_that_fails_holds_a_secret(backend: FakeBackend, lab: Lab) -> None:
    backend.issuer.fail_next(500, path=TOKEN_PATH)
    async with lab.attempt() as attempt:
        url, state = await attempt.sign_in(), attempt.query["state"]
        code = dict(parse_qsl(urlsplit(url).query))["code"]
        for pasted in (url.replace("state=", "state=another"), url.replace(code, f"{code}%0A"), f"http://[{url}", url):
            with pytest.raises(LoginError) as caught:
                await attempt.login.paste(Secret(pasted))
            assert_tells_none(caught.value, code, state)
        assert_tells_none(await attempt.failed(), code, state)
