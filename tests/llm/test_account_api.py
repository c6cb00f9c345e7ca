"""Requests about the account: what is sent, and how failures are told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from appserver.errors import BackendError, Unauthorized
from appserver.http import Http
from appserver.llm.account_api import AccountApi
from appserver.llm.authorized import Access
from appserver.session import Session
from appserver.settings import Settings
from protocol.base import Secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from appserver.testing import FakeBackend

pytestmark = pytest.mark.anyio

ACCESS = Access(Secret("good"), "org-1", is_chatgpt=True, generation=1)


@pytest.fixture
async def api(backend: FakeBackend) -> AsyncIterator[AccountApi]:
    settings = Settings("/nowhere", chatgpt_base_url=backend.chatgpt_base_url)
    http = Http(settings)
    yield AccountApi(http, settings, Session())
    await http.close()


async def test_each_endpoint_is_read(backend: FakeBackend, api: AccountApi) -> None:
    backend.model.thread_usage["t1"] = {"estimated_usage_credits_micros": 7}
    assert (await api.limits(ACCESS))["plan_type"] == "pro"
    assert (await api.reset_credits(ACCESS))["available_count"] == 0
    assert (await api.profile(ACCESS))["stats"]["lifetime_tokens"] == 1234
    assert [one["thread_id"] for one in (await api.thread_usage(ACCESS, "t1"))["threads"]] == ["t1"]
    assert all(request.headers["chatgpt-account-id"] == "org-1" for request in backend.requests)


@pytest.mark.parametrize("body", ["no json", "[]"])
async def test_an_answer_that_is_no_object_is_a_failure(backend: FakeBackend, api: AccountApi, body: str) -> None:
    backend.model.fail_next(200, body)
    with pytest.raises(BackendError):
        await api.limits(ACCESS)


async def test_a_refusal_is_told_apart_from_other_failures(backend: FakeBackend, api: AccountApi) -> None:
    backend.model.fail_next(401)
    backend.model.fail_next(404)
    with pytest.raises(Unauthorized):
        await api.profile(ACCESS)
    with pytest.raises(BackendError, match="404 Not Found"):
        await api.profile(ACCESS)


async def test_a_backend_that_is_not_there_is_a_failure() -> None:
    settings = Settings("/nowhere", chatgpt_base_url="http://127.0.0.1:9")
    http = Http(settings)
    with pytest.raises(BackendError, match="could not be reached"):
        await AccountApi(http, settings, Session()).limits(ACCESS)
    await http.close()
