"""The HTTP stack: what every request has in common, whoever sends it."""

from __future__ import annotations

import gzip
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import httpx
import pytest

from appserver import http as stack
from appserver.errors import ConfigError
from appserver.http import MAX_ANSWER_BYTES, MAX_ERROR_BYTES, Http, HttpAnswer, read_error, write_timeout
from appserver.http_failure import HttpFailure
from appserver.settings import Settings
from tests.auth.oauth_rig import closed_port_url
from tests.wire import answering, chunked, head, self_signed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from appserver.testing import FakeBackend

pytestmark = pytest.mark.anyio

PATIENCE = 10.0
"""For what is bounded far below it."""

BOUND = 0.05
"""The bound that is to end what would never end."""

STREAM = head("content-type: text/event-stream", "transfer-encoding: chunked")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


@pytest.fixture
async def http(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Http]:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
    made = Http(Settings("/nowhere"))
    yield made
    await made.close()


async def ask(http: Http, url: str, seconds: float = PATIENCE) -> HttpAnswer:
    with anyio.fail_after(PATIENCE):
        return await http.ask(url, lambda client: client.build_request("GET", url), seconds)


async def open_stream(http: Http, url: str) -> httpx.Response:
    with anyio.fail_after(PATIENCE):
        return await http.open(
            url, lambda client: client.build_request("GET", url), send_seconds=PATIENCE, header_seconds=BOUND
        )


def test_nobody_else_handles_the_librarys_errors_whose_text_may_quote_a_request() -> None:
    errors = {name for name, value in vars(httpx).items() if isinstance(value, type) and issubclass(value, Exception)}
    root = Path(stack.__file__).parent
    handling = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        if errors & set(re.findall(r"\bhttpx\.(\w+)", path.read_text("utf-8")))
    }
    raised_as_they_came = {"http_transport.py"}
    assert handling - raised_as_they_came <= {"http.py", "http_failure.py", "commands/probes.py"}


@pytest.mark.parametrize("domain", ["", "; Domain=127.0.0.1", "; Path=/; Max-Age=3600"])
async def test_no_cookie_is_kept_or_sent(http: Http, backend: FakeBackend, domain: str) -> None:
    backend.model.fail_next(200, headers={"set-cookie": f"session=of-another-account{domain}"})
    for _ in range(2):
        await ask(http, f"{backend.url}/v1/models")
    assert ["cookie" in request.headers for request in backend.requests] == [False, False]
    assert not http.client(backend.url).cookies


async def test_a_redirect_is_an_answer_and_not_followed(http: Http, backend: FakeBackend) -> None:
    backend.model.fail_next(307, headers={"location": f"{backend.url}/elsewhere"})
    assert (await ask(http, f"{backend.url}/v1/models")).status == 307
    assert len(backend.requests) == 1


# ---------------------------------------------------------------- bounds


@pytest.mark.parametrize("drip", [b"x", b"HTTP/1.1 103 Early Hints\r\n\r\n"])
async def test_headers_that_come_byte_by_byte_are_given_up(http: Http, drip: bytes) -> None:
    begun = b"HTTP/1.1 200 OK\r\nx: " if drip == b"x" else b""
    async with answering(begun, drip=drip) as url:
        with pytest.raises(HttpFailure, match="no answer in time") as raised:
            await open_stream(http, url)
        assert raised.value.transient
        with pytest.raises(HttpFailure, match="no complete answer"):
            await ask(http, url, BOUND)


async def test_informational_responses_without_end_are_given_up(http: Http) -> None:
    async with answering(forever=b"HTTP/1.1 102 Processing\r\n\r\n" * 100) as url:
        with pytest.raises(HttpFailure, match="no answer in time"):
            await open_stream(http, url)


async def test_headers_without_end_are_refused(http: Http) -> None:
    async with answering(b"HTTP/1.1 200 OK\r\n", forever=b"x: y\r\n" * 100) as url:
        with pytest.raises(HttpFailure, match="not valid HTTP"):
            await ask(http, url)


async def test_a_request_that_is_not_taken_is_given_up(http: Http) -> None:
    body = bytes(20_000_000)  # more than the buffers of both sockets hold
    async with answering(drip=b"x") as url:
        with anyio.fail_after(PATIENCE), pytest.raises(HttpFailure, match="the request was not taken in time"):
            await http.open(
                url,
                lambda client: client.build_request("POST", url, content=body),
                send_seconds=BOUND,
                header_seconds=PATIENCE,
            )


async def test_the_bound_on_headers_does_not_bound_the_stream(http: Http) -> None:
    event = b"data: {}\n\n"
    async with answering(STREAM, *[chunked([event])] * 3, b"0\r\n\r\n") as url:
        response = await open_stream(http, url)
        await anyio.sleep(2 * BOUND)
        assert b"".join([chunk async for chunk in response.aiter_raw()]) == event * 3


async def test_a_body_that_comes_byte_by_byte_is_given_up(http: Http) -> None:
    async with answering(head("content-length: 1000000"), drip=b" ") as url:
        with pytest.raises(HttpFailure, match="no complete answer"):
            await ask(http, url, BOUND)


async def test_a_body_without_end_is_refused(http: Http) -> None:
    async with answering(STREAM, forever=chunked([b" " * 65536])) as url:
        with pytest.raises(HttpFailure, match=f"longer than {MAX_ANSWER_BYTES} bytes"):
            await ask(http, url)


async def test_of_a_failed_answer_that_drips_the_status_and_what_came_are_kept(
    http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack, "ERROR_BODY_SECONDS", BOUND)
    async with answering(head("content-length: 1000000", status=500), b"Out of", drip=b".") as url:
        answer = await ask(http, url)
        assert (answer.status, answer.body[:7]) == (500, b"Out of.")
        assert (await read_error(await open_stream(http, url)))[:7] == b"Out of."


async def test_of_a_failed_answer_without_end_the_beginning_is_read(http: Http) -> None:
    async with answering(head("transfer-encoding: chunked", status=401), forever=chunked([b"x" * 9999])) as url:
        answer = await ask(http, url)
    assert (answer.status, len(answer.body)) == (401, MAX_ERROR_BYTES)


async def test_of_a_failed_answer_that_breaks_off_the_beginning_is_read(http: Http) -> None:
    async with answering(head("content-length: 100", status=500), b"Out of") as url:
        assert await ask(http, url) == HttpAnswer(500, b"Out of")


async def test_a_compressed_answer_is_not_unpacked(http: Http) -> None:
    body = gzip.compress(bytes(50_000_000))
    headers = ("content-encoding: gzip", f"content-length: {len(body)}")
    async with answering(head(*headers), body) as url:
        for attempt in (ask, open_stream):
            with pytest.raises(HttpFailure, match="compressed") as raised:
                await attempt(http, url)
            assert not raised.value.transient
    async with answering(head(*headers, status=500), body) as url:
        assert await ask(http, url) == HttpAnswer(500, b"")


async def test_no_compression_is_asked_for(http: Http, backend: FakeBackend) -> None:
    await ask(http, f"{backend.url}/v1/models")
    assert backend.requests[0].headers["accept-encoding"] == "identity"


def test_a_large_request_gets_the_time_that_a_slow_line_needs() -> None:
    assert write_timeout(0) < 60
    assert write_timeout(32 * 1024 * 1024) > 600


@pytest.mark.parametrize("body", [b"", b"no json", b"[" * 100_000, b"\xff", b"1" * 10_000])
def test_what_is_no_json_reads_as_none(body: bytes) -> None:
    assert HttpAnswer(200, body).json() is None


# ---------------------------------------------------------------- failures, in words of ours


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "the connection was closed too early"),
        (head("content-length: 9") + b"less", "the connection was closed too early"),
        (b"secret-0123456789\r\n\r\n", "the answer is not valid HTTP"),
        (head("content-length: secret-0123456789"), "the answer is not valid HTTP"),
        (head("transfer-encoding: chunked") + b"secret-0123456789\r\n", "the answer is not valid HTTP"),
        (head("x" * 200_000), "the answer is not valid HTTP"),
    ],
)
async def test_an_answer_that_is_none_is_told_without_its_text_and_can_be_retried(
    http: Http, answer: bytes, words: str
) -> None:
    async with answering(answer) as url:
        with pytest.raises(HttpFailure) as raised:
            await ask(http, url)
        assert str(raised.value) == f"{words} ({url}/)"
    assert raised.value.transient


@pytest.mark.parametrize(
    "headers",
    [
        {"x": "secret-0123456789\n"},
        {"content-length": "secret-0123456789"},
        {"content-length": "1"},
        {"secret-0123456789 ": "x"},
    ],
)
async def test_a_request_that_is_not_valid_http_is_told_without_its_headers_and_not_retried(
    http: Http, backend: FakeBackend, headers: dict[str, str]
) -> None:
    with pytest.raises(HttpFailure, match="the request is not valid HTTP") as raised:
        await http.ask(
            backend.url,
            lambda client: client.build_request("POST", backend.url, content=b"body", headers=headers),
            PATIENCE,
        )
    assert not raised.value.transient
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://[::1",
        "http://host:port",
        "http://127.0.0.1:99999",
        "http://127.0.0.1:-1",
        "http://\udc80",
        "http://127.0.0.1:1/\udc80",
        "http://127.0.0.1:1/\x00",
        "http://127.0.0.1:1/" + "x" * 70_000,
        "127.0.0.1:1",
        "ftp://127.0.0.1",
        "/v1",
        "",
    ],
)
async def test_a_url_that_cannot_be_used_is_a_failure_that_no_retry_helps(http: Http, url: str) -> None:
    with pytest.raises(HttpFailure, match="URL") as raised:
        await ask(http, url)
    assert not raised.value.transient
    with pytest.raises(HttpFailure, match="URL"):
        await open_stream(http, url)


async def test_a_failure_names_the_place_without_what_is_secret_in_its_url(http: Http) -> None:
    url = closed_port_url()
    with pytest.raises(HttpFailure) as raised:
        await ask(http, url.replace("//", "//user:hidden@") + "/v1/sk-0123456789?key=hidden#hidden")
    assert str(raised.value) == f"could not connect: Connection refused ({url}/v1/***)"
    assert raised.value.transient


async def test_a_failure_says_why_where_all_addresses_of_a_host_fail(
    http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = closed_port_url().replace("127.0.0.1", "backend.test")
    port = int(url.rpartition(":")[2])
    found = [
        (family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address)
        for family, address in ((socket.AF_INET, ("127.0.0.1", port)), (socket.AF_INET, ("127.0.0.2", port)))
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(HttpFailure) as raised:
        await ask(http, url)
    assert str(raised.value) == f"could not connect: Connection refused ({url}/)"


async def test_a_certificate_that_is_not_trusted_is_told_and_not_retried(http: Http, tmp_path: Path) -> None:
    async with answering(tls=self_signed(tmp_path)) as url:
        with pytest.raises(HttpFailure, match="its certificate is not trusted") as raised:
            await ask(http, url)
    assert (raised.value.tls, raised.value.transient) == (True, False)


async def test_the_configured_certificate_is_trusted(tmp_path: Path) -> None:
    tls = self_signed(tmp_path)
    trusting = Http(Settings("/nowhere", ca_file=str(tmp_path / "cert.pem"), ca_variable="CA"))
    async with answering(head("content-length: 0"), tls=tls) as url:
        assert (await ask(trusting, url)).status == 200
    await trusting.close()


async def test_where_no_tls_is_spoken_that_is_told(http: Http, backend: FakeBackend) -> None:
    with pytest.raises(HttpFailure, match=r"TLS failed \(") as raised:
        await ask(http, backend.url.replace("http:", "https:"))
    assert raised.value.tls


@pytest.mark.parametrize("proxy", ["socks5://user:hidden@127.0.0.1", "what://user:hidden@127.0.0.1", "http://[::1"])
async def test_a_proxy_that_cannot_be_used_is_named_by_its_variable(
    http: Http, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(ConfigError, match="ALL_PROXY") as raised:
        await ask(http, "http://backend.test/")
    assert "hidden" not in raised.value.message


@pytest.mark.parametrize(("status", "words"), [(407, " with HTTP 407"), (502, " with HTTP 502")])
async def test_a_proxy_that_refuses_is_told_by_its_status(
    http: Http, monkeypatch: pytest.MonkeyPatch, status: int, words: str
) -> None:
    async with answering(head("content-length: 0", status=status)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.replace("//", "//user:hidden@"))
        with pytest.raises(HttpFailure) as raised:
            await ask(http, "https://backend.test/")
    assert str(raised.value) == f"the proxy refused the connection{words} (https://backend.test/)"


async def test_a_proxy_that_answers_byte_by_byte_is_given_up(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    async with answering(b"HTTP/1.1 200 OK\r\nx: ", drip=b"x") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        monkeypatch.setattr(stack, "MAX_CONNECT_SECONDS", BOUND)
        with pytest.raises(HttpFailure, match="no connection in time"):
            await open_stream(http, "https://backend.test/")
