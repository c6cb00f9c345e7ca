"""Device login: its pace, its patience and its bounds, in a time that the test moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from appserver.auth.login.device import LOGIN_SECONDS, MAX_SERVER_ERRORS, MIN_INTERVAL_SECONDS, DeviceLogin
from appserver.auth.oauth.device import DeviceClient
from appserver.auth.oauth.http import IssuerHttp
from appserver.auth.oauth.tokens import TokenClient
from appserver.errors import LoginError
from appserver.http import Http
from appserver.session import Session
from appserver.settings import Settings
from appserver.testing import Decision, FakeBackend
from protocol.base import Secret
from tests.auth.told import assert_tells_none

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

pytestmark = pytest.mark.anyio

TOKEN_PATH, POLL_PATH = "/oauth/token", "/api/accounts/deviceauth/token"


class Time:
    """A clock that moves only when somebody sleeps. `on_sleep` runs meanwhile."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []
        self.on_sleep: Callable[[], None] = lambda: None

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        self.on_sleep()
        await anyio.lowlevel.checkpoint()

    def clock(self) -> float:
        return self.now


@pytest.fixture
async def backend() -> AsyncIterator[FakeBackend]:
    async with FakeBackend() as fake:
        fake.issuer.device.interval = "5"
        yield fake


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
async def login(backend: FakeBackend, time: Time) -> AsyncIterator[DeviceLogin]:
    settings = Settings(home="unused", issuer=backend.url, token_url=f"{backend.url}{TOKEN_PATH}")
    http = Http(settings)
    issuer = IssuerHttp(http, Session())
    device_client, token_client = DeviceClient(issuer, settings), TokenClient(issuer, settings)
    yield DeviceLogin(device_client, token_client, settings, sleep=time.sleep, clock=time.clock)
    await http.close()


async def test_a_confirmed_code_becomes_tokens_and_no_api_key(backend: FakeBackend, login: DeviceLogin) -> None:
    device = await login.start()
    grant = await login.finish()
    assert device.user_code == Secret("FAKE-0001")
    assert grant.tokens.id_token
    assert grant.tokens.access_token
    assert grant.tokens.refresh_token
    assert grant.api_key is None
    [request] = backend.requests.to(TOKEN_PATH)
    assert request.form()["redirect_uri"] == f"{backend.url}/deviceauth/callback"


async def test_polls_keep_the_issuers_interval(backend: FakeBackend, login: DeviceLogin, time: Time) -> None:
    backend.issuer.device.pending_polls = 4
    await login.start()
    await login.finish()
    assert time.slept == [5, 5, 5, 5]
    assert len(backend.requests.to(POLL_PATH)) == 5


async def test_each_slow_down_adds_five_seconds_for_good(backend: FakeBackend, login: DeviceLogin, time: Time) -> None:
    backend.issuer.device.slow_down_polls = 2
    backend.issuer.device.pending_polls = 2
    await login.start()
    await login.finish()
    assert time.slept == [10, 15, 15, 15]


async def test_an_issuer_that_names_no_pause_does_not_make_us_spin(
    backend: FakeBackend, login: DeviceLogin, time: Time
) -> None:
    backend.issuer.device.interval = "0"
    await login.start()
    await login.finish()
    assert time.slept == [MIN_INTERVAL_SECONDS]


async def test_a_code_that_nobody_confirms_ends_after_fifteen_minutes(
    backend: FakeBackend, login: DeviceLogin, time: Time
) -> None:
    backend.issuer.device.decision = Decision.OPEN
    backend.issuer.device.interval = "240"
    await login.start()
    with pytest.raises(LoginError, match="15 minutes"):
        await login.finish()
    assert time.slept == [240, 240, 240, 180]
    assert sum(time.slept) == LOGIN_SECONDS


async def test_a_code_confirmed_late_still_counts(backend: FakeBackend, login: DeviceLogin, time: Time) -> None:
    backend.issuer.device.decision = Decision.OPEN
    backend.issuer.device.interval = "60"
    time.on_sleep = lambda: backend.issuer.device.approve() if len(time.slept) == 14 else None
    await login.start()
    assert (await login.finish()).tokens.access_token
    assert len(time.slept) == 14


async def test_a_denied_login_ends_at_once(backend: FakeBackend, login: DeviceLogin) -> None:
    backend.issuer.device.decision = Decision.DENIED
    await login.start()
    with pytest.raises(LoginError, match="denied"):
        await login.finish()
    assert not backend.requests.to(TOKEN_PATH)


async def test_an_issuer_that_is_broken_for_good_ends_the_login(backend: FakeBackend, login: DeviceLogin) -> None:
    backend.issuer.fail_next(500, {"error": "boom"}, times=1000, path=POLL_PATH)
    await login.start()
    with pytest.raises(LoginError, match="HTTP 500, boom"):
        await login.finish()
    assert len(backend.requests.to(POLL_PATH)) == MAX_SERVER_ERRORS


async def test_a_good_answer_between_server_errors_starts_the_count_anew(
    backend: FakeBackend, login: DeviceLogin
) -> None:
    for _ in range(3):
        backend.issuer.fail_next(500, times=MAX_SERVER_ERRORS - 1, path=POLL_PATH)
        backend.issuer.fail_next(403, path=POLL_PATH)
    await login.start()
    assert (await login.finish()).tokens.access_token


async def test_no_answer_at_all_is_survived_for_as_long_as_the_code_lives(
    backend: FakeBackend, login: DeviceLogin
) -> None:
    backend.issuer.cut_next(times=50, path=POLL_PATH)
    await login.start()
    assert (await login.finish()).tokens.access_token


async def test_being_asked_too_often_slows_us_down_and_ends_nothing(
    backend: FakeBackend, login: DeviceLogin, time: Time
) -> None:
    backend.issuer.fail_next(429, times=MAX_SERVER_ERRORS + 1, path=POLL_PATH)
    backend.issuer.device.pending_polls = 0
    await login.start()
    assert (await login.finish()).tokens.access_token
    assert time.slept == [10, 15, 20, 25, 30, 35]


async def test_a_verifier_that_does_not_fit_its_challenge_is_not_used(backend: FakeBackend, login: DeviceLogin) -> None:
    grant = {"authorization_code": "code-0123456789", "code_verifier": "verifier-0123456789"}
    backend.issuer.fail_next(200, {**grant, "code_challenge": "another"}, path=POLL_PATH)
    await login.start()
    with pytest.raises(LoginError, match="code_challenge") as caught:
        await login.finish()
    assert not backend.requests.to(TOKEN_PATH)
    assert_tells_none(caught.value, *grant.values())


async def test_a_grant_without_a_challenge_is_used(backend: FakeBackend, login: DeviceLogin) -> None:
    backend.issuer.fail_next(200, {"authorization_code": "c", "code_verifier": "v"}, path=POLL_PATH)
    backend.issuer.fail_next(200, {"id_token": "i", "access_token": "a"}, path=TOKEN_PATH)
    await login.start()
    assert (await login.finish()).tokens.refresh_token is None


async def test_a_failed_exchange_ends_the_login_without_showing_the_code(
    backend: FakeBackend, login: DeviceLogin, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    grant = {"authorization_code": "code-0123456789", "code_verifier": "verifier-0123456789"}
    backend.issuer.fail_next(200, grant, path=POLL_PATH)
    await login.start()
    with pytest.raises(LoginError, match="invalid_grant") as caught:
        await login.finish()
    secrets = (*grant.values(), *backend.issuer.device.attempts)
    assert_tells_none(caught.value, *secrets)
    assert all(secret not in caplog.text for secret in secrets)


async def test_finish_needs_a_start(login: DeviceLogin) -> None:
    with pytest.raises(RuntimeError, match="before start"):
        await login.finish()
