"""Features that are not here: clients that ask for them go on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from appserver.handlers import absent

if TYPE_CHECKING:
    from tests.conftest import ServerFactory

pytestmark = pytest.mark.anyio

NO_SUCH_THREAD = "01a2016d-8232-7e50-b236-db89dc4f6164"


@pytest.mark.parametrize("method", absent.ANSWERS)
async def test_a_feature_that_is_not_here_is_answered_without_signing_in(server: ServerFactory, method: str) -> None:
    params = {"extraRoots": ["/one"]} if method == "skills/extraRoots/set" else {}
    async with server() as peer:
        assert await peer.result(method, params) == absent.ANSWERS[method]


@pytest.mark.parametrize("method", ["config/mcpServer/reload", "configRequirements/read"])
async def test_params_may_be_left_out_where_the_reference_has_none(server: ServerFactory, method: str) -> None:
    async with server() as peer:
        assert await peer.result(method) == absent.ANSWERS[method]


@pytest.mark.parametrize("method", absent.OF_DIRECTORIES)
async def test_each_working_directory_has_an_entry(server: ServerFactory, method: str) -> None:
    async with server() as peer:
        named = await peer.result(method, {"cwds": ["/one", "/two"]})
        assert [one["cwd"] for one in named["data"]] == ["/one", "/two"]
        assert all(value == [] for one in named["data"] for name, value in one.items() if name != "cwd")
        assert [one["cwd"] for one in (await peer.result(method, {}))["data"]] == [os.getcwd()]


@pytest.mark.parametrize("method", absent.OF_A_THREAD)
async def test_a_method_about_a_thread_needs_one_that_is_there(server: ServerFactory, method: str) -> None:
    async with server() as peer:
        thread_id = await peer.start_thread()
        assert await peer.result(method, {"threadId": thread_id}) == absent.OF_A_THREAD[method]
        error = await peer.error(method, {"threadId": NO_SUCH_THREAD})
        assert (error["code"], error["data"]["kind"]) == (-32600, "threadNotFound")


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("permissionProfile/list", {"limit": "many"}),
        ("mcpServerStatus/list", {"detail": "everything"}),
        ("skills/list", {"cwds": "/one"}),
        ("skills/extraRoots/set", {}),
        ("thread/goal/get", {}),
    ],
)
async def test_params_are_checked_all_the_same(server: ServerFactory, method: str, params: dict[str, Any]) -> None:
    async with server() as peer:
        assert (await peer.error(method, params))["code"] == -32602
