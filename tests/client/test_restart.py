"""A server that dies under a client, and the next one in its place.

APPSERVER_RESTART_ROUNDS says how often it is killed in the longest of these; the suite does with few.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import pytest

from appserver.client import (
    AsyncAppServer,
    RequestLost,
    RestartPolicy,
    ServerGone,
    ServerRestarted,
    Subprocess,
    ThreadLost,
    TurnLost,
    tool,
    types,
)
from appserver.testing import Gate, function_call, output, stalled, text
from tests.client.test_connection import ODD_SERVER
from tests.processes import kill_by_id

if TYPE_CHECKING:
    from pathlib import Path

    from appserver.testing import FakeBackend
    from tests.client.conftest import Connect

pytestmark = pytest.mark.anyio

ROUNDS = int(os.environ.get("APPSERVER_RESTART_ROUNDS", "3"))

OFTEN = RestartPolicy(times=2 * ROUNDS + 10, first_delay=0.01, longest_delay=0.01)
AT_ONCE = RestartPolicy(first_delay=0.01)


def kill(server: AsyncAppServer) -> None:
    """End the server as the kernel does when memory runs out."""
    assert server.process_id is not None
    kill_by_id(server.process_id)


async def test_the_next_turn_works_however_often_the_server_is_killed(connect: Connect, backend: FakeBackend) -> None:
    async with connect(restart=OFTEN) as server:
        thread = await server.threads.start()
        for number in range(ROUNDS):
            # By turns: while it is idle, in the middle of an answer, and the next turn sent before we notice.
            if number % 2:
                gate = Gate()
                backend.script(stalled(gate, "Hel"))
                turn = await thread.turn(f"lost {number}")
                await gate.reached.wait()
                kill(server)
                with pytest.raises(TurnLost) as lost:
                    await turn.run()
                assert (lost.value.thread_id, lost.value.turn_id) == (thread.id, turn.id)
            else:
                kill(server)
            assert (await thread.run(f"round {number}")).final_response == f"You said: round {number}"
        read = (await thread.read(include_turns=True)).thread.turns
    assert [turn.status for turn in read].count("completed") == ROUNDS
    assert [turn.status for turn in read].count("interrupted") == ROUNDS // 2
    assert "round 0" in backend.requests[-1].body.decode()  # the history goes on


async def test_what_was_lost_is_told(connect: Connect, backend: FakeBackend) -> None:
    async with connect(restart=AT_ONCE) as server, server.notifications(ServerRestarted) as told:
        kept, passing = await server.threads.start(), await server.threads.start(ephemeral=True)
        await passing.run("Hello")
        backend.script(stalled(Gate(), "Hel"))
        turn = await kept.turn("Hello")
        kill(server)
        note = await told.next()
        assert "exit code" in note.why or sys.platform == "win32"
        assert [(lost.thread_id, lost.turn_id) for lost in note.lost_turns] == [(kept.id, turn.id)]
        assert note.lost_threads == (passing.id,)
        with pytest.raises(ThreadLost):
            await passing.run("Again")
        with pytest.raises(TurnLost):
            await turn.run()


async def test_streams_and_tools_go_on_with_the_next_server(connect: Connect, backend: FakeBackend) -> None:
    @tool
    def lookup(ticket: str) -> str:
        """Look up a ticket."""
        return f"{ticket} is open"

    async with connect(restart=AT_ONCE) as server, server.notifications(types.TurnCompletedNotification) as ends:
        thread = await server.threads.start(tools=[lookup])
        kill(server)
        backend.script(output(function_call("lookup", {"ticket": "A"})), text("It is open."))
        assert (await thread.run("Is A open?")).final_response == "It is open."
        assert (await ends.next()).thread_id == thread.id
    assert "A is open" in backend.requests[-1].body.decode()


async def test_a_stored_login_is_found_again(connect: Connect) -> None:
    async with connect(restart=AT_ONCE, token_provider=None) as server:
        await server.account.login_api_key("sk-test-key")
        thread = await server.threads.start()
        kill(server)
        assert (await thread.run("Hello")).final_response == "You said: Hello"


async def test_requests_that_only_read_are_sent_again_and_others_are_told_as_lost(tmp_path: Path) -> None:
    # A server that dies on the first request of its life, and on the second answers.
    mark = tmp_path / "mark"
    dies = f"""
import os
request = receive()
if not os.path.exists({str(mark)!r}):
    open({str(mark)!r}, "w").close()
    sys.exit(3)
send(id=request["id"], result={{"data": [], "nextCursor": None}}); sys.stdin.read()
"""
    attachment = Subprocess([sys.executable, "-c", ODD_SERVER + dies])
    async with AsyncAppServer(attachment, restart=AT_ONCE) as server:
        assert (await server.models.list()).data == []
    mark.unlink()
    async with AsyncAppServer(attachment, restart=AT_ONCE) as server:
        with pytest.raises(RequestLost) as lost:
            await server.account.logout()
    assert lost.value.method == "account/logout"


async def test_a_turn_that_had_begun_is_not_sent_twice(connect: Connect, backend: FakeBackend) -> None:
    gate = Gate()
    async with connect(restart=AT_ONCE) as server:
        thread = await server.threads.start()
        backend.script(stalled(gate, "Hel"))
        errors: list[TurnLost] = []

        async def start() -> None:
            try:
                await thread.run("only once")
            except TurnLost as exc:
                errors.append(exc)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(start)
            await gate.reached.wait()
            kill(server)
        read = (await thread.read(include_turns=True)).thread.turns
    assert [turn.status for turn in read] == ["interrupted"]
    assert [error.turn_id for error in errors] == [read[0].id]


async def test_a_server_that_dies_again_and_again_is_given_up_with_the_reason() -> None:
    command = [sys.executable, "-c", ODD_SERVER + "sys.exit(3)"]
    policy = RestartPolicy(times=2, first_delay=0.01)
    async with AsyncAppServer(Subprocess(command), restart=policy) as server, server.notifications() as stream:
        with pytest.raises(ServerGone, match="exit code 3"):
            [note async for note in stream]
        with pytest.raises(ServerGone, match="exit code 3"):
            await server.request("account/read")
        async with server.notifications() as late:
            with pytest.raises(ServerGone):
                await late.next()


async def test_a_provider_that_fails_at_the_restart_is_asked_again(connect: Connect, backend: FakeBackend) -> None:
    answers = [None, LookupError("no vault"), None]

    def provide(request: object) -> str:
        if failure := answers.pop(0):
            raise failure
        return backend.grant().access_token

    async with connect(restart=AT_ONCE, token_provider=provide) as server:
        thread = await server.threads.start()
        kill(server)
        assert (await thread.run("Hello")).final_response == "You said: Hello"
    assert answers == []


async def test_without_a_policy_a_lost_server_stays_lost(connect: Connect, backend: FakeBackend) -> None:
    gate = Gate()
    backend.script(stalled(gate, "Hel"))
    async with connect() as server:
        thread = await server.threads.start()
        turn = await thread.turn("Hello")
        kill(server)
        with pytest.raises(TurnLost):
            await turn.run()
        with pytest.raises(ServerGone):
            await thread.run("Hello")


async def test_ending_while_a_restart_waits_does_not_wait_for_it() -> None:
    command = [sys.executable, "-c", ODD_SERVER + "sys.exit(3)"]
    policy = RestartPolicy(first_delay=600, longest_delay=600)
    async with AsyncAppServer(Subprocess(command), restart=policy) as server:
        with anyio.fail_after(60):
            while server._supervisor._connection is None or len(server._supervisor._restarts) < 2:
                await anyio.lowlevel.checkpoint()


def test_delays_grow_up_to_a_bound() -> None:
    policy = RestartPolicy(first_delay=0.1, longest_delay=0.3)
    assert [policy.delay(before) for before in range(5)] == [0.0, 0.1, 0.2, 0.3, 0.3]
