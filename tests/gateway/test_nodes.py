"""Two nodes on one database: one refresh for both, and nothing lost with a node that is killed."""

from __future__ import annotations

import json
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio
import anyio.abc
import anyio.lowlevel
import httpx
import pytest
import sqlalchemy as sa

from appserver.auth.credentials import ManagedTokens
from appserver.auth.manager import AuthManager
from appserver.errors import StoreError
from appserver.gateway import refreshing
from appserver.gateway.database.schema import leases
from appserver.gateway.refreshing import Refreshing
from appserver.testing import Gate, stalled
from appserver.testing.signals import WAIT_SECONDS
from protocol.base import Secret
from tests.gateway.failing import Failing
from tests.gateway.rig import KEY, NO_TLS, RESPONSES, Running, gateway_process, managed, running_gateway, sign_in

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from appserver.testing import FakeBackend

pytestmark = pytest.mark.anyio

TOKENS = "/oauth/token"
REQUEST = {"model": "m", "input": "Hi"}


@asynccontextmanager
async def two_nodes(backend: FakeBackend, home: Path, url: str | None) -> AsyncIterator[tuple[Running, Running]]:
    """Two nodes whose one user is signed in."""
    async with (
        running_gateway(backend, home, backend.grant(), database_url=url) as one,
        running_gateway(backend, home, database_url=url) as other,
    ):
        yield one, other


async def test_200_requests_on_an_expired_token_cause_one_refresh(
    backend: FakeBackend, home: Path, database_url: str | None
) -> None:
    async with two_nodes(backend, home, database_url) as nodes:
        backend.expire_access_tokens()
        statuses: list[int] = []

        async def ask(node: Running) -> None:
            statuses.append((await node.http.post(RESPONSES, json=REQUEST, timeout=30)).status_code)

        async with anyio.create_task_group() as group:
            for number in range(200):
                group.start_soon(ask, nodes[number % 2])
        assert statuses == [200] * 200
        assert len(backend.requests.to(TOKENS)) == 1


async def test_what_one_node_has_renewed_the_other_uses(
    backend: FakeBackend, home: Path, database_url: str | None
) -> None:
    async with two_nodes(backend, home, database_url) as (one, other):
        assert (await other.http.post(RESPONSES, json=REQUEST)).status_code == 200  # it knows the first token
        backend.expire_access_tokens()
        for node in (one, other, one):
            assert (await node.http.post(RESPONSES, json=REQUEST)).status_code == 200
        assert len(backend.requests.to(TOKENS)) == 1
        # The other node has heard of the new token with its request's key: it need not be refused first.
        assert len(backend.requests.to(RESPONSES)) == 1 + 2 + 1 + 1


async def test_a_login_on_one_node_is_in_force_on_the_other(
    backend: FakeBackend, home: Path, database_url: str | None
) -> None:
    async with two_nodes(backend, home, database_url) as (one, other):
        assert (await other.http.post(RESPONSES, json=REQUEST)).status_code == 200
        new = backend.grant()
        await sign_in(one.gateway, managed(new))
        assert (await other.http.post(RESPONSES, json=REQUEST)).status_code == 200
        assert backend.requests.to(RESPONSES)[-1].bearer == new.access_token


async def test_a_revoked_key_is_refused_by_the_other_node_at_once(
    backend: FakeBackend, home: Path, database_url: str | None
) -> None:
    async with two_nodes(backend, home, database_url) as (one, other):
        user_id = await one.gateway.user_id("default")
        key_id, key = await one.gateway.accounts.add_key(user_id, ["models"])
        headers = {"Authorization": f"Bearer {key.reveal()}"}
        assert (await other.http.get("/v1/models", headers=headers)).status_code == 200
        await one.gateway.accounts.revoke_key(key_id)
        assert (await other.http.get("/v1/models", headers=headers)).status_code == 401


async def test_a_database_that_cannot_be_used_is_told_by_status_and_passes(
    backend: FakeBackend, home: Path, database_url: str | None
) -> None:
    async with two_nodes(backend, home, database_url) as (one, _):
        user_id = await one.gateway.user_id("default")
        _, key = await one.gateway.accounts.add_key(user_id, ["models"])
        headers = {"Authorization": f"Bearer {key.reveal()}"}
        async with one.gateway.database.writing() as connection:
            await connection.exec_driver_sql("ALTER TABLE api_keys RENAME TO gone")
        answer = await one.http.get("/v1/models", headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "database_unavailable")
        assert answer.headers["retry-after"] == "1"
        async with one.gateway.database.writing() as connection:
            await connection.exec_driver_sql("ALTER TABLE gone RENAME TO api_keys")
        assert (await one.http.get("/v1/models", headers=headers)).status_code == 200


async def test_requests_per_minute_are_counted_across_nodes(
    backend: FakeBackend, home: Path, database_url: str | None
) -> None:
    async with two_nodes(backend, home, database_url) as nodes:
        user_id = await nodes[0].gateway.user_id("default")
        _, key = await nodes[0].gateway.accounts.add_key(user_id, ["responses"], rpm=10)
        headers = {"Authorization": f"Bearer {key.reveal()}"}
        answers: list[httpx.Response] = []

        async def ask(node: Running) -> None:
            answers.append(await node.http.post(RESPONSES, json=REQUEST, headers=headers, timeout=30))

        async with anyio.create_task_group() as group:
            for number in range(30):
                group.start_soon(ask, nodes[number % 2])
        statuses = [answer.status_code for answer in answers]
        assert statuses.count(429) in (20, 10)  # 10, if a minute ended meanwhile
        assert statuses.count(200) + statuses.count(429) == 30
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert refused.json()["error"]["code"] == "rate_limit_exceeded"


async def test_tokens_per_minute_are_counted_across_nodes(
    backend: FakeBackend, home: Path, database_url: str | None
) -> None:
    async with two_nodes(backend, home, database_url) as nodes:
        user_id = await nodes[0].gateway.user_id("default")
        _, key = await nodes[0].gateway.accounts.add_key(user_id, ["responses"], tpm=30)
        headers = {"Authorization": f"Bearer {key.reveal()}"}
        statuses = [
            (await nodes[number % 2].http.post(RESPONSES, json=REQUEST, headers=headers)).status_code
            for number in range(6)
        ]
        assert statuses[:2] == [200, 200]  # 15 tokens each
        assert 429 in statuses


async def stored_tokens(node: Running, user: str) -> ManagedTokens:
    """Return a user's login, as it is in the database."""
    credential = (await (await node.gateway.store_of(user)).load()).credential
    assert isinstance(credential, ManagedTokens)
    return credential


async def next_look(node: Running) -> str:
    """Wait until the leader of the scheduled refresh has begun another look, and so ended the one before.

    Returns the leader.
    """

    async def lease() -> Any:  # noqa: ANN401 - a row, or None
        async with node.gateway.database.reading() as connection:
            return (await connection.execute(sa.select(leases.c.holder, leases.c.until))).one_or_none()

    before = await lease()
    with anyio.fail_after(WAIT_SECONDS):
        while (now := await lease()) in (None, before):
            await anyio.lowlevel.checkpoint()  # nothing else tells of it
    return str(now.holder)


async def test_a_login_is_refreshed_ahead_of_its_end_by_one_of_two_nodes_without_a_request(
    backend: FakeBackend, home: Path, database_url: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refreshing, "LOOK_SECONDS", 0.05)
    async with (
        running_gateway(backend, home, database_url=database_url) as one,
        running_gateway(backend, home, database_url=database_url) as other,
    ):
        due, later = backend.grant(expires_in=600), backend.grant(expires_in=86_400)
        await sign_in(one.gateway, managed(later), "ben")
        await sign_in(one.gateway, managed(due), "ada")
        with anyio.fail_after(WAIT_SECONDS):
            while (await stored_tokens(one, "ada")).refresh_token == Secret(due.refresh_token):
                await next_look(one)
        assert len({await next_look(one) for _ in range(5)}) == 1
        [redeemed] = backend.requests.to(TOKENS)
        assert redeemed.params()["refresh_token"] == due.refresh_token
        assert (await stored_tokens(other, "ben")).refresh_token == Secret(later.refresh_token)
        assert backend.requests.to(RESPONSES) == []
        # The new token is what the other node uses, before the old one has expired.
        new = await stored_tokens(other, "ada")
        _, key = await one.gateway.accounts.add_key(await one.gateway.user_id("ada"), ["responses"])
        headers = {"Authorization": f"Bearer {key.reveal()}"}
        assert (await other.http.post(RESPONSES, json=REQUEST, headers=headers)).status_code == 200
        assert backend.requests.to(RESPONSES)[-1].bearer == new.access_token.reveal()


async def test_another_node_leads_the_scheduled_refresh_when_the_first_has_died(
    backend: FakeBackend, home: Path, database_url: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refreshing, "LOOK_SECONDS", 0.05)
    async with running_gateway(backend, home, database_url=database_url) as one:
        database = one.gateway.database
        values = {"holder": "a node that has died", "until": database.now + 0.5}
        row = database.insert(leases).values(name=refreshing.LEASE, **values)
        async with database.writing() as connection:
            await connection.execute(row.on_conflict_do_update(index_elements=["name"], set_=values))
        await sign_in(one.gateway, managed(backend.grant(expires_in=600)), "ada")
        await next_look(one)
        await next_look(one)
        assert len(backend.requests.to(TOKENS)) == 1


async def test_a_database_that_fails_during_the_scheduled_refresh_ends_nothing(
    backend: FakeBackend, home: Path, database_url: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refreshing, "LOOK_SECONDS", 0.05)
    failing: list[Failing] = []

    async def look(self: AuthManager) -> None:
        raise StoreError("the database is gone")

    async def put_off_in_vain(self: Refreshing, user_id: str) -> None:
        failing.append(Failing(self._database))
        with monkeypatch.context() as patched:
            patched.setattr(self, "_database", failing[-1])
            await put_off(self, user_id)

    put_off = Refreshing._later
    async with running_gateway(backend, home, database_url=database_url) as one:
        due = backend.grant(expires_in=600)
        with monkeypatch.context() as down:
            down.setattr(AuthManager, "look", look)
            down.setattr(Refreshing, "_later", put_off_in_vain)
            await sign_in(one.gateway, managed(due), "ada")
            await next_look(one)
            await next_look(one)
        assert any(one.failed for one in failing)
        with anyio.fail_after(WAIT_SECONDS):
            while (await stored_tokens(one, "ada")).refresh_token == Secret(due.refresh_token):
                await next_look(one)


class Killed(NamedTuple):
    """Two processes on one database, of which one is going to be killed."""

    first: anyio.abc.Process
    first_url: str
    second_url: str


@asynccontextmanager
async def two_processes(backend: FakeBackend, home: Path, url: str | None) -> AsyncIterator[Killed]:
    environ = {**backend.environ(home), "GATEWAY_API_KEY": KEY, "GATEWAY_SECRET_KEYS": "the-secret-key-of-the-tests"}
    environ |= {"GATEWAY_DATABASE_URL": url} if url else {}
    async with gateway_process(environ) as (first, first_url), gateway_process(environ) as (_, second_url):
        yield Killed(first, first_url, second_url)


async def import_login(backend: FakeBackend, home: Path, url: str | None) -> None:
    environ = {**backend.environ(home), "GATEWAY_SECRET_KEYS": "the-secret-key-of-the-tests"}
    environ |= {"GATEWAY_DATABASE_URL": url} if url else {}
    document = {"auth_mode": "chatgpt", "tokens": {**backend.grant().as_dict(), "account_id": "org-1"}}
    command = [sys.executable, "-m", "appserver", "gateway", "credential", "import", "--user", "default"]
    await anyio.run_process(command, input=json.dumps(document).encode(), env=environ)


async def post(url: str, lines: list[str] | None = None) -> int:
    body = {**REQUEST, "stream": lines is not None}
    headers = {"Authorization": f"Bearer {KEY}"}
    async with (
        httpx.AsyncClient(headers=headers, timeout=30, verify=NO_TLS) as client,
        client.stream("POST", f"{url}{RESPONSES}", json=body) as answer,
    ):
        async for line in answer.aiter_lines():
            if lines is not None:
                lines.append(line)
        return answer.status_code


async def test_a_node_that_is_killed_during_a_refresh_burns_no_login(
    backend: FakeBackend, home: Path, database_url: str | None
) -> None:
    async with two_processes(backend, home, database_url) as nodes:
        await import_login(backend, home, database_url)
        backend.expire_access_tokens()
        gate = backend.issuer.hold_next(path=TOKENS)
        async with anyio.create_task_group() as group:

            async def ask_the_first() -> None:
                with pytest.raises(httpx.TransportError):
                    await post(nodes.first_url)

            group.start_soon(ask_the_first)
            await gate.reached.wait()
            nodes.first.kill()
        assert await post(nodes.second_url) == 200
        assert len(backend.requests.to(TOKENS)) == 2


async def test_a_node_that_is_killed_during_streams_takes_nothing_else_along(
    backend: FakeBackend, home: Path, database_url: str | None
) -> None:
    gate = Gate()
    async with two_processes(backend, home, database_url) as nodes:
        await import_login(backend, home, database_url)
        backend.script(stalled(gate, "Hel"))
        async with anyio.create_task_group() as group:

            async def stream() -> None:
                with pytest.raises(httpx.TransportError):
                    await post(nodes.first_url, [])

            group.start_soon(stream)
            await gate.reached.wait()
            nodes.first.kill()
        await gate.abandoned.wait()
        assert await post(nodes.second_url) == 200
