"""What an operator sees: metrics, and one line in the log for each request, without a secret."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import anyio
import httpx
import pytest

from tests.gateway.rig import KEY, NO_TLS, gateway_process

if TYPE_CHECKING:
    from pathlib import Path

    from appserver.testing import FakeBackend
    from tests.gateway.rig import Running

pytestmark = pytest.mark.anyio


async def test_requests_and_tokens_are_counted(api: Running) -> None:
    await api.chat()
    await api.http.get("/v1/nothing")
    await api.http.get('/v1/"} 1')
    lines = (await api.http.get("/metrics")).text.splitlines()
    assert 'gateway_requests_total{path="/v1/chat/completions",status="200"} 1' in lines
    assert 'gateway_requests_total{path="other",status="404"} 2' in lines
    assert 'gateway_tokens_total{direction="input"} 10' in lines
    assert 'gateway_request_seconds_count{path="/v1/chat/completions"} 1' in lines
    assert "gateway_requests_running 0" in lines
    assert all(line.startswith("#") or len(line.rpartition(" ")[2]) for line in lines)


async def test_every_answer_has_an_id_of_its_own(api: Running) -> None:
    answers = [await api.http.get(path) for path in ("/v1/models", "/v1/models", "/v1/nothing")]
    assert len({answer.headers["x-request-id"] for answer in answers}) == 3


async def test_the_document_for_actions_names_paths_that_are_there(api: Running) -> None:
    document = (await api.http.get("/openapi.json", headers={"Authorization": "", "Host": "evil.example"})).json()
    assert document["servers"] == [{"url": api.url}]
    for path, operations in document["paths"].items():
        for method in operations:
            answer = await api.http.request(method.upper(), path, content=b"{" if method == "post" else None)
            assert answer.status_code in (200, 400)


@pytest.mark.skipif(sys.platform == "win32", reason="a signal ends a process at once")
async def test_the_log_has_a_line_for_each_request_and_no_secret(
    backend: FakeBackend, home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    environ = {**backend.environ(home), "GATEWAY_API_KEY": KEY, "OPENAI_API_KEY": "sk-of-the-platform"}
    async with gateway_process({**environ, "APPSERVER_LOG": "info", "APPSERVER_LOG_FORMAT": "json"}) as (process, url):
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {KEY}"}, verify=NO_TLS) as client:
            answer = await client.post(f"{url}/v1/responses", json={"model": "m", "input": "a private question"})
        process.terminate()
        with anyio.fail_after(5):
            await process.wait()
    output = capfd.readouterr().err
    records = [json.loads(line) for line in output.splitlines()]
    [record] = [one for one in records if one.get("requestId") == answer.headers["x-request-id"]]
    assert record["message"].startswith("POST '/v1/responses' 200 ")
    assert not [secret for secret in (KEY, "sk-of-the-platform", "a private question") if secret in output]


@pytest.mark.parametrize("traceparent", ["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "nonsense"])
async def test_the_trace_that_a_request_belongs_to_goes_on_to_the_backend(api: Running, traceparent: str) -> None:
    headers = [("traceparent", traceparent), ("tracestate", "a=b"), ("tracestate", "c=d")]
    answer = await api.http.post("/v1/responses", json={"model": "m", "input": "Hi"}, headers=headers)
    assert answer.status_code == 200
    sent = api.backend.requests.to("/v1/responses")[-1].headers
    passed_on = (None, None) if traceparent == "nonsense" else (traceparent, "a=b,c=d")
    assert (sent.get("traceparent"), sent.get("tracestate")) == passed_on
