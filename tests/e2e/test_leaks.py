"""No token, code, verifier or API key is in a log, in a message where it does not belong, or in another file."""

from __future__ import annotations

import logging
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import anyio
import pytest

from appserver.log import prepare_form, set_up_logging
from appserver.log_formats import FORMATS, TEXT
from appserver.testing import http_error
from tests.handlers.accounts import browse, store_login, write_auth
from tests.peer import subprocess_peer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from anyio.abc import ByteReceiveStream

    from appserver.testing import FakeBackend
    from tests.conftest import ServerFactory
    from tests.peer import Message, Peer

pytestmark = pytest.mark.anyio

START, REFRESH = "account/login/start", "account/chatgptAuthTokens/refresh"
TOKEN_PATH, REVOKE_PATH, RESPONSES = "/oauth/token", "/oauth/revoke", "/v1/responses"
SECRET_PARAMS = ("code", "code_verifier", "refresh_token", "subject_token", "token", "device_auth_id")
API_KEY = "a1b2c3d4.a/key+that=nobody.may.see"  # looks like nothing in particular
NO_JWT = "eyJ-no-jwt-and-yet-a-secret"


@pytest.fixture(params=FORMATS, autouse=True)
def log_format(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Log in each form, in processes and in this one."""
    monkeypatch.setenv("APPSERVER_LOG_FORMAT", request.param)
    prepare_form(request.param)
    yield
    prepare_form(TEXT)


def secrets_of(backend: FakeBackend) -> set[str]:
    """Everything secret that the backend has handed out or was sent, whole and in its telling parts."""
    known = {API_KEY, NO_JWT} | backend.tokens._accepted | backend.tokens._rejected | set(backend.tokens._refresh)
    for request in backend.requests:
        known |= {request.bearer or ""} | {request.query.get("state", "")}
        if request.method == "POST" and request.path != RESPONSES:
            params = request.params()
            known |= {str(params[name]) for name in SECRET_PARAMS if name in params}
    parts = {part for token in known for part in token.split(".") if token.count(".") == 2}
    return {secret for secret in known | parts if len(secret) > 12 and not secret.startswith("eyJhbGciOiJub25l")}


def assert_none_in(text: str, secrets: set[str], where: str) -> None:
    """Fail with the place, and the shape of what was found there."""
    for secret in secrets:
        at = text.find(secret)
        assert at < 0, f"{where}: {secret[:10]}... in {text[max(0, at - 200) : at]!r}"


def assert_no_leak(backend: FakeBackend, home: Path, log: str, peer: Peer) -> None:
    """Search the log, everything that was sent, and every file but the one that is made for secrets."""
    secrets = secrets_of(backend)
    assert_none_in(log, secrets, "the log")
    states = {request.query.get("state", "") for request in backend.requests}  # part of the URL that the user opens
    for message in peer.messages:
        assert_none_in(str(message), secrets - states, "the wire")
    for path in home.rglob("*"):
        if path.is_file() and path.name not in ("auth.json", "auth.json.corrupt"):
            assert_none_in(path.read_text(errors="replace"), secrets, path.name)


async def drain(stream: ByteReceiveStream, into: bytearray) -> None:
    """Read until the process has closed it."""
    try:
        async for chunk in stream:
            into += chunk
    except (anyio.ClosedResourceError, anyio.BrokenResourceError):
        pass


@asynccontextmanager
async def watched(backend: FakeBackend, home: Path, *overrides: str) -> AsyncIterator[Peer]:
    """Run a real daemon that logs everything it can, and search all of it for secrets afterwards."""
    log = bytearray()
    environ = {**backend.environ(home), "APPSERVER_LOG": "debug"}
    async with anyio.create_task_group() as group, subprocess_peer(environ, overrides) as peer:
        assert peer.process is not None
        assert peer.process.stderr is not None
        group.start_soon(drain, peer.process.stderr, log)
        yield peer
    assert_no_leak(backend, home, log.decode(), peer)


async def test_external_tokens_leave_no_trace(backend: FakeBackend, home: Path) -> None:
    old, new = backend.grant(), backend.grant()
    answers: list[Message] = [
        {"error": {"code": -32000, "message": f"cannot renew {old.access_token}", "data": old.access_token}},
        {"error": f"cannot renew {old.access_token}"},
        {"result": {"accessToken": NO_JWT}},
        {"result": {"accessToken": old.access_token, "chatgptAccountId": "org-9"}},
        {"result": {"accessToken": new.access_token, "idToken": new.id_token}},
    ]
    backend.expire_access_tokens()
    backend.tokens.accept(new.access_token)
    async with watched(backend, home) as peer:
        peer.responders[REFRESH] = lambda _: answers.pop(0)
        for bad in ({"accessToken": NO_JWT}, {"accessToken": old.access_token, "idToken": NO_JWT}, {"apiKey": API_KEY}):
            await peer.error(START, {"type": "chatgptAuthTokens", **bad})
        await peer.login_with_tokens(old.access_token, idToken=old.id_token)
        thread = await peer.start_thread()
        statuses = [(await peer.turn(thread))["status"] for _ in range(5)]
        assert statuses == ["failed"] * 4 + ["completed"]
        await peer.send({"id": 99, "result": {"accessToken": new.access_token}})
        await peer.result("account/logout")


async def test_a_managed_login_leaves_no_trace(backend: FakeBackend, home: Path) -> None:
    async with watched(backend, home) as peer:
        await peer.result(START, {"type": "chatgptDeviceCode"})
        await peer.notification("account/login/completed", success=True)
        thread = await peer.start_thread()
        await peer.turn(thread)
        backend.expire_access_tokens()
        echo = str(next(reversed(backend.tokens._refresh)))
        backend.issuer.fail_next(400, {"error": {"code": echo, "message": echo}}, path=TOKEN_PATH)
        backend.issuer.fail_next(200, {"access_token": f"{NO_JWT}\n"}, path=TOKEN_PATH)
        backend.issuer.fail_next(200, f"not json: {echo}", path=TOKEN_PATH)
        backend.issuer.cut_next(path=TOKEN_PATH)
        statuses = [(await peer.turn(thread))["status"] for _ in range(5)]
        assert statuses == ["failed"] * 4 + ["completed"]
        backend.expire_access_tokens()
        backend.tokens.expire_refresh_tokens()
        assert (await peer.turn(thread))["status"] == "failed"
        assert "needsLogin" in await peer.result("account/read")
        backend.issuer.fail_next(500, echo, path=REVOKE_PATH)
        await peer.result("account/logout")
        await backend.requests.wait_for(REVOKE_PATH)


@pytest.mark.usefixtures("callback_ports")
async def test_a_browser_login_leaves_no_trace(backend: FakeBackend, home: Path) -> None:
    async with watched(backend, home) as peer:
        for fault in (None, 500):
            if fault:
                backend.issuer.fail_next(fault, path=TOKEN_PATH)
            login = await peer.result(START, {"type": "chatgpt"})
            redirect = parse_qs(urlsplit(login["authUrl"]).query)["redirect_uri"][0]
            await browse(f"{redirect}?code={NO_JWT}&state=somebody-elses-state")
            _, page = await browse(login["authUrl"])
            await peer.notification("account/login/completed", loginId=login["loginId"])
            assert_none_in(page, secrets_of(backend), "the page")


async def test_an_api_key_leaves_no_trace(backend: FakeBackend, home: Path) -> None:
    backend.tokens.reject(API_KEY)
    async with watched(backend, home) as peer:
        await peer.error(START, {"type": "apiKey", "apiKey": f"{API_KEY}\nand more"})
        await peer.error(START, {"type": "apiKey", "key": API_KEY})
        await peer.error(START, [API_KEY])
        await peer.result(START, {"type": "apiKey", "apiKey": API_KEY})
        assert (await peer.turn(await peer.start_thread()))["status"] == "failed"
        await peer.send_raw(f'{{"id": 1, "method": "{START}", "params": {{"apiKey": "{API_KEY}"\n'.encode())
        await peer.wait(lambda message: message.get("error", {}).get("code") == -32700)


@pytest.mark.parametrize("login", ["tokens", "a key of no known shape"])
async def test_a_backend_that_repeats_what_it_was_sent_does_not_make_us_repeat_it(
    backend: FakeBackend, home: Path, login: str
) -> None:
    token = backend.grant().access_token if login == "tokens" else API_KEY
    backend.script(
        http_error(400, {"error": {"message": f"Incorrect API key provided: {token}", "code": "invalid_api_key"}}),
        http_error(500, f"what is {token}?"),
    )
    async with watched(backend, home) as peer:
        if login == "tokens":
            await peer.login_with_tokens(token)
        else:
            await peer.result(START, {"type": "apiKey", "apiKey": token})
        thread = await peer.start_thread()
        for _ in range(2):
            turn = await peer.turn(thread)
            assert turn["status"] == "failed"
            assert "***" in turn["error"]["message"]


async def test_a_corrupt_file_is_not_quoted(backend: FakeBackend, home: Path) -> None:
    grant = backend.grant()
    (home / "auth.json").write_text(f'{{"tokens": {{"access_token": "{grant.access_token}", "refresh_token": "{NO_JWT}')
    async with watched(backend, home) as peer:
        assert "needsLogin" in await peer.result("account/read")
        write_auth(home, {"auth_mode": "chatgpt", "tokens": {"id_token": NO_JWT, "access_token": grant.access_token}})
        assert "needsLogin" in await peer.result("account/read")
        write_auth(home, {"auth_mode": "apikey", "OPENAI_API_KEY": f"{API_KEY}\r\nX: y"})
        assert "needsLogin" in await peer.result("account/read")


class Heard:
    """What was written to standard error."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        """Nothing is kept back."""


@pytest.fixture
def everything_logged(log_format: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Heard]:
    """Our logging, and the HTTP layer's own at DEBUG, as somebody may set it who looks for a fault."""
    heard, root = Heard(), logging.getLogger()
    kept, level = root.handlers[:], root.level
    chatty = [logging.getLogger(name) for name in ("httpx", "httpcore", "asyncio")]
    monkeypatch.setattr("sys.stderr", heard)
    root.handlers.clear()  # as in a process of its own: basicConfig would close those of the test run
    set_up_logging("DEBUG")
    for logger in chatty:
        logger.setLevel(logging.DEBUG)
    yield heard
    root.handlers[:] = kept
    root.setLevel(level)
    for logger in chatty:
        logger.setLevel(logging.NOTSET)


async def test_the_http_layers_own_log_holds_no_secret(
    server: ServerFactory, backend: FakeBackend, home: Path, everything_logged: Heard
) -> None:
    store_login(home, backend.grant())
    backend.expire_access_tokens()
    async with server() as peer:
        assert (await peer.turn(await peer.start_thread()))["status"] == "completed"
        await peer.result("account/rateLimits/read")
        await peer.result("account/logout")
        await backend.requests.wait_for(REVOKE_PATH)
    assert re.search(r"httpcore.*send_request_headers", everything_logged.text), "the HTTP layer has logged nothing"
    assert_no_leak(backend, home, everything_logged.text, peer)


async def test_a_fault_in_the_middle_of_everything_is_logged_without_secrets(
    server: ServerFactory, backend: FakeBackend, home: Path, everything_logged: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    grant = backend.grant()
    store_login(home, grant)
    backend.expire_access_tokens()

    def break_down(*_: Any, **__: Any) -> None:  # noqa: ANN401 - takes the place of any method
        raise RuntimeError(f"a fault of a library that quotes {grant.access_token}")

    monkeypatch.setattr("appserver.auth.oauth.tokens.TokenClient.refresh", break_down)
    async with server() as peer:
        turn = await peer.turn(await peer.start_thread())
        assert turn["status"] == "failed"
    assert "a fault of a library that quotes ***" in everything_logged.text
    assert_no_leak(backend, home, everything_logged.text, peer)
