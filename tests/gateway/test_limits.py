"""Requests and tokens per minute: for two nodes together, and also while nobody knows yet what an answer takes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import sqlalchemy as sa

from appserver.gateway import metering
from appserver.gateway.database.engine import Database
from appserver.gateway.exchange import Exchange
from appserver.gateway.metering import Metering
from appserver.testing import Gate, http_error, stalled
from appserver.testing.signals import WAIT_SECONDS
from tests.gateway.rig import RESPONSES, Running, raw_connection, running_gateway

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from starlette.types import Message, Receive, Send

    from appserver.gateway.metering import Reservation
    from appserver.testing import FakeBackend

pytestmark = pytest.mark.anyio

USED = 15
"""Tokens that the fake backend tells of each answer."""

OUTPUT = 16
TAKEN = 1 + OUTPUT
"""Tokens that REQUEST is taken to need."""

REQUEST = {"model": "m", "input": "Hi", "max_output_tokens": OUTPUT}
UNLIMITED = {"model": "m", "input": "Hi"}


class Clock:
    """The clock of the databases, which stands still."""

    def __init__(self) -> None:
        self.now = 1_800_000_010.0


class Key:
    """A key, and what two nodes answer to its requests in turn."""

    def __init__(self, nodes: tuple[Running, Running], key: str) -> None:
        self.headers = {"Authorization": f"Bearer {key}"}
        self._nodes = nodes
        self._asked = 0

    async def ask(self, request: dict[str, Any] = REQUEST) -> int:
        self._asked += 1
        node = self._nodes[self._asked % 2]
        answer = await node.http.post(RESPONSES, json=request, headers=self.headers, timeout=30)
        if answer.status_code == 429:
            assert answer.headers["retry-after"] == "50"
            assert answer.json()["error"]["code"] == "rate_limit_exceeded"
        return answer.status_code


class Nodes:
    """Two nodes, and a user whose keys are limited."""

    def __init__(self, backend: FakeBackend, one: Running, other: Running) -> None:
        self.backend = backend
        self.one, self.other = one, other

    async def key(self, **limits: int) -> Key:
        accounts = self.one.gateway.accounts
        _, key = await accounts.add_key(await self.one.gateway.user_id("default"), ["responses"], **limits)
        return Key((self.one, self.other), key.reveal())


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(Database, "now", property(lambda _: sa.literal(clock.now, sa.Double)))
    return clock


@pytest.fixture
async def nodes(backend: FakeBackend, home: Path, database_url: str | None, clock: Clock) -> AsyncIterator[Nodes]:
    async with (
        running_gateway(backend, home, backend.grant(), database_url=database_url) as one,
        running_gateway(backend, home, database_url=database_url) as other,
    ):
        yield Nodes(backend, one, other)


async def asked_at_once(nodes: Nodes, key: Key, count: int, refused: int, request: dict[str, Any]) -> list[int]:
    """Send requests of which none is answered before so many are refused, and return the statuses."""
    gate = nodes.backend.model.hold_next(times=count - refused, path=RESPONSES)
    statuses, news = list[int](), anyio.Event()

    async def ask() -> None:
        nonlocal news
        statuses.append(await key.ask(request))
        news.set()
        news = anyio.Event()

    with anyio.fail_after(WAIT_SECONDS):
        async with anyio.create_task_group() as group:
            for _ in range(count):
                group.start_soon(ask)
            while len(statuses) < refused:
                await news.wait()
            gate.release()
    return sorted(statuses)


async def test_requests_are_counted_exactly(nodes: Nodes) -> None:
    key = await nodes.key(rpm=7)
    assert await asked_at_once(nodes, key, 20, 13, REQUEST) == [200] * 7 + [429] * 13


async def test_requests_at_once_do_not_pass_on_the_same_tokens(nodes: Nodes) -> None:
    key = await nodes.key(tpm=5 * TAKEN)
    assert await asked_at_once(nodes, key, 20, 15, REQUEST) == [200] * 5 + [429] * 15
    # What was used has taken the place of what was estimated.
    assert 5 * USED + TAKEN > 5 * TAKEN
    assert await key.ask() == 429


async def test_what_was_not_used_can_be_used(nodes: Nodes) -> None:
    key = await nodes.key(tpm=3 * USED + TAKEN)
    assert [await key.ask() for _ in range(5)] == [200] * 4 + [429]


async def test_requests_that_do_not_limit_their_answer_are_taken_to_need_some_of_the_limit(nodes: Nodes) -> None:
    key = await nodes.key(tpm=200)  # a tenth, and a token for the question
    assert await asked_at_once(nodes, key, 20, 11, UNLIMITED) == [200] * 9 + [429] * 11


async def test_a_request_that_may_need_more_than_the_limit_passes_when_nothing_was_used(nodes: Nodes) -> None:
    key = await nodes.key(tpm=100)
    large = {**REQUEST, "max_output_tokens": 1000}
    assert [await key.ask(large), await key.ask(large), await key.ask()] == [200, 429, 200]


async def test_a_request_that_the_backend_refuses_takes_nothing(nodes: Nodes) -> None:
    key = await nodes.key(tpm=TAKEN)
    nodes.backend.script(http_error(500), http_error(500))
    assert [await key.ask() for _ in range(3)] == [500, 500, 200]


@pytest.mark.parametrize("request_body", [REQUEST, {**REQUEST, "stream": True}], ids=["whole", "stream"])
@pytest.mark.parametrize("refuses", [False, True], ids=["answered", "refused"])
async def test_what_is_not_used_is_given_back_before_the_client_is_told_of_the_end(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch, request_body: dict[str, Any], refuses: bool
) -> None:
    """Its next request may come at once, at the other node."""
    log: list[str | bytes] = []
    run, settle = Exchange.run, Metering._settle

    async def logged_run(self: Exchange, receive: Receive, send: Send) -> None:
        async def logged_send(message: Message) -> None:
            log.append(message.get("body", b""))
            await send(message)

        await run(self, receive, logged_send)

    async def logged_settle(self: Metering, reserved: Reservation, used: int) -> None:
        await settle(self, reserved, used)
        log.append("settled")

    monkeypatch.setattr(Exchange, "run", logged_run)
    monkeypatch.setattr(Metering, "_settle", logged_settle)
    if refuses:
        nodes.backend.script(http_error(500))
    await (await nodes.key(tpm=TAKEN)).ask(request_body)
    before, after = log[: log.index("settled")], log[log.index("settled") + 1 :]
    ends = (b"http_500",) if refuses else (b'"status":"completed"', b"response.completed")
    assert not any(end in body for body in before if isinstance(body, bytes) for end in ends)
    assert any(end in body for body in after if isinstance(body, bytes) for end in ends)


async def test_tokens_that_cannot_be_counted_hold_up_no_answer(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metering, "SETTLE_SECONDS", 0.01)

    async def never(self: Metering, *args: object) -> None:
        await anyio.sleep_forever()

    monkeypatch.setattr(Metering, "_settle", never)
    key = await nodes.key(tpm=TAKEN)
    assert [await key.ask(), await key.ask()] == [200, 429]


async def test_an_answer_that_is_broken_off_counts_as_estimated(nodes: Nodes) -> None:
    key, gate = await nodes.key(tpm=TAKEN), Gate()
    nodes.backend.script(stalled(gate, "Hel"))
    body = json.dumps({**REQUEST, "stream": True}).encode()
    fields = f"Host: x\r\nAuthorization: {key.headers['Authorization']}\r\nContent-Length: {len(body)}"
    with raw_connection(nodes.one.url) as connection:
        connection.sendall(f"POST {RESPONSES} HTTP/1.1\r\n{fields}\r\n\r\n".encode() + body)
        await gate.reached.wait()
    await gate.abandoned.wait()
    assert await key.ask() == 429


async def test_what_goes_beyond_the_estimate_counts_when_the_answer_ends(nodes: Nodes, clock: Clock) -> None:
    key = await nodes.key(tpm=20)  # of which the request is taken to need 3
    gate = nodes.backend.model.hold_next(path=RESPONSES)
    statuses: list[int] = []

    async def ask() -> None:
        statuses.append(await key.ask(UNLIMITED))

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await gate.reached.wait()
        clock.now += 60
        gate.release()
    assert statuses == [200]
    assert await key.ask({**REQUEST, "max_output_tokens": 20 - USED + 3}) == 429  # with the question it is one too many
    assert await key.ask({**REQUEST, "max_output_tokens": 20 - USED + 2}) == 200


async def test_a_new_minute_begins_with_nothing(nodes: Nodes, clock: Clock) -> None:
    key = await nodes.key(rpm=1, tpm=TAKEN)
    assert [await key.ask(), await key.ask()] == [200, 429]
    clock.now += 60
    assert [await key.ask(), await key.ask()] == [200, 429]
