"""Attacks on the OAuth provider, each refused, on both databases; and none is answered with a 500."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import anyio
import httpx
import pytest
import sqlalchemy as sa

from appserver.gateway.database.schema import codes, tokens
from tests.gateway.oauth.browser import (
    APP,
    APP_CALLBACK,
    CALLBACK,
    CLIENT,
    NAME,
    PASSWORD,
    SECRET,
    Browser,
    Page,
    Pkce,
    answer_of,
    exchange,
    exchange_code,
    models_with,
    refresh,
    request,
    set_up,
)
from tests.gateway.rig import NO_TLS, Running, running_gateway

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from appserver.testing import FakeBackend

pytestmark = pytest.mark.anyio


@pytest.fixture
async def nodes(backend: FakeBackend, home: Path, database_url: str | None) -> AsyncIterator[tuple[Running, Running]]:
    """Two nodes on one database, under one public URL."""
    url: dict[str, Any] = {"database_url": database_url, "public_url": "http://gateway.example"}
    async with running_gateway(backend, home, **url) as one, running_gateway(backend, home, **url) as other:
        await set_up(one)
        yield one, other


@pytest.fixture
async def gateway(backend: FakeBackend, home: Path, database_url: str | None) -> AsyncIterator[Running]:
    async with running_gateway(backend, home, database_url=database_url, public_url="http://gateway.example") as one:
        await set_up(one)
        yield one


def error_in(answer: httpx.Response) -> str:
    assert answer.status_code in (400, 401), answer.text
    return str(answer.json()["error"])


# Codes


async def test_a_code_is_good_once_also_at_the_other_node(nodes: tuple[Running, Running]) -> None:
    code = await Browser(nodes[0].url).code(request())
    first = (await exchange_code(nodes[0], code)).json()
    assert error_in(await exchange_code(nodes[1], code)) == "invalid_grant"
    # It was used twice, so one of the two is a thief: what it brought is good no longer.
    assert await models_with(nodes[1], first["access_token"]) == 401
    assert error_in(await refresh(nodes[0], first["refresh_token"])) == "invalid_grant"


async def test_of_many_who_come_with_a_code_at_once_one_gets_tokens(nodes: tuple[Running, Running]) -> None:
    code = await Browser(nodes[0].url).code(request())
    statuses: list[int] = []

    async def try_it(number: int) -> None:
        statuses.append((await exchange_code(nodes[number % 2], code)).status_code)

    async with anyio.create_task_group() as group:
        for number in range(10):
            group.start_soon(try_it, number)
    assert sorted(statuses) == [200] + [400] * 9


async def test_a_code_is_of_no_use_to_another_client(gateway: Running) -> None:
    code = await Browser(gateway.url).code(request())
    other = {"client_id": APP, "client_secret": "", "code_verifier": "x" * 43}
    assert error_in(await exchange_code(gateway, code, **other)) == "invalid_grant"
    assert (await exchange_code(gateway, code)).status_code == 200  # and it is not spoilt


async def test_a_code_is_good_for_a_minute(gateway: Running) -> None:
    code = await Browser(gateway.url).code(request())
    async with gateway.gateway.database.writing() as connection:
        await connection.execute(sa.update(codes).values(expires_at=codes.c.expires_at - 61))
    assert error_in(await exchange_code(gateway, code)) == "invalid_grant"


@pytest.mark.parametrize("redirect_uri", ["", f"{CALLBACK}/other", f"{CALLBACK}?x", "https://evil.example"])
async def test_a_code_is_bound_to_its_redirect_uri(gateway: Running, redirect_uri: str) -> None:
    code = await Browser(gateway.url).code(request())
    assert error_in(await exchange_code(gateway, code, redirect_uri=redirect_uri)) == "invalid_grant"


@pytest.mark.parametrize("verifier", ["", "x" * 43, "short", "\u00e9" * 43])
async def test_a_code_is_bound_to_its_challenge(gateway: Running, verifier: str) -> None:
    pkce = Pkce.new()
    code = await Browser(gateway.url).code(request(code_challenge=pkce.challenge, code_challenge_method="S256"))
    assert error_in(await exchange_code(gateway, code, code_verifier=verifier)) == "invalid_grant"
    assert (await exchange_code(gateway, code, code_verifier=pkce.verifier)).status_code == 200


async def test_a_verifier_without_a_challenge_is_a_downgrade(gateway: Running) -> None:
    code = await Browser(gateway.url).code(request())
    assert error_in(await exchange_code(gateway, code, code_verifier="x" * 43)) == "invalid_grant"


# Requests for authorization


@pytest.mark.parametrize(
    "redirect_uri",
    [
        "https://evil.example/cb",
        CALLBACK + "x",
        CALLBACK[:-1],
        CALLBACK + "/",
        CALLBACK + "?x=1",
        CALLBACK + "#x",
        CALLBACK + "%2f..",
        CALLBACK.replace("https://", "http://"),
        CALLBACK.replace("https://", "HTTPS://"),
        CALLBACK.replace("https://", "https://user@"),
        CALLBACK.replace("chat.example", "chat.example.evil.example"),
        CALLBACK.replace("chat.example", "chat.example@evil.example"),
        CALLBACK.replace("chat.example", "chat.example:443"),
        CALLBACK.replace("chat.example", "chat%2eexample"),
        CALLBACK.replace("/aip", "//aip"),
        CALLBACK.replace("/aip", "/x/../aip"),
        "//evil.example",
        "javascript:alert(1)",
        [CALLBACK, "https://evil.example"],
    ],
)
async def test_a_redirect_uri_is_exact_and_nobody_is_sent_to_another(gateway: Running, redirect_uri: object) -> None:
    answer = await Browser(gateway.url).open(request(redirect_uri=redirect_uri))
    assert answer.status_code == 400
    assert "location" not in answer.headers
    assert "evil.example" not in answer.text


@pytest.mark.parametrize("client_id", ["nobody", None, [CLIENT, "app"], "x\0", "\ud83d"])
async def test_an_unknown_client_is_told_to_the_person_alone(gateway: Running, client_id: object) -> None:
    query = urlencode(request(client_id=client_id), doseq=True, errors="surrogatepass")
    answer = await Browser(gateway.url).open(query)
    assert answer.status_code == 400
    assert "location" not in answer.headers


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": None}, "invalid_request"),
        ({"code_challenge": "x" * 43, "code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": "x" * 43}, "invalid_request"),
        ({"code_challenge": "short", "code_challenge_method": "S256"}, "invalid_request"),
        ({"code_challenge_method": "S256"}, "invalid_request"),
        ({"scope": "models admin"}, "invalid_scope"),
        ({"scope": ["models", "rpc"]}, "invalid_request"),
        ({"client_id": APP, "redirect_uri": APP_CALLBACK}, "invalid_request"),  # a public client without PKCE
        ({"request": "eyJ"}, "request_not_supported"),
    ],
)
async def test_a_bad_request_is_told_to_the_client(gateway: Running, more: dict[str, Any], error: str) -> None:
    answer = answer_of(await Browser(gateway.url).open(request(**more)))
    assert (answer["error"], answer["state"], answer["iss"]) == (error, "st", "http://gateway.example")


@pytest.mark.parametrize("state", ["a\r\nset-cookie: x=1", "a&code=stolen", "a#b", "<script>", "\u00e9\u2028"])
async def test_a_state_comes_back_as_it_was_and_breaks_out_of_nothing(gateway: Running, state: str) -> None:
    browser = Browser(gateway.url)
    decided = await browser.submit(await browser.sign_in(request(state=state)), decision="allow")
    assert answer_of(decided)["state"] == state
    assert "set-cookie" not in decided.headers


@pytest.mark.parametrize(
    "query",
    [
        "",
        "client_id=gpt&redirect_uri=%ff%fe",
        "client_id=%00",
        "&" * 1000,
        "a=b&" * 500,
        "client_id=" + "x" * 10_000,
        "client_id=gpt&client_id=gpt",
        "=",
        "%",
    ],
)
async def test_a_query_that_makes_no_sense_is_told_to_the_person(gateway: Running, query: str) -> None:
    assert (await Browser(gateway.url).open(query)).status_code == 400


# The person


async def test_a_form_from_elsewhere_signs_nobody_in(gateway: Running) -> None:
    victim, attacker = Browser(gateway.url), Browser(gateway.url)
    await victim.open(request())
    forged = await attacker.open(request())
    answer = await victim.http.post(
        "/oauth/sign-in", data={**Page(forged.text).hidden, "name": NAME, "password": PASSWORD}
    )
    assert answer.status_code == 400
    assert "gateway-session" not in victim.http.cookies


@pytest.mark.parametrize("form", [{}, {"token": "x", "query": "x"}, {"token": "AAAA"}, {"decision": "allow"}])
@pytest.mark.parametrize("path", ["/oauth/sign-in", "/oauth/authorize"])
async def test_a_form_that_was_not_given_out_is_refused(gateway: Running, path: str, form: dict[str, str]) -> None:
    assert (await Browser(gateway.url).http.post(path, data=form)).status_code == 400


async def test_consent_cannot_be_given_from_elsewhere(gateway: Running) -> None:
    victim, attacker = Browser(gateway.url), Browser(gateway.url)
    await victim.sign_in(request())
    mine = await attacker.sign_in(request())
    stolen = {**Page(mine.text).hidden, "decision": "allow"}
    assert (await victim.http.post("/oauth/authorize", data=stolen)).status_code == 400
    assert (await Browser(gateway.url).http.post("/oauth/authorize", data=stolen)).status_code == 400


async def test_a_consent_that_was_changed_is_refused(gateway: Running) -> None:
    browser = Browser(gateway.url)
    narrow, wide = await browser.sign_in(request(scope="models")), await browser.open(request(scope="models rpc"))
    sealed = Page(narrow.text).hidden["request"]
    changed = [sealed[:-4] + "AAAA", sealed[::-1], sealed + "A", ""]
    for one in changed:
        answer = await browser.http.post("/oauth/authorize", data={"request": one, "decision": "allow"})
        assert answer.status_code == 400
    assert Page(wide.text).hidden["request"] != sealed
    added = {"request": sealed, "decision": "allow", "scope": "rpc", "redirect_uri": "https://evil.example"}
    code = answer_of(await browser.http.post("/oauth/authorize", data=added))["code"]
    assert (await exchange_code(gateway, code)).json()["scope"] == "models"


async def test_a_session_that_was_planted_is_not_the_one_that_signs_in(gateway: Running) -> None:
    browser = Browser(gateway.url)
    browser.http.cookies.set("gateway-session", "sess-planted-by-an-attacker", domain="127.0.0.1")
    await browser.sign_in(request())
    assert "sess-planted-by-an-attacker" not in [cookie.value for cookie in browser.http.cookies.jar]
    planted = Browser(gateway.url)
    planted.http.cookies.set("gateway-session", "sess-planted-by-an-attacker", domain="127.0.0.1")
    assert Page((await planted.open(request())).text).inputs == ["name", "password"]


async def test_nobody_is_sent_elsewhere_after_signing_in(gateway: Running) -> None:
    browser = Browser(gateway.url)
    page = await browser.open(request())
    for query in (
        "https://evil.example",
        "//evil.example",
        "x&client_id=nobody",
        urlencode(request(redirect_uri="//e")),
    ):
        form = {**Page(page.text).hidden, "query": query, "name": NAME, "password": PASSWORD}
        answer = await browser.http.post("/oauth/sign-in", data=form)
        assert answer.status_code == 400
        assert "location" not in answer.headers


async def test_pages_cannot_be_framed_and_run_no_script(gateway: Running) -> None:
    browser = Browser(gateway.url)
    for page in (await browser.open(request()), await browser.sign_in(request()), await browser.open("client_id=x")):
        policy = page.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy
        assert "default-src 'none'" in policy
        assert "unsafe-inline" not in policy
        assert page.headers["x-frame-options"] == "DENY"
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["referrer-policy"] == "no-referrer"
        assert not {"script", "link", "img", "iframe"} & set(Page(page.text).tags)


async def test_nothing_that_is_echoed_becomes_markup(gateway: Running) -> None:
    evil = "\"><script>alert(1)</script><img src=x onerror=alert(1)>'"
    await gateway.gateway.accounts.put_client("evil", evil, None, ["models"], [APP_CALLBACK])
    pkce = Pkce.new()
    asked = request(
        client_id="evil",
        redirect_uri=APP_CALLBACK,
        state=evil,
        code_challenge=pkce.challenge,
        code_challenge_method="S256",
    )
    browser = Browser(gateway.url)
    first = await browser.open(asked)
    wrong = await browser.submit(first, name=evil, password="x")
    consent = await browser.sign_in(asked)
    for page in (first, wrong, consent):
        assert not {"script", "img"} & set(Page(page.text).tags)
    assert "&lt;script&gt;" in wrong.text


async def test_a_host_header_is_believed_by_nobody(gateway: Running) -> None:
    browser = Browser(gateway.url)
    browser.http.headers["Host"] = "evil.example"
    browser.http.headers["X-Forwarded-Host"] = "evil.example"
    page = await browser.open(request())
    entered = await browser.submit(page, name=NAME, password=PASSWORD)
    assert entered.headers["location"].startswith("/oauth/authorize?")
    assert "evil" not in page.text + str(entered.headers)


async def test_an_unknown_name_looks_like_a_wrong_password(gateway: Running) -> None:
    pages = []
    for name in (NAME, "nobody"):
        browser = Browser(gateway.url)
        answer = await browser.submit(await browser.open(request()), name=name, password="wrong")
        hidden = Page(answer.text).hidden
        text = answer.text.replace(name, "NAME").replace(hidden["token"], "TOKEN")
        pages.append((answer.status_code, text))
    assert pages[0] == pages[1]
    assert pages[0][0] == 401


@pytest.mark.parametrize("name", [NAME, "nobody"])
async def test_guessing_is_slowed_for_a_name_that_is_there_and_one_that_is_not(
    nodes: tuple[Running, Running], name: str
) -> None:
    statuses = []
    for number in range(7):
        browser = Browser(nodes[number % 2].url)  # a new browser each time, at either node
        answer = await browser.submit(await browser.open(request()), name=name, password=f"guess-{number}")
        statuses.append(answer.status_code)
    assert statuses[:5] == [401] * 5
    assert 429 in statuses[5:]
    browser = Browser(nodes[0].url)
    right = await browser.submit(await browser.open(request()), name=name, password=PASSWORD)
    assert right.status_code in (429, 303 if name == NAME else 401)


# Tokens


async def test_a_refresh_token_that_is_used_again_later_ends_the_grant(nodes: tuple[Running, Running]) -> None:
    first = (await exchange_code(nodes[0], await Browser(nodes[0].url).code(request()))).json()
    second = (await refresh(nodes[0], first["refresh_token"])).json()
    async with nodes[0].gateway.database.writing() as connection:
        await connection.execute(sa.update(tokens).values(rotated_at=tokens.c.rotated_at - 11))
    assert error_in(await refresh(nodes[1], first["refresh_token"])) == "invalid_grant"
    assert error_in(await refresh(nodes[0], second["refresh_token"])) == "invalid_grant"
    for issued in (first, second):
        assert await models_with(nodes[1], issued["access_token"]) == 401


async def test_a_refresh_asks_for_no_more_than_was_granted(gateway: Running) -> None:
    first = (await exchange_code(gateway, await Browser(gateway.url).code(request(scope="models")))).json()
    assert error_in(await refresh(gateway, first["refresh_token"], scope="models rpc")) == "invalid_scope"
    assert (await refresh(gateway, first["refresh_token"])).json()["scope"] == "models"


async def test_a_token_of_one_kind_is_none_of_another(gateway: Running) -> None:
    code = await Browser(gateway.url).code(request())
    issued = (await exchange_code(gateway, code)).json()
    for wrong in (issued["access_token"], code):
        assert error_in(await refresh(gateway, wrong)) == "invalid_grant"
    for wrong in (issued["refresh_token"], code):
        assert await models_with(gateway, wrong) == 401


async def test_another_client_can_neither_use_nor_revoke_a_token(gateway: Running) -> None:
    issued = (await exchange_code(gateway, await Browser(gateway.url).code(request()))).json()
    other = {"client_id": APP, "client_secret": ""}
    assert error_in(await refresh(gateway, issued["refresh_token"], **other)) == "invalid_grant"
    async with httpx.AsyncClient(base_url=gateway.url, verify=NO_TLS) as http:
        answer = await http.post("/oauth/revoke", data={"client_id": APP, "token": issued["refresh_token"]})
        assert answer.status_code == 200
    assert await models_with(gateway, issued["access_token"]) == 200


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({"client_secret": "wrong"}, "invalid_client"),
        ({"client_secret": ""}, "invalid_client"),
        ({"client_id": "nobody"}, "invalid_client"),
        ({"client_id": ""}, "invalid_client"),
        ({"client_id": APP}, "invalid_client"),  # it has no secret
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "client_credentials"}, "unsupported_grant_type"),
        ({"grant_type": ""}, "invalid_request"),
        ({"grant_type": "authorization_code"}, "invalid_request"),
    ],
)
async def test_a_bad_token_request_says_what_is_wrong(gateway: Running, params: dict[str, str], error: str) -> None:
    answer = await exchange(gateway, **{"grant_type": "refresh_token", "refresh_token": "x", **params})
    assert error_in(answer) == error
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"\xff\xfe", "application/x-www-form-urlencoded"),
        (b"client_id=%00", "application/x-www-form-urlencoded"),
        (b"client_id=%ff", "application/x-www-form-urlencoded"),
        (b"a=1&a=2", "application/x-www-form-urlencoded"),
        (b"{", "application/json"),
        (b"[" * 100_00, "application/json"),
        (b'{"client_id": {}}', "application/json"),
        (b'{"client_id": "\\ud800"}', "application/json"),
        (b'{"client_id": "\\u0000"}', "application/json"),
        (b"", ""),
    ],
)
@pytest.mark.parametrize("path", ["/oauth/token", "/oauth/revoke"])
async def test_a_body_that_makes_no_sense_is_refused(gateway: Running, path: str, body: bytes, kind: str) -> None:
    async with httpx.AsyncClient(base_url=gateway.url, verify=NO_TLS) as http:
        assert error_in(await http.post(path, content=body, headers={"Content-Type": kind})) in (
            "invalid_request",
            "invalid_client",
        )


@pytest.mark.parametrize("path", ["/oauth/token", "/oauth/revoke", "/oauth/sign-in"])
async def test_a_body_that_is_too_long_is_refused(gateway: Running, path: str) -> None:
    async with httpx.AsyncClient(base_url=gateway.url, verify=NO_TLS) as http:
        answer = await http.post(path, content=b"x" * 100_000)
        assert (answer.status_code, answer.json()["error"]) == (413, "invalid_request")


@pytest.mark.parametrize("header", ["Basic", "Basic !!!", "Basic Z3B0", "Basic /////w==", "Bearer x"])
async def test_an_authorization_header_that_cannot_be_read_is_refused(gateway: Running, header: str) -> None:
    async with httpx.AsyncClient(base_url=gateway.url, verify=NO_TLS) as http:
        form = {"grant_type": "refresh_token", "refresh_token": "x"}
        answer = await http.post("/oauth/token", data=form, headers={"Authorization": header})
        assert (answer.status_code, error_in(answer)) == (401, "invalid_client")
        both = await http.post("/oauth/token", data={**form, "client_secret": SECRET}, auth=(CLIENT, SECRET))
        assert error_in(both) == "invalid_request"
