"""The headers of a request to the model backend: what is sent, what is refused, and in which words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appserver.errors import ConfigError
from appserver.headers import is_name, is_token, is_value
from appserver.llm.authorized import Access
from appserver.llm.headers import own_key, request_headers
from appserver.session import Session
from appserver.settings import Provider
from protocol.base import Secret

SECRET = "sk-0123456789"


def provider(**fields: object) -> Provider:
    return Provider("p", "P")._replace(**fields)  # type: ignore[arg-type] # as the test names them


def sent(**fields: object) -> list[tuple[str, str]]:
    access = Access(Secret(SECRET), None, is_chatgpt=False, generation=0)
    return request_headers(provider(**fields), access, Session(), "t", 7).multi_items()


@pytest.mark.parametrize("around", ["{}\n", "{}\r\n", "  {}\t", "{}"])
def test_white_space_around_a_key_or_a_header_is_no_part_of_it(around: str) -> None:
    key = own_key(provider(env_key="K", api_key=Secret(around.format(SECRET))))
    assert key == Secret(SECRET)
    assert ("x-a", SECRET) in sent(headers={"x-a": around.format(SECRET)})


@pytest.mark.parametrize("key", [f"{SECRET}\nX: y", f"{SECRET}\x00", f"{SECRET} b", f"{SECRET}é", f"{SECRET}\udc80"])
def test_a_key_that_cannot_be_sent_is_refused_by_the_name_of_its_variable(key: str) -> None:
    with pytest.raises(ConfigError, match="the environment variable MY_KEY has characters") as raised:
        own_key(provider(env_key="MY_KEY", api_key=Secret(key)))
    assert SECRET not in raised.value.message


@pytest.mark.parametrize("key", [None, Secret(""), Secret(" \n")])
def test_a_key_that_is_not_there_is_missed_in_the_references_words(key: Secret | None) -> None:
    with pytest.raises(ConfigError, match=r"^Missing environment variable: `MY_KEY`\.$"):
        own_key(provider(env_key="MY_KEY", api_key=key))


def test_a_provider_without_a_variable_has_no_key_of_its_own() -> None:
    assert own_key(provider()) is None


@pytest.mark.parametrize("value", [f"{SECRET}\nX: y", f"a\r{SECRET}", f"{SECRET}\x00", f"{SECRET}\udc80"])
@pytest.mark.parametrize(("variables", "source"), [({"x-a": "MY_HEADER"}, "variable MY_HEADER"), ({}, "http_headers")])
def test_a_header_that_cannot_be_sent_is_refused_by_its_name(
    value: str, variables: dict[str, str], source: str
) -> None:
    with pytest.raises(ConfigError, match=f"x-a in .*{source}") as raised:
        sent(headers={"x-a": value}, env_headers=variables)
    assert SECRET not in raised.value.message


@pytest.mark.parametrize("name", ["", "x a", "x:", "x\n", "é", "\udc80"])
def test_a_name_that_no_header_can_have_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be the name"):
        sent(headers={name: "value"})


def test_text_beyond_ascii_is_sent_as_utf_8() -> None:
    headers = request_headers(provider(headers={"x-a": "Zoë"}), None, Session(), "t", 7)
    assert (b"x-a", "Zoë".encode()) in headers.raw


def test_a_configured_header_never_stands_beside_one_of_ours() -> None:
    names = [name for name, _ in sent(headers={"authorization": "mine", "ACCEPT-encoding": "gzip", "user-agent": "x"})]
    assert len(set(names)) == len(names)
    assert ("authorization", f"Bearer {SECRET}") in sent(headers={"AUTHORIZATION": "mine"})


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding"])
def test_a_configured_header_does_not_say_how_long_a_request_is(name: str) -> None:
    headers = dict(sent(headers={name: "1"}))
    assert headers["content-length"] == "7"
    assert "transfer-encoding" not in headers


@given(st.text(max_size=20))
def test_what_passes_as_a_header_is_taken_by_the_http_library(text: str) -> None:
    import h11

    if is_value(text.strip(" \t")):
        h11.Request(method="GET", target="/", headers=[(b"host", b"x"), (b"x-a", text.strip(" \t").encode())])
    if is_name(text):
        h11.Request(method="GET", target="/", headers=[("host", "x"), (f"x-{text}", "a")])
    if is_token(text):
        h11.Request(method="GET", target="/", headers=[("host", "x"), ("authorization", f"Bearer {text}".strip())])
