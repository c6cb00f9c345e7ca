"""The shape of auth.json, held against anything that JSON can be."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appserver.auth.credentials import ApiKey, Credential, ManagedTokens, external_tokens
from appserver.auth.stores.auth_json import credential_in, document_bytes, document_with, parse_document
from appserver.errors import AuthError, StoreError
from appserver.testing import make_jwt
from protocol.base import Secret
from tests.auth.store_kit import api_key, login

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

JWT = make_jwt()

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner))
tokens = scalars | st.sampled_from([JWT, "a.b.c", "\ud800", "..", f"{JWT}\n"])
OURS = ("auth_mode", "OPENAI_API_KEY", "tokens", "last_refresh")
token_names = st.sampled_from(["id_token", "access_token", "refresh_token", "account_id"])
documents = st.builds(
    lambda others, ours: {**others, **ours},
    st.dictionaries(st.text(max_size=8), values, max_size=3),
    st.fixed_dictionaries(
        {},
        optional={
            "auth_mode": values | st.sampled_from(["apikey", "chatgpt"]),
            "OPENAI_API_KEY": tokens | values,
            "tokens": st.dictionaries(token_names | st.text(max_size=8), tokens | values) | values,
            "last_refresh": values,
        },
    ),
)
credentials = st.sampled_from([api_key(), login(), login(None), login(api_key="sk-exchanged")])


@given(documents)
def test_any_object_is_a_credential_or_none_or_an_auth_error(document: dict[str, Any]) -> None:
    problem, credential = outcome(AuthError, lambda: credential_in(document))
    assert JWT not in problem
    assert credential is None or isinstance(credential, ApiKey | ManagedTokens)
    for secret in credential.secrets if credential else ():
        assert secret is None or secret.reveal().isascii()


@pytest.mark.parametrize("name", ["id_token", "access_token", "refresh_token"])
def test_a_token_with_characters_that_no_token_has_is_an_error_that_names_it(name: str) -> None:
    tokens = {"id_token": JWT, "access_token": JWT, "refresh_token": "rt-one", name: "\ud800very-secret"}
    with pytest.raises(AuthError, match=f"{name} has characters that no token has") as caught:
        credential_in({"auth_mode": "chatgpt", "tokens": tokens})
    assert "very-secret" not in caught.value.message


@given(st.binary() | values.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_an_object_or_a_value_error(data: bytes) -> None:
    problem, document = outcome(ValueError, lambda: parse_document(data))
    assert problem in ("it is not JSON", "it is no JSON object") if document is None else isinstance(document, dict)


def outcome(error: type[Exception], act: Callable[[], T]) -> tuple[str, T | None]:
    """Return what an error of this kind says, or what came instead of it."""
    try:
        return "", act()
    except error as exc:
        return str(exc), None


@given(documents, credentials)
def test_rewriting_keeps_the_members_of_others_and_the_credential_can_be_read(
    document: dict[str, Any], credential: Credential
) -> None:
    rewritten = parse_document(document_bytes(document_with(document, credential)))
    assert credential_in(rewritten) == credential
    assert {key: value for key, value in rewritten.items() if key not in OURS} == {
        key: value for key, value in document.items() if key not in OURS
    }


@given(documents, credentials)
def test_rewriting_does_not_touch_what_it_was_given(document: dict[str, Any], credential: Credential) -> None:
    before = json.dumps(document)
    document_with(document, credential)
    assert json.dumps(document) == before


@given(st.dictionaries(st.text(max_size=8), values))
def test_members_of_others_among_the_tokens_survive_a_refresh(more: dict[str, Any]) -> None:
    ours = {"id_token", "access_token", "refresh_token", "account_id"}
    rewritten = document_with({"tokens": more}, login())
    assert {**more, **rewritten["tokens"]} == rewritten["tokens"]
    assert {key for key in rewritten["tokens"] if key not in ours} == {key for key in more if key not in ours}


def test_an_api_key_counts_without_a_mode_and_not_beside_chatgpt() -> None:
    assert credential_in({"OPENAI_API_KEY": "sk-test"}) == api_key()
    assert credential_in({"OPENAI_API_KEY": "sk-test", "auth_mode": "chatgpt"}) is None
    assert credential_in({"OPENAI_API_KEY": "", "auth_mode": "apikey"}) is None


def test_the_tokens_of_before_do_not_stay_when_an_api_key_takes_their_place() -> None:
    rewritten = document_with(document_with({}, login("rt-one")), api_key())
    assert "tokens" not in rewritten
    assert "last_refresh" not in rewritten


def test_the_tokens_of_the_parent_are_never_stored() -> None:
    with pytest.raises(StoreError, match="external tokens are never stored"):
        document_with({}, external_tokens(Secret(JWT), None, None, None))
