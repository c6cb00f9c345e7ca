"""The refreshers that ship, and what is checked of what any refresher returns."""

from __future__ import annotations

import gc
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

from appserver.auth.credentials import ExternalTokens
from appserver.auth.oauth.http import IssuerHttp
from appserver.auth.oauth.tokens import TokenClient
from appserver.auth.refresh.base import RefreshedTokens, RefreshRequest, checked, load_refresher, refreshed
from appserver.auth.refresh.client import METHOD, ClientRefresher
from appserver.auth.refresh.command import CommandRefresher, create
from appserver.auth.refresh.issuer import OAuthRefresher
from appserver.errors import ClientError, ClientTimeout, ConfigError, InvalidParams, RefreshError
from appserver.http import Http
from appserver.session import Session
from appserver.settings import Settings
from appserver.testing import make_jwt
from protocol.base import Secret
from tests.auth.manager_rig import external, jwt, managed, running_manager

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from appserver.auth.credentials import ChatgptTokens
    from appserver.testing import FakeBackend

pytestmark = pytest.mark.anyio

SETTINGS = Settings(home="unused")


def request(credential: ChatgptTokens | None = None, late: list[RefreshedTokens] | None = None) -> RefreshRequest:
    return RefreshRequest(credential or external(), late=(late if late is not None else []).append)


class FakeParent:
    """Answers one request with a result, or by raising."""

    def __init__(self, answer: dict[str, Any] | Exception) -> None:
        self.asked: list[tuple[str, object, float]] = []
        self.late: Callable[[dict[str, Any]], None] | None = None
        self._answer = answer

    async def request(
        self, method: str, params: object, *, timeout: float, late: Callable[[dict[str, Any]], None] | None = None
    ) -> dict[str, Any]:
        self.asked.append((method, params, timeout))
        self.late = late
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


async def test_the_parent_is_asked_in_the_references_words() -> None:
    parent = FakeParent({"accessToken": jwt()})
    await ClientRefresher(parent, 10.0).refresh(request(external(account="org-7")))
    assert parent.asked == [(METHOD, {"reason": "unauthorized", "previousAccountId": "org-7"}, 10.0)]


async def test_the_parents_answer_is_taken_in_both_shapes() -> None:
    access, identity = jwt(), jwt()
    new = await ClientRefresher(FakeParent({"accessToken": access, "chatgptAccountId": "org-1"}), 10.0).refresh(
        request()
    )
    assert new == RefreshedTokens(access_token=access, account_id="org-1")
    new = await ClientRefresher(FakeParent({"accessToken": access, "idToken": identity}), 10.0).refresh(request())
    assert new == RefreshedTokens(access_token=access, id_token=identity)


@pytest.mark.parametrize(
    ("raised", "words"),
    [
        (ClientTimeout("timed out"), "auth refresh request timed out after 0.25s"),
        (
            ClientError(f"{METHOD} failed: user signed out (code=-32000)"),
            "auth refresh request failed: user signed out",
        ),
        (InvalidParams(f"Invalid result of {METHOD}: accessToken: missing"), "accessToken: missing"),
    ],
)
async def test_what_goes_wrong_at_the_parent_is_told_in_its_words(raised: Exception, words: str) -> None:
    with pytest.raises(RefreshError) as caught:
        await ClientRefresher(FakeParent(raised), 0.25).refresh(request())
    assert words in caught.value.message
    assert not caught.value.permanent


async def test_a_late_answer_of_the_parent_is_passed_on() -> None:
    parent, late = FakeParent(ClientTimeout("timed out")), list[RefreshedTokens]()
    with pytest.raises(RefreshError):
        await ClientRefresher(parent, 0.25).refresh(request(late=late))
    assert parent.late is not None
    token = jwt()
    parent.late({"accessToken": token})
    assert late == [RefreshedTokens(access_token=token)]


async def test_the_issuer_gets_the_refresh_token_and_its_answer_is_returned(backend: FakeBackend) -> None:
    settings = Settings(home="unused", issuer=backend.url, token_url=f"{backend.url}/oauth/token")
    http, token = Http(settings), backend.grant().refresh_token
    client = TokenClient(IssuerHttp(http, Session()), settings)
    new = await OAuthRefresher(client).refresh(request(managed(token)))
    await http.close()
    assert new.access_token
    assert new.refresh_token != Secret(token)
    assert [it.json()["refresh_token"] for it in backend.requests.to("/oauth/token")] == [token]


async def test_a_login_without_a_refresh_token_cannot_be_renewed() -> None:
    client = TokenClient(IssuerHttp(Http(SETTINGS), Session()), SETTINGS)
    with pytest.raises(RefreshError, match="no refresh token") as caught:
        await OAuthRefresher(client).refresh(request(managed(None)))
    assert caught.value.permanent


def python(code: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(code)]


async def test_the_token_is_what_the_command_prints() -> None:
    token = jwt()
    new = await CommandRefresher(python(f"print('  {token.reveal()}  ')")).refresh(request())
    assert new == RefreshedTokens(access_token=token)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import sys; print('secret-output'); sys.exit(3)", "failed with exit code 3"),
        ("print('   ')", "printed no token"),
        ("print('x' * 100_000)", "printed more than a token"),
        ("while True: print('x' * 1000)", "printed more than a token"),
    ],
)
async def test_a_command_that_fails_is_told_of_without_its_output(code: str, words: str) -> None:
    with pytest.raises(RefreshError) as caught:
        await CommandRefresher(python(code)).refresh(request())
    assert words in caught.value.message
    assert "secret" not in caught.value.message
    assert "xxx" not in caught.value.message


async def test_a_command_that_hangs_is_ended() -> None:
    with pytest.raises(RefreshError, match=r"did not finish within 0\.2s"):
        await CommandRefresher(python("import time; time.sleep(60)"), timeout=0.2).refresh(request())


async def test_a_command_whose_time_is_over_while_it_starts_is_waited_for() -> None:
    for _ in range(10):
        with pytest.raises(RefreshError, match="did not finish"):
            await CommandRefresher(python("import time; time.sleep(60)"), timeout=1e-9).refresh(request())
    gc.collect()  # warns of a process that nobody has waited for


async def test_a_command_that_is_not_there_is_named() -> None:
    with pytest.raises(RefreshError, match="/nowhere/token could not be run: No such file"):
        await CommandRefresher(["/nowhere/token"]).refresh(request())


async def test_a_command_does_not_go_through_a_shell(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    with pytest.raises(RefreshError):
        await CommandRefresher([f"true; touch {mark}"]).refresh(request())
    assert not mark.exists()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"command": "sso token"},
        {"command": []},
        {"command": [1]},
        *({"command": ["x"], "timeout": timeout} for timeout in (0, True, "5")),
    ],
)
def test_options_of_the_command_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"refresher\.(command|timeout): expected"):
        create(options)


def test_a_refresher_that_nobody_supplies_is_a_mistake_in_the_configuration() -> None:
    with pytest.raises(ConfigError, match='no installed package supplies "nobody"'):
        load_refresher("nobody", {})


class Bad:
    """Tokens that no answer may hold, and what is said of them."""

    NO_JWT = RefreshedTokens(access_token=Secret("opaque-secret"))
    NONE_AT_ALL = RefreshedTokens()
    OTHER = RefreshedTokens(jwt(account="org-1"), jwt(account="org-2"))
    HEADER = RefreshedTokens(Secret(jwt().reveal() + "\nX-Injected: 1"))


@pytest.mark.parametrize(
    ("new", "words"),
    [
        (Bad.NO_JWT, "The access token is not a JWT"),
        (Bad.NONE_AT_ALL, "no access token"),
        (Bad.OTHER, "different accounts"),
        (Bad.HEADER, "characters that cannot be sent"),
        (None, "returned NoneType, not RefreshedTokens"),
        ("opaque-secret", "returned str, not RefreshedTokens"),
        ({"access_token": "opaque-secret"}, "returned dict, not RefreshedTokens"),
        (RefreshedTokens(access_token=make_jwt()), "members of the wrong type"),  # type: ignore[arg-type]  # on purpose
        (RefreshedTokens(jwt(), account_id=7), "members of the wrong type"),  # type: ignore[arg-type]  # on purpose
        (RefreshedTokens(jwt(), plan=["pro"]), "members of the wrong type"),  # type: ignore[arg-type]  # on purpose
    ],
)
def test_what_a_refresher_returns_is_checked_before_use(new: Any, words: str) -> None:  # noqa: ANN401 - anything
    with pytest.raises(RefreshError) as caught:
        refreshed(SETTINGS, external(), checked(new), refreshed_at="")
    assert words in caught.value.message
    assert "opaque-secret" not in caught.value.message


def test_the_account_of_the_new_tokens_is_used_whatever_id_comes_with_them() -> None:
    new = RefreshedTokens(jwt(account="org-2"), account_id="org-1")
    assert refreshed(SETTINGS, external(account="org-1"), new, refreshed_at="").account_id == "org-2"
    with pytest.raises(RefreshError, match="restricted to workspace"):
        refreshed(SETTINGS._replace(forced_workspaces=("org-1",)), external(), new, refreshed_at="")


def test_tokens_of_another_workspace_are_refused_only_where_one_is_forced() -> None:
    new = RefreshedTokens(jwt(account="org-2"))
    assert refreshed(SETTINGS, external(account="org-1"), new, refreshed_at="").account_id == "org-2"
    with pytest.raises(RefreshError, match="restricted to workspace"):
        refreshed(SETTINGS._replace(forced_workspaces=("org-1",)), external(), new, refreshed_at="")


def test_what_the_new_tokens_do_not_say_stays_as_it_was() -> None:
    old = external(account="org-1", email="old@example.com", plan="team")
    new = refreshed(SETTINGS, old, RefreshedTokens(jwt(account=None, email=None, plan=None)), refreshed_at="")
    assert isinstance(new, ExternalTokens)
    assert (new.account_id, new.claims.email, new.claims.plan) == ("org-1", "old@example.com", "team")


@pytest.mark.parametrize("garbage", [None, 42, "opaque-secret", RefreshedTokens(), ValueError("opaque-secret")])
async def test_garbage_from_a_foreign_refresher_fails_one_refresh_and_nothing_else(garbage: object) -> None:
    async with running_manager(SETTINGS._replace(credentials_store="ephemeral")) as rig:
        held = await rig.sign_in_external()
        rig.refresher.answers = [garbage]
        with pytest.raises(RefreshError) as caught:
            await rig.manager.refresh(held.generation)
        assert "opaque-secret" not in caught.value.message
        assert await rig.held() is held
        assert (await rig.manager.refresh(held.generation)).generation > held.generation
