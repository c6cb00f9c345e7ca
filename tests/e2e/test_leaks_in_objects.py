"""Objects that hold secrets do not show them: as text, in a format, in a log record, in a traceback with its locals."""

from __future__ import annotations

import dataclasses
import importlib
import pickle
import pkgutil
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

import appserver.auth
from appserver.auth.credentials import ApiKey, ExternalTokens, Held, ManagedTokens, external_tokens
from appserver.auth.oauth.http import IssuerHttp
from appserver.auth.oauth.tokens import TokenClient
from appserver.auth.refresh.base import RefreshedTokens, RefreshRequest, refreshed
from appserver.auth.refresh.redemption import Redeemer
from appserver.auth.stores.file import FileStore
from appserver.auth.stores.off_loop import OffLoopStore
from appserver.http import Http
from appserver.session import Session
from appserver.settings import Settings
from protocol.base import Secret
from tests.auth.manager_rig import ScriptedRefresher, external, jwt, managed, running_manager
from tests.auth.told import Told, shown

if TYPE_CHECKING:
    from pathlib import Path

    from appserver.testing import FakeBackend

pytestmark = pytest.mark.anyio

HIDDEN = "a-value-that-nobody-may-see"
CLAIMS_ARE_SHOWN = {"email", "plan", "user_id", "account_id"}


def modules() -> list[str]:
    return [found.name for found in pkgutil.iter_modules(appserver.auth.__path__, "appserver.auth.")]


def members(name: str) -> list[object]:
    """What a module defines; nothing if it needs an extra that is not installed."""
    try:
        return list(vars(importlib.import_module(name)).values())
    except ModuleNotFoundError as exc:
        if str(exc.name).startswith("appserver"):
            raise
        return []


def auth_records() -> list[type[Any]]:
    """Every dataclass and named tuple of the auth package, also those that come later."""
    found = [value for name in modules() for value in members(name)]
    own = {it for it in found if isinstance(it, type) and (dataclasses.is_dataclass(it) or hasattr(it, "_fields"))}
    return sorted((it for it in own if it.__module__.startswith("appserver.auth.")), key=lambda it: it.__qualname__)


class Member(NamedTuple):
    name: str
    type: str
    repr: bool


def members_of(kind: type[Any]) -> list[Member]:
    if dataclasses.is_dataclass(kind):
        return [Member(field.name, str(field.type), field.repr) for field in dataclasses.fields(kind)]
    annotations = {name: it for base in kind.__mro__ for name, it in getattr(base, "__annotations__", {}).items()}
    types = [annotations[name] for name in kind._fields]
    told = [getattr(it, "__forward_arg__", str(it)) for it in types]
    return [Member(name, one, repr=True) for name, one in zip(kind._fields, told, strict=True)]


def filled(kind: type[Any]) -> Any:  # noqa: ANN401 - an instance of any record
    """Make an instance whose every member that can hold a secret holds one."""
    values = {member.name: _value(member.type) for member in members_of(kind)}
    if not dataclasses.is_dataclass(kind):
        return kind(**values)
    instance = object.__new__(kind)
    for name, value in values.items():
        object.__setattr__(instance, name, value)
    return instance


def _value(annotation: str) -> object:
    if "Secret" in annotation:
        return Secret(HIDDEN)
    if "Credential" in annotation or "ChatgptTokens" in annotation:
        return ApiKey(Secret(HIDDEN))
    if "Held" in annotation:
        return Held(ApiKey(Secret(HIDDEN)), 1)
    return None


@pytest.mark.parametrize("kind", auth_records(), ids=lambda kind: kind.__qualname__)
def test_a_record_of_the_auth_package_does_not_show_its_secrets(kind: type[Any]) -> None:
    for text in shown(filled(kind)):
        assert HIDDEN not in text


@pytest.mark.parametrize("kind", auth_records(), ids=lambda kind: kind.__qualname__)
def test_a_member_named_like_a_secret_is_of_the_secret_type_or_not_shown(kind: type[Any]) -> None:
    words = ("token", "code", "verifier", "key", "password")
    for member in members_of(kind):
        if any(word in member.name for word in words) and "str" in member.type:
            assert not member.repr, f"{kind.__qualname__}.{member.name} is a plain string"


def test_settings_do_not_show_what_may_hold_secrets() -> None:
    settings = Settings(home="home", refresher_options={"password": HIDDEN})
    assert all(HIDDEN not in text for text in shown(settings))


@pytest.mark.parametrize("credential", [managed(HIDDEN), external(), ApiKey(Secret(HIDDEN))], ids=lambda it: it.mode)
def test_a_credential_is_not_pickled(credential: ManagedTokens | ExternalTokens | ApiKey) -> None:
    with pytest.raises(TypeError):
        pickle.dumps(credential)


def test_refusing_external_tokens_shows_none_of_them() -> None:
    good, other = jwt().reveal(), jwt(account="org-2").reveal()
    told = Told(HIDDEN, good, other)
    with told:
        external_tokens(Secret(HIDDEN), None, None, None)
    with told:
        external_tokens(Secret(good), Secret(HIDDEN), None, None)
    with told:
        external_tokens(Secret(good), Secret(other), None, None)
    with told:
        refreshed(Settings(home="unused"), external(), RefreshedTokens(Secret(HIDDEN)), refreshed_at="")
    assert told.count == 4


def test_a_file_that_makes_no_sense_shows_none_of_it(tmp_path: Path) -> None:
    store, told = FileStore(str(tmp_path)), Told(HIDDEN, with_locals=False)
    for content in (f'{{"tokens": "{HIDDEN}', f'{{"tokens": {{"id_token": "{HIDDEN}", "access_token": "{HIDDEN}"}}}}'):
        (tmp_path / "auth.json").write_text(content)
        with told:
            store.load()
    assert told.count == 2


async def test_a_refresh_that_fails_shows_no_token(tmp_path: Path) -> None:
    old, refresher = managed(HIDDEN), ScriptedRefresher()
    bad = jwt(account="org-2").reveal()
    told = Told(HIDDEN, old.access_token.reveal(), bad)
    store = OffLoopStore(FileStore(str(tmp_path)))
    await store.save(old)
    redeemer = Redeemer(Settings(home=str(tmp_path)), store, lambda: "")
    refresher.answers = [RefreshedTokens(Secret(bad), Secret(bad), Secret(HIDDEN))]
    with told:
        await redeemer.redeem(refresher, RefreshRequest(old, late=lambda _: None), old)
    async with running_manager(Settings(home=str(tmp_path))) as rig:
        held = await rig.sign_in_external()
        rig.refresher.answers = [RefreshedTokens(Secret(bad + "\n")), ValueError(HIDDEN)]
        for _ in range(2):
            with told:
                await rig.manager.refresh(held.generation)
    assert told.count == 3


async def test_requests_to_the_issuer_that_fail_show_nothing_they_carried(backend: FakeBackend) -> None:
    settings = Settings(home="unused", issuer=backend.url, token_url=f"{backend.url}/oauth/token")
    http, told = Http(settings), Told(HIDDEN)
    client = TokenClient(IssuerHttp(http, Session()), settings)
    with told:
        await client.refresh(Secret(HIDDEN))
    with told:
        await client.exchange_code(Secret(HIDDEN), Secret(HIDDEN), "http://localhost/")
    await http.close()
    assert told.count == 2
