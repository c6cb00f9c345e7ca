"""Logins that take their time, by browser and by device code: to the end, and every way that they may not get there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import anyio
import pytest

from appserver.testing import Decision
from tests.handlers.accounts import browse, said, stored

if TYPE_CHECKING:
    from pathlib import Path

    from appserver.testing import FakeBackend
    from tests.conftest import ServerFactory
    from tests.peer import Message, Peer

pytestmark = pytest.mark.anyio

START, CANCEL, COMPLETED = "account/login/start", "account/login/cancel", "account/login/completed"
DEVICE, BROWSER = {"type": "chatgptDeviceCode"}, {"type": "chatgpt"}
NOT_COMPLETED = "Login was not completed"
BROWSER_NOT_COMPLETED = "Login server error: Login was not completed"
EXTERNAL_IS_ACTIVE = (
    "External auth is active. Use account/login/start (chatgptAuthTokens) to update it or account/logout to clear it."
)
USERCODE_PATH, POLL_PATH = "/api/accounts/deviceauth/usercode", "/api/accounts/deviceauth/token"


def completions(peer: Peer) -> list[tuple[str | None, bool, str | None]]:
    """Every account/login/completed so far."""
    told = [message["params"] for message in peer.notifications if message["method"] == COMPLETED]
    return [(one["loginId"], one["success"], one["error"]) for one in told]


def words_of(kind: dict[str, str]) -> str:
    """What the reference says of a login of this kind that was cancelled."""
    return BROWSER_NOT_COMPLETED if kind == BROWSER else NOT_COMPLETED


async def open_device_login(peer: Peer, backend: FakeBackend) -> Message:
    """Start a device login whose user never decides."""
    backend.issuer.device.decision = Decision.OPEN
    login: Message = await peer.result(START, DEVICE)
    return login


async def test_a_device_login_says_what_the_reference_says(
    server: ServerFactory, backend: FakeBackend, home: Path
) -> None:
    async with server() as peer:
        start = len(peer.messages)
        login = await peer.result(START, DEVICE)
        assert login.pop("loginId")
        url = f"{backend.url}/codex/device"
        assert login == {"type": "chatgptDeviceCode", "verificationUrl": url, "userCode": "FAKE-0001"}
        await peer.notification("account/updated", authMode="chatgpt", planType="pro")
        assert said(peer, start) == ["result", COMPLETED, "account/updated"]
        assert (await peer.turn(await peer.start_thread()))["status"] == "completed"
    kept = stored(home)
    assert kept["auth_mode"] == "chatgpt"
    assert kept["tokens"].keys() == {"id_token", "access_token", "refresh_token", "account_id"}
    assert kept["tokens"]["account_id"] == "org-1"
    assert backend.requests.to("/v1/responses")[0].bearer == kept["tokens"]["access_token"]


@pytest.mark.usefixtures("callback_ports")
async def test_a_browser_login_says_what_the_reference_says(
    server: ServerFactory, backend: FakeBackend, home: Path
) -> None:
    async with server() as peer:
        start = len(peer.messages)
        login = await peer.result(START, BROWSER)
        assert login.keys() == {"type", "loginId", "authUrl"}
        query = parse_qs(urlsplit(login["authUrl"]).query)
        assert query["originator"] == ["tests"]
        assert query["redirect_uri"][0].endswith("/auth/callback")
        page_status, page = await browse(login["authUrl"])
        assert page_status == 200
        await peer.notification("account/updated", authMode="chatgpt", planType="pro")
        assert said(peer, start) == ["result", COMPLETED, "account/updated"]
        assert completions(peer) == [(login["loginId"], True, None)]
    tokens = stored(home)["tokens"]
    assert stored(home)["OPENAI_API_KEY"].startswith("sk-fake-")
    assert not any(token in page for token in tokens.values() if len(token) > 8)


@pytest.mark.usefixtures("callback_ports")
async def test_a_browser_login_that_the_user_denies_ends_with_the_issuers_word(
    server: ServerFactory, backend: FakeBackend, home: Path
) -> None:
    backend.issuer.deny_next()
    async with server() as peer:
        login = await peer.result(START, BROWSER)
        await browse(login["authUrl"])
        completed = await peer.notification(COMPLETED, loginId=login["loginId"], success=False)
        assert "The fake user said no" in completed["error"]
        assert (await peer.result("account/read"))["account"] is None
        assert "account/updated" not in peer.methods
    assert stored(home) is None


async def test_a_device_login_that_the_user_denies_fails_once(server: ServerFactory, backend: FakeBackend) -> None:
    backend.issuer.device.decision = Decision.DENIED
    async with server() as peer:
        login = await peer.result(START, DEVICE)
        await peer.notification(COMPLETED)
    [(login_id, success, error)] = completions(peer)
    assert (login_id, success) == (login["loginId"], False)
    assert "access_denied" in (error or "")
    assert "account/updated" not in peer.methods


async def test_an_issuer_without_device_login_is_explained(server: ServerFactory, backend: FakeBackend) -> None:
    backend.issuer.device.enabled = False
    async with server() as peer:
        error = await peer.error(START, DEVICE)
        assert error["code"] == -32600
        assert "not enabled" in error["message"]
        assert '"chatgpt"' in error["message"]
    assert completions(peer) == []


async def test_a_failing_exchange_ends_the_login_once(server: ServerFactory, backend: FakeBackend) -> None:
    backend.issuer.fail_next(500, path="/oauth/token")
    async with server() as peer:
        login = await peer.result(START, DEVICE)
        await peer.notification(COMPLETED, loginId=login["loginId"], success=False)
    assert len(completions(peer)) == 1


async def test_a_login_that_cannot_be_stored_fails_and_says_why(
    server: ServerFactory, backend: FakeBackend, home: Path
) -> None:
    async with server() as peer:
        login = await open_device_login(peer, backend)
        (home / "config.toml").unlink()
        home.rmdir()
        home.write_text("a file where the home should be")
        backend.issuer.device.approve()
        completed = await peer.notification(COMPLETED, loginId=login["loginId"], success=False)
        assert str(home) in completed["error"]
        assert (await peer.result("account/read"))["account"] is None


async def test_cancelling_says_what_the_reference_says(server: ServerFactory, backend: FakeBackend) -> None:
    async with server() as peer:
        login_id = (await open_device_login(peer, backend))["loginId"]
        start = len(peer.messages)
        assert await peer.result(CANCEL, {"loginId": login_id}) == {"status": "canceled"}
        await peer.notification(COMPLETED)
        assert said(peer, start) == ["result", COMPLETED]
        assert completions(peer) == [(login_id, False, NOT_COMPLETED)]
        assert await peer.result(CANCEL, {"loginId": login_id}) == {"status": "notFound"}
        error = await peer.error(CANCEL, {"loginId": "nope"})
        assert error == {"code": -32600, "message": "invalid login id: nope"}
    assert len(completions(peer)) == 1


@pytest.mark.usefixtures("callback_ports")
async def test_a_cancelled_browser_login_frees_its_port(server: ServerFactory) -> None:
    async with server() as peer:
        redirects = []
        for _ in range(2):
            login = await peer.result(START, BROWSER)
            redirects.append(parse_qs(urlsplit(login["authUrl"]).query)["redirect_uri"])
            await peer.result(CANCEL, {"loginId": login["loginId"]})
            await peer.notification(COMPLETED, loginId=login["loginId"])
        assert redirects[0] == redirects[1]


@pytest.mark.usefixtures("callback_ports")
async def test_a_new_login_supersedes_the_old_one_of_either_kind(server: ServerFactory, backend: FakeBackend) -> None:
    backend.issuer.device.decision = Decision.OPEN
    async with server() as peer:
        logins = [await peer.result(START, kind) for kind in (BROWSER, BROWSER, DEVICE, BROWSER)]
        await browse(logins[-1]["authUrl"])
        await peer.notification("account/updated")
        ids = [login["loginId"] for login in logins]
        words = [BROWSER_NOT_COMPLETED, BROWSER_NOT_COMPLETED, NOT_COMPLETED]
        ended = [(one, False, error) for one, error in zip(ids, words, strict=False)]
        assert completions(peer) == [*ended, (ids[-1], True, None)]


async def test_logins_started_at_the_same_time_leave_one_and_end_once_each(
    server: ServerFactory, backend: FakeBackend
) -> None:
    backend.issuer.device.decision = Decision.OPEN
    async with server() as peer:
        requests = [await peer.post(START, DEVICE) for _ in range(5)]
        ids = {(await peer.response(one))["result"]["loginId"] for one in requests}
        await peer.until(lambda: len(completions(peer)) == 4)
        backend.issuer.device.approve()
        await peer.notification("account/updated")
        assert {login_id for login_id, _, _ in completions(peer)} == ids
        assert [success for _, success, _ in completions(peer)] == [False] * 4 + [True]


AT_ONCE: dict[str, tuple[str, str | None]] = {
    # What is done at once: the method, and who is signed in then.
    "apiKey": (START, "apikey"),
    "chatgptAuthTokens": (START, "chatgptAuthTokens"),
    "logout": ("account/logout", None),
}


async def do_at_once(peer: Peer, backend: FakeBackend, what: str) -> Message:
    """Do one of these and return the response."""
    params = {"type": what, "apiKey": "sk-test", "accessToken": backend.grant().access_token}
    method, _ = AT_ONCE[what]
    return await peer.call(method, params if method == START else None)


@pytest.mark.usefixtures("callback_ports")
@pytest.mark.parametrize("what", AT_ONCE)
@pytest.mark.parametrize("kind", [BROWSER, DEVICE], ids=["browser", "device"])
async def test_what_is_done_at_once_ends_a_pending_login(
    server: ServerFactory, backend: FakeBackend, kind: dict[str, str], what: str
) -> None:
    backend.issuer.device.decision = Decision.OPEN
    async with server() as peer:
        login = await peer.result(START, kind)
        assert "result" in await do_at_once(peer, backend, what)
        await peer.notification(COMPLETED, loginId=login["loginId"], success=False, error=words_of(kind))
        backend.issuer.device.approve()
        if kind == BROWSER:
            with pytest.raises(ConnectionRefusedError):
                await browse(login["authUrl"])  # nobody listens there any more
        assert (await peer.result("getAuthStatus"))["authMethod"] == AT_ONCE[what][1]
    at_once = [] if what == "logout" else [(None, True, None)]
    assert sorted(completions(peer), key=str) == sorted([*at_once, (login["loginId"], False, words_of(kind))], key=str)


@pytest.mark.parametrize("what", ["apiKey", "logout"])
async def test_what_is_done_at_once_ends_a_device_login_that_is_still_starting(
    server: ServerFactory, backend: FakeBackend, home: Path, what: str
) -> None:
    gate = backend.issuer.hold_next(path=USERCODE_PATH)
    async with server() as peer:
        starting = await peer.post(START, DEVICE)
        await gate.reached.wait()
        assert "result" in await do_at_once(peer, backend, what)
        gate.release()
        login_id = (await peer.response(starting))["result"]["loginId"]
        await peer.notification(COMPLETED, loginId=login_id, success=False, error=NOT_COMPLETED)
        assert said(peer)[-2:] == ["result", COMPLETED]
        assert (await peer.result("getAuthStatus"))["authMethod"] == AT_ONCE[what][1]
    assert [one for one in completions(peer) if one[0]] == [(login_id, False, NOT_COMPLETED)]
    assert backend.requests.to("/oauth/token") == []


async def test_the_parents_tokens_are_not_replaced_by_a_device_login_that_was_still_starting(
    server: ServerFactory, backend: FakeBackend, home: Path
) -> None:
    gate = backend.issuer.hold_next(path=USERCODE_PATH)
    async with server() as peer:
        starting = await peer.post(START, DEVICE)
        await gate.reached.wait()
        await do_at_once(peer, backend, "chatgptAuthTokens")
        gate.release()
        assert (await peer.response(starting))["error"] == {"code": -32600, "message": EXTERNAL_IS_ACTIVE}
        assert (await peer.result("getAuthStatus"))["authMethod"] == "chatgptAuthTokens"
    assert completions(peer) == [(None, True, None)]
    assert stored(home) is None


@pytest.mark.usefixtures("callback_ports")
async def test_requests_in_one_breath_count_in_their_order(server: ServerFactory, backend: FakeBackend) -> None:
    backend.issuer.device.decision = Decision.OPEN
    async with server() as peer:
        await peer.result("account/read")  # nothing waits for the first look at the store any more
        asked = [{"id": number, "method": START, "params": kind} for number, kind in enumerate((DEVICE, BROWSER), 100)]
        tokens = {"type": "chatgptAuthTokens", "accessToken": backend.grant().access_token}
        asked += [{"id": 102, "method": START, "params": tokens}, {"id": 103, "method": START, "params": DEVICE}]
        await peer.send_raw(b"".join(json.dumps(one).encode() + b"\n" for one in asked))
        answers = [await peer.response(number) for number in range(100, 104)]
        assert ["result" in answer for answer in answers] == [False, False, True, False]
        assert (await peer.result("getAuthStatus"))["authMethod"] == "chatgptAuthTokens"
    assert completions(peer) == [(None, True, None)]


@pytest.mark.usefixtures("callback_ports")
@pytest.mark.parametrize("kind", [BROWSER, DEVICE], ids=["browser", "device"])
async def test_what_comes_while_tokens_are_exchanged_supersedes_that_login_too(
    server: ServerFactory, backend: FakeBackend, home: Path, kind: dict[str, str]
) -> None:
    gate = backend.issuer.hold_answer(path="/oauth/token")

    async def browse_in_vain(url: str) -> None:
        with pytest.raises(ConnectionError):
            await browse(url)

    async with server() as peer, anyio.create_task_group() as browser:
        login = await peer.result(START, kind)
        if kind == BROWSER:
            browser.start_soon(browse_in_vain, login["authUrl"])
        await gate.reached.wait()
        await do_at_once(peer, backend, "chatgptAuthTokens")
        await peer.notification(COMPLETED, loginId=login["loginId"], success=False, error=words_of(kind))
        gate.release()
        assert (await peer.result("getAuthStatus"))["authMethod"] == "chatgptAuthTokens"
    assert len(completions(peer)) == 2
    assert stored(home) is None


@pytest.mark.usefixtures("callback_ports")
@pytest.mark.parametrize("kind", [BROWSER, DEVICE])
async def test_a_shutdown_ends_a_pending_login_once(
    server: ServerFactory, backend: FakeBackend, kind: dict[str, str]
) -> None:
    backend.issuer.device.decision = Decision.OPEN
    async with server() as peer:
        login_id = (await peer.result(START, kind))["loginId"]
    assert completions(peer) == [(login_id, False, words_of(kind))]


async def test_transient_errors_do_not_end_a_device_login(server: ServerFactory, backend: FakeBackend) -> None:
    backend.issuer.fail_next(502, path=POLL_PATH)
    backend.issuer.cut_next(path=POLL_PATH)
    async with server() as peer:
        await peer.result(START, DEVICE)
        await peer.notification(COMPLETED, success=True)


@pytest.mark.parametrize("params", [{}, {"loginId": None}, {"loginId": 7}, []])
async def test_cancelling_without_an_id_is_invalid_params(server: ServerFactory, params: object) -> None:
    async with server() as peer:
        assert (await peer.error(CANCEL, params))["code"] == -32602
