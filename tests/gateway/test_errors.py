"""What goes wrong, as callers of the API see it: a status before the first token, an error in the stream after it."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio
import openai
import pytest
from anyio.abc import SocketAttribute

from appserver.testing import Gate, cut, error_event, failed, http_error, stalled, text, usage_limit
from appserver.testing.signals import WAIT_SECONDS
from tests.gateway.rig import KEY, RESPONSES, raw_connection, running_gateway

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    from anyio.abc import SocketStream

    from appserver.testing import FakeBackend
    from tests.gateway.rig import Running

pytestmark = pytest.mark.anyio

CHAT = "/v1/chat/completions"
REQUEST = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


async def error_of(api: Running, **params: Any) -> openai.APIStatusError:  # noqa: ANN401 - of the request
    with pytest.raises(openai.APIStatusError) as caught:
        await api.chat(**params)
    return caught.value


@pytest.mark.parametrize("stream", [False, True])
async def test_an_error_of_the_backend_keeps_status_type_param_and_code(api: Running, stream: bool) -> None:
    error = {"message": "Too long", "type": "invalid_request_error", "param": "input[0].content", "code": "too_long"}
    api.backend.script(http_error(400, {"error": error}))
    told = await error_of(api, stream=stream)
    assert isinstance(told, openai.BadRequestError)
    assert told.body == {**error, "param": "messages[0].content"}


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("context_length_exceeded", 400),
        ("invalid_prompt", 400),
        ("invalid_base64_image", 400),
        ("insufficient_quota", 429),
        ("rate_limit_exceeded", 429),
        ("server_is_overloaded", 503),
        ("server_error", 500),
        ("never_heard_of", 502),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_failure_before_the_first_token_is_a_status(api: Running, code: str, status: int, stream: bool) -> None:
    api.backend.script(failed(code))
    told = await error_of(api, stream=stream)
    assert (told.status_code, told.code) == (status, code)


async def test_an_error_event_before_the_first_token_is_a_status(api: Running) -> None:
    api.backend.script(error_event("server_error"))
    assert (await error_of(api, stream=True)).status_code == 500


async def test_a_failure_after_the_first_token_is_an_error_in_the_stream(api: Running) -> None:
    api.backend.script(failed("server_error", "It broke.", "Hel"))
    said = []

    async def read() -> None:
        async for chunk in await api.chat(stream=True):
            said.append(chunk.choices[0].delta.content)  # noqa: PERF401 - what came before the error counts

    with pytest.raises(openai.APIError, match=r"It broke\.") as caught:
        await read()
    assert "".join(said) == "Hel"
    assert caught.value.code == "server_error"


async def test_a_stream_that_breaks_is_an_error_and_no_end(api: Running) -> None:
    api.backend.script(cut("Hel"), cut("Hel"), cut())
    with pytest.raises(openai.APIError, match="stream ended"):
        async for _ in await api.chat(stream=True):
            pass
    assert (await error_of(api)).status_code == 502
    assert (await error_of(api, stream=True)).status_code == 502


async def test_a_rate_limit_tells_when_to_come_back(api: Running) -> None:
    error = {"error": {"message": "Slow down", "type": "requests", "code": "rate_limit_exceeded"}}
    api.backend.script(http_error(429, error, {"retry-after": "7"}))
    told = await error_of(api)
    assert isinstance(told, openai.RateLimitError)
    assert told.response.headers["retry-after"] == "7"
    assert "x-should-retry" not in told.response.headers


async def test_a_usage_limit_tells_when_it_is_reset_and_nothing_of_the_plan(api: Running) -> None:
    api.backend.script(usage_limit(plan="pro", resets_at=4_000_000_000))
    told = await error_of(api)
    assert told.status_code == 429
    assert told.response.json()["error"]["resets_at"] == 4_000_000_000
    assert int(told.response.headers["retry-after"]) > 0
    assert told.response.headers["x-should-retry"] == "false"
    assert '"pro"' not in told.response.text


async def test_a_backend_that_cannot_be_reached_is_a_bad_gateway(api: Running) -> None:
    api.backend.model.cut_next(times=9)
    assert (await error_of(api)).status_code == 502


@pytest.mark.parametrize("stream", [False, True])
async def test_nothing_of_the_accounts_limits_reaches_the_caller(api: Running, stream: bool) -> None:
    api.backend.script(text("Hi"), text("Hi"), http_error(500, None, {"x-codex-primary-used-percent": "99"}))
    for path, body in ((CHAT, REQUEST), ("/v1/responses", {"model": "m", "input": "Hi"}), (CHAT, REQUEST)):
        answer = await api.http.post(path, json={**body, "stream": stream})
        assert not [name for name in answer.headers if "codex" in name or "limit" in name or "account" in name]


async def test_a_token_that_has_expired_is_renewed_once_for_many_requests(
    backend: FakeBackend, home: Path, database_url: str | None
) -> None:
    async with running_gateway(backend, home, backend.grant(), database_url=database_url) as gateway:
        backend.expire_access_tokens()
        answers: list[str] = []

        async def ask() -> None:
            answers.append((await gateway.chat("Hi")).choices[0].message.content)

        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(ask)
        assert answers == ["You said: Hi"] * 20
        assert len(backend.requests.to("/oauth/token")) == 1


async def test_a_login_that_has_ended_says_that_somebody_must_sign_in(
    backend: FakeBackend, home: Path, database_url: str | None
) -> None:
    async with running_gateway(backend, home, backend.grant(), database_url=database_url) as gateway:
        backend.expire_access_tokens()
        backend.issuer.fail_next(400, {"error": {"code": "refresh_token_reused"}}, path="/oauth/token")
        told = await error_of(gateway)
        assert (told.status_code, told.code) == (401, "credential_expired")


async def test_a_user_without_an_account_is_told_so(backend: FakeBackend, home: Path, database_url: str | None) -> None:
    async with running_gateway(backend, home, database_url=database_url) as gateway:
        told = await error_of(gateway)
        assert (told.status_code, told.code) == (401, "credential_missing")


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic x"}, {"X-API-Key": ""}])
async def test_a_request_without_a_key_is_refused(api: Running, headers: dict[str, str]) -> None:
    answer = await api.http.post(CHAT, json=REQUEST, headers={"Authorization": "", **headers})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "missing_api_key")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("key", ["wrong", KEY + "x", "x" * 10_000, "\u00e9"])
async def test_a_request_with_a_wrong_key_is_refused(api: Running, key: str) -> None:
    headers = {b"Authorization": f"Bearer {key}".encode("latin-1")}
    answer = await api.http.get("/v1/models", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")


async def test_a_key_may_stand_in_either_header(api: Running) -> None:
    answer = await api.http.post(CHAT, json=REQUEST, headers={"Authorization": "", "X-API-Key": KEY})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'"\\ud800"', b"null", b"[]", b'{"model":NaN}', b"\0", b'{"a":1}{"b":2}'],
)
@pytest.mark.parametrize("path", [CHAT, "/v1/responses"])
async def test_a_body_that_is_none_is_refused(api: Running, path: str, body: bytes) -> None:
    answer = await api.http.post(path, content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("text_", ["\0", "\ud800", "a" * 100_000])
async def test_any_text_reaches_the_model_and_comes_back(api: Running, text_: str) -> None:
    request = {"model": "m", "messages": [{"role": "user", "content": f"x{text_}x"}]}
    answer = await api.http.post(CHAT, content=json.dumps(request))
    assert answer.status_code == 200
    assert answer.json()["choices"][0]["message"]["content"].endswith(f"x{text_}x")


async def test_a_body_that_is_too_long_is_refused(backend: FakeBackend, home: Path, database_url: str | None) -> None:
    async with running_gateway(
        backend, home, backend.grant(), database_url=database_url, max_body_bytes=1000
    ) as gateway:
        announced = await gateway.http.post(CHAT, content=b" " * 1001)

        async def pieces() -> Any:  # noqa: ANN401 - an asynchronous generator
            for _ in range(11):
                yield b" " * 100

        unannounced = await gateway.http.post(CHAT, content=pieces())
        assert [answer.status_code for answer in (announced, unannounced)] == [413, 413]
        assert announced.json()["error"]["code"] == "request_too_large"
        assert (await gateway.http.post(CHAT, json=REQUEST)).status_code == 200


async def test_a_compressed_body_is_refused(api: Running) -> None:
    answer = await api.http.post(CHAT, content=b"x", headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 415


@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("GET", CHAT), ("POST", "/v1/models"), ("GET", "/v1/x")])
async def test_what_is_not_there_is_told_in_the_shape_of_the_api(api: Running, method: str, path: str) -> None:
    answer = await api.http.request(method, path)
    assert answer.status_code in (404, 405)
    assert answer.json()["error"]["message"]


async def test_a_parameters_name_cannot_break_out_of_its_header(api: Running) -> None:
    answer = await api.http.post(CHAT, json={**REQUEST, "a\r\nset-cookie: x": 1, "\u00e9": 1, "b" * 5000: 1})
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    assert answer.headers["x-gateway-dropped-params"].startswith("a__set-cookie:_x,_,bbb")


async def test_silence_is_filled_with_comments(backend: FakeBackend, home: Path, database_url: str | None) -> None:
    gate = Gate()
    backend.script(stalled(gate))
    async with running_gateway(backend, home, backend.grant(), database_url=database_url, keepalive=0.05) as gateway:
        lines = []
        async with gateway.http.stream("POST", CHAT, json={**REQUEST, "stream": True}) as answer:
            async for line in answer.aiter_lines():
                lines.append(line)
                if lines.count(": keep-alive") == 3:
                    gate.release()
        assert lines[0] == ": keep-alive"
        assert lines[-2:] == ["data: [DONE]", ""]
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-accel-buffering"] == "no"


async def test_a_failure_after_a_comment_is_an_error_in_the_stream(
    backend: FakeBackend, home: Path, database_url: str | None
) -> None:
    gate = backend.model.hold_next(path=RESPONSES)
    async with running_gateway(backend, home, backend.grant(), database_url=database_url, keepalive=0.05) as gateway:
        lines = []
        async with gateway.http.stream("POST", CHAT, json={**REQUEST, "stream": True}) as answer:
            async for line in answer.aiter_lines():
                lines.append(line)
                if line == ": keep-alive" and not gate.released.is_set:
                    backend.script(http_error(500))
                    gate.release()
        assert answer.status_code == 200
        assert json.loads(lines[-2].removeprefix("data: "))["error"]["code"] == "http_500"


def ask_and_leave(api: Running, *, stream: bool = False) -> socket.socket:
    """Send a request over a connection that the caller closes."""
    connection = raw_connection(api.url)
    body = json.dumps({**REQUEST, "stream": stream}).encode()
    head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body)
    return connection


@pytest.mark.parametrize("chunks", [(), ("Hel",)])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_ends_the_request_to_the_backend(
    api: Running, stream: bool, chunks: tuple[str, ...]
) -> None:
    gate = Gate()
    api.backend.script(stalled(gate, *chunks))
    with ask_and_leave(api, stream=stream):
        await gate.reached.wait()
    await gate.abandoned.wait()


async def test_a_client_that_leaves_before_the_backend_has_answered_ends_the_request_to_it(
    backend: FakeBackend, home: Path, database_url: str | None
) -> None:
    asked, left = anyio.Event(), anyio.Event()

    async def answer_never(stream: SocketStream) -> None:
        async with stream:
            with suppress(anyio.EndOfStream):
                while True:
                    await stream.receive()
                    asked.set()
            left.set()

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, answer_never)
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - this is not Django
        url = f'model_providers.fake.base_url="http://127.0.0.1:{port}/v1"'
        async with running_gateway(backend, home, backend.grant(), database_url=database_url, overrides=(url,)) as api:
            with anyio.fail_after(WAIT_SECONDS), ask_and_leave(api):
                await asked.wait()
            with anyio.fail_after(WAIT_SECONDS):
                await left.wait()
        group.cancel_scope.cancel()
