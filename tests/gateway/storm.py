"""Two nodes, each a process, on one PostgreSQL, while they are asked hard and killed. `python -m tests.gateway.storm`.

The tests run a round of each; the program runs many, and prints what has come out.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio
import httpx

from appserver.testing import FakeBackend, Gate, stalled
from tests.gateway.postgres import new_database, programs, running_postgres
from tests.gateway.rig import KEY, NO_TLS, RESPONSES, gateway_process
from tests.gateway.thread_scenes import killed_during_a_turn, suspended_during_a_turn
from tests.processes import go_on, suspend

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from anyio.abc import Process

TOKENS = "/oauth/token"
REQUEST = {"model": "m", "input": "Hi"}
AT_ONCE = 200
STREAMS = 20
LIMIT = 25

REQUEST_SECONDS = 60.0


class Nodes(NamedTuple):
    """Two nodes whose one user is signed in, and what they share."""

    backend: FakeBackend
    environ: dict[str, str]
    processes: list[Process]
    urls: list[str]

    async def admin(self, *words: str, stdin: str = "") -> Any:  # noqa: ANN401 - what is printed
        """Run an admin command beside them."""
        command = [sys.executable, "-m", "appserver", "gateway", *words]
        done = await anyio.run_process(command, input=stdin.encode(), env={**os.environ, **self.environ}, stderr=None)
        return json.loads(done.stdout)

    async def ask(self, count: int, key: str = KEY, *, nodes: tuple[int, ...] = (0, 1)) -> Counter[int]:
        """Send requests to nodes in turn, all at once, and count the statuses; 0: the connection broke."""
        statuses = Counter[int]()

        async def one(client: httpx.AsyncClient, url: str) -> None:
            try:
                statuses[(await client.post(f"{url}{RESPONSES}", json=REQUEST)).status_code] += 1
            except httpx.TransportError:
                statuses[0] += 1

        limits = httpx.Limits(max_connections=None)
        headers = {"Authorization": f"Bearer {key}"}
        async with (
            httpx.AsyncClient(headers=headers, timeout=REQUEST_SECONDS, limits=limits, verify=NO_TLS) as client,
            anyio.create_task_group() as group,
        ):
            for number in range(count):
                group.start_soon(one, client, self.urls[nodes[number % len(nodes)]])
        return statuses

    @property
    def redeemed(self) -> int:
        """How often a refresh token was redeemed."""
        return len(self.backend.requests.to(TOKENS))


@asynccontextmanager
async def two_nodes(backend: FakeBackend, home: Path, url: str, **variables: str) -> AsyncIterator[Nodes]:
    """Start both, and import a login."""
    environ = {**backend.environ(home), "GATEWAY_API_KEY": KEY, "GATEWAY_SECRET_KEYS": "the-secret-key-of-the-tests"}
    environ |= {"GATEWAY_DATABASE_URL": url, **variables}
    async with AsyncExitStack() as stack:
        started = [await stack.enter_async_context(gateway_process(environ)) for _ in range(2)]
        nodes = Nodes(backend, environ, [process for process, _ in started], [url for _, url in started])
        document = {"auth_mode": "chatgpt", "tokens": {**backend.grant().as_dict(), "account_id": "org-1"}}
        await nodes.admin("credential", "import", "--user", "default", stdin=json.dumps(document))
        yield nodes


async def expired(nodes: Nodes) -> None:
    """Many requests at once on an expired token: one refresh, and every request is answered."""
    nodes.backend.expire_access_tokens()
    assert await nodes.ask(AT_ONCE) == {200: AT_ONCE}
    assert nodes.redeemed == 1


async def killed_while_refreshing(nodes: Nodes) -> None:
    """A node dies while the issuer answers: the other one renews the login, which is not burned."""
    nodes.backend.expire_access_tokens()
    gate = nodes.backend.issuer.hold_next(path=TOKENS)
    async with anyio.create_task_group() as group:
        group.start_soon(_lost, nodes, 10)
        await gate.reached.wait()
        nodes.processes[0].kill()
    assert await nodes.ask(AT_ONCE, nodes=(1,)) == {200: AT_ONCE}
    assert nodes.redeemed == 2
    await _active(nodes, (1,))


async def suspended_with_the_answer(nodes: Nodes) -> None:
    """A node is suspended while the issuer's answer comes, and another takes its lease: the login is not burned."""
    nodes.backend.expire_access_tokens()
    gate = nodes.backend.issuer.hold_answer(path=TOKENS)
    async with _suspended_node(nodes, gate):
        gate.release()
        assert await nodes.ask(1, nodes=(1,)) == {401: 1}  # the refresh token is spent, and its answer is elsewhere
    assert nodes.redeemed == 2
    await _active(nodes)


async def suspended_with_the_question(nodes: Nodes) -> None:
    """A node is suspended, another redeems the refresh token, and then the first one is told that it is spent."""
    nodes.backend.expire_access_tokens()
    gate = nodes.backend.issuer.hold_next(path=TOKENS)
    async with _suspended_node(nodes, gate):
        assert await nodes.ask(1, nodes=(1,)) == {200: 1}
        gate.release()
    assert nodes.redeemed == 2
    await _active(nodes)


async def killed_while_streaming(nodes: Nodes) -> None:
    """A node dies with streams: they end as broken, and nothing of the other node's is lost."""
    key = (await nodes.admin("key", "add", "--user", "default", "--scopes", "responses"))["key"]
    gates = [Gate() for _ in range(STREAMS)]
    nodes.backend.script(*(stalled(gate, "Hel") for gate in gates))
    async with anyio.create_task_group() as group:
        group.start_soon(_lost, nodes, STREAMS)
        for gate in gates:
            await gate.reached.wait()
        async with anyio.create_task_group() as others:
            others.start_soon(_answered, nodes, key)
            nodes.processes[0].kill()
    for gate in gates:
        await gate.abandoned.wait()
    assert await nodes.ask(AT_ONCE, nodes=(1,)) == {200: AT_ONCE}
    await anyio.sleep(1.2)  # usage is written once a second
    [listed] = (await nodes.admin("key", "list"))["keys"]
    assert (listed["requests"], listed["input_tokens"]) == (AT_ONCE, AT_ONCE * 10)
    assert nodes.redeemed == 0


async def limited(nodes: Nodes) -> None:
    """A key's limit holds for both nodes together, to the request."""
    words = ("--user", "default", "--scopes", "responses", "--rpm", str(LIMIT))
    key = (await nodes.admin("key", "add", *words))["key"]
    statuses = await nodes.ask(AT_ONCE, key)
    assert statuses[200] + statuses[429] == AT_ONCE
    assert statuses[200] in (LIMIT, 2 * LIMIT)  # twice, if a minute ended meanwhile


async def revoked(nodes: Nodes) -> None:
    """A key that an admin command revokes is refused by both nodes with their next request."""
    key = await nodes.admin("key", "add", "--user", "default", "--scopes", "responses")
    assert await nodes.ask(AT_ONCE // 10, key["key"]) == {200: AT_ONCE // 10}
    await nodes.admin("key", "revoke", key["id"])
    assert await nodes.ask(AT_ONCE // 10, key["key"]) == {401: AT_ONCE // 10}


SCENES: list[Callable[[Nodes], Awaitable[None]]] = [
    expired,
    killed_while_refreshing,
    suspended_with_the_answer,
    suspended_with_the_question,
    killed_while_streaming,
    killed_during_a_turn,
    suspended_during_a_turn,
    limited,
    revoked,
]


async def _lost(nodes: Nodes, count: int) -> None:
    assert await nodes.ask(count, nodes=(0,)) == {0: count}


@asynccontextmanager
async def _suspended_node(nodes: Nodes, gate: Gate) -> AsyncIterator[None]:
    """Suspend the first node for the length of the block, while it waits at a gate. What it was asked is answered."""

    async def ask() -> None:
        assert await nodes.ask(10, nodes=(0,)) == {200: 10}

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await gate.reached.wait()
        suspend(nodes.processes[0])
        try:
            yield
        finally:
            go_on(nodes.processes[0])


async def _active(nodes: Nodes, which: tuple[int, ...] = (0, 1)) -> None:
    """See that a login can be used, and refreshed again."""
    [credential] = (await nodes.admin("credential", "list"))["credentials"]
    assert credential["status"] == "active"
    assert await nodes.ask(2, nodes=which) == {200: 2}
    before = nodes.redeemed
    nodes.backend.expire_access_tokens()
    assert await nodes.ask(2, nodes=which) == {200: 2}
    assert nodes.redeemed == before + 1


async def _answered(nodes: Nodes, key: str) -> None:
    assert await nodes.ask(AT_ONCE, key, nodes=(1,)) == {200: AT_ONCE}


async def main(rounds: int) -> int:
    bin_dir, failed = programs(), 0
    if bin_dir is None:
        sys.exit("PostgreSQL is not installed")
    with running_postgres(bin_dir) as server:
        for scene in SCENES:
            good = 0
            for _ in range(rounds):
                with new_database(server.url) as url, tempfile.TemporaryDirectory() as home, suppress(ExceptionGroup):
                    async with FakeBackend() as backend:
                        backend.write_config(Path(home))
                        async with two_nodes(backend, Path(home), url) as nodes:
                            await scene(nodes)
                    good += 1
            failed += rounds - good
            sys.stdout.write(f"{scene.__name__}: {good} of {rounds} rounds\n")
            sys.stdout.flush()
    return failed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    sys.exit(min(1, anyio.run(main, parser.parse_args().rounds)))
