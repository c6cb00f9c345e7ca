"""The real method table, over a live connection: whatever the params are, each request is answered, once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from protocol.methods import CLIENT_REQUESTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.conftest import ServerFactory
    from tests.peer import Message

pytestmark = pytest.mark.anyio

METHODS = sorted(CLIENT_REQUESTS)


@pytest.mark.parametrize("params", [[1], [], {}, None, [{}], ["x"] * 3, {"": None}], ids=repr)
async def test_every_method_answers_params_of_any_form(server: ServerFactory, params: object) -> None:
    async with server() as peer:
        for number, method in enumerate(METHODS):
            request = {"method": method} if params is None else {"method": method, "params": params}
            await peer.send({"id": f"{number}", **request})
            await peer.send([{"id": f"{number} in a batch", **request}])
        await peer.until(lambda: len(answers(peer.messages)) > 2 * len(METHODS))  # the handshake's is one of them
        ids = [one["id"] for one in answers(peer.messages)]
        assert len(ids) == len(set(ids)) == 2 * len(METHODS) + 1
        codes = {one["error"]["code"] for one in answers(peer.messages) if "error" in one}
        assert codes <= {-32600, -32602}


def answers(messages: Sequence[Message]) -> list[Message]:
    return [one for one in messages if "method" not in one]


@pytest.mark.parametrize("params", [[1], ["refreshToken"]])
async def test_positional_params_do_not_end_the_server(server: ServerFactory, params: object) -> None:
    async with server() as peer:
        for method in ("account/rateLimits/read", "account/login/cancel"):
            assert (await peer.error(method, params))["code"] == -32602
        assert (await peer.result("account/read"))["account"] is None
