"""The client against the real daemon as a subprocess; odd servers are played by a few lines of Python."""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from appserver import client as public
from appserver.client import AppServer, ServerError, ServerGone, StreamOverflow, TurnFailed, connection, process
from appserver.client.streams import Notification, NotificationStream
from appserver.testing import Gate, http_error, message, output, reasoning, stalled, text

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from appserver.testing import FakeBackend

pytestmark = pytest.mark.anyio

REFRESH = "account/chatgptAuthTokens/refresh"

DEEP: list[object] = []
for _ in range(100_000):
    DEEP = [DEEP]

ODD_SERVER = """
import json, sys
def send(**message): sys.stdout.write(json.dumps(message) + "\\n"); sys.stdout.flush()
def receive(): return json.loads(sys.stdin.readline())
send(id=receive()["id"], result={}); receive()
"""


@pytest.fixture
def daemon(home: Path, backend: FakeBackend) -> AbstractAsyncContextManager[AppServer]:
    return AppServer.spawn(env={**os.environ, **backend.environ(home)}, client_info={"name": "app", "version": "7"})


def odd(*lines: str) -> AbstractAsyncContextManager[AppServer]:
    """Start a server that shakes hands and then does this."""
    return AppServer.spawn([sys.executable, "-c", ODD_SERVER + "\n".join(lines)])


async def sign_in(server: AppServer, backend: FakeBackend) -> str:
    """Sign in with external tokens and return the id of a new thread."""
    params = {"type": "chatgptAuthTokens", "accessToken": backend.grant().access_token}
    await server.request("account/login/start", params)
    thread_id: str = (await server.request("thread/start", {}))["thread"]["id"]
    return thread_id


async def test_the_handshake_tells_who_the_server_is(
    daemon: AbstractAsyncContextManager[AppServer], home: Path
) -> None:
    async with daemon as server:
        assert server.info["codexHome"] == str(home)
        assert server.info["userAgent"].startswith("app/")


async def test_capabilities_go_into_the_handshake(home: Path, backend: FakeBackend) -> None:
    unwanted = {"optOutNotificationMethods": ["item/agentMessage/delta"]}
    async with AppServer.spawn(env={**os.environ, **backend.environ(home)}, capabilities=unwanted) as server:
        thread_id = await sign_in(server, backend)
        methods = [note.method async for note in server.run_turn(thread_id, "Hello")]
    assert "item/completed" in methods
    assert "item/agentMessage/delta" not in methods


async def test_an_error_answer_is_raised_with_its_code(daemon: AbstractAsyncContextManager[AppServer]) -> None:
    async with daemon as server:
        with pytest.raises(ServerError) as refused:
            await server.request("no/such/method")
    assert refused.value.code == -32601
    assert "no/such/method" in refused.value.message


async def test_error_data_is_kept(daemon: AbstractAsyncContextManager[AppServer], backend: FakeBackend) -> None:
    gate = Gate()
    backend.script(stalled(gate, "Hel"))
    async with daemon as server:
        thread_id = await sign_in(server, backend)
        turn = {"threadId": thread_id, "input": [{"type": "text", "text": "Hello"}]}
        active = (await server.request("turn/start", turn))["turn"]["id"]
        with pytest.raises(ServerError) as refused:
            await server.request("turn/interrupt", {"threadId": thread_id, "turnId": "another"})
        gate.release()
    assert refused.value.data == {"activeTurnId": active}


async def test_a_turn_streams_to_its_completion(
    daemon: AbstractAsyncContextManager[AppServer], backend: FakeBackend
) -> None:
    backend.script(text("Hel", "lo", "!"))
    async with daemon as server:
        thread_id = await sign_in(server, backend)
        notes = [note async for note in server.run_turn(thread_id, "Hello")]
    assert [it.params["delta"] for it in notes if it.method == "item/agentMessage/delta"] == ["Hel", "lo", "!"]
    assert notes[-1].method == "turn/completed"
    assert all(note.params["threadId"] == thread_id for note in notes)


async def test_complete_turn_returns_the_last_message_and_passes_parameters_on(
    daemon: AbstractAsyncContextManager[AppServer], backend: FakeBackend
) -> None:
    backend.script(output(reasoning("hm"), message("First. "), message("The ", "end.")))
    async with daemon as server:
        thread_id = await sign_in(server, backend)
        assert await server.complete_turn(thread_id, "Hello", model="other-model") == "The end."
    assert backend.requests.to("/v1/responses")[0].json()["model"] == "other-model"


async def test_a_failed_turn_is_raised_with_its_facts(
    daemon: AbstractAsyncContextManager[AppServer], backend: FakeBackend
) -> None:
    backend.script(http_error(400, {"error": {"message": "no such thing", "code": "bad"}}))
    async with daemon as server:
        thread_id = await sign_in(server, backend)
        with pytest.raises(TurnFailed) as failed:
            await server.complete_turn(thread_id, "Hello")
        assert await server.complete_turn(thread_id, "Again") == "You said: Again"
    assert failed.value.turn["status"] == "failed"
    assert failed.value.info is not None
    assert failed.value.message == failed.value.turn["error"]["message"]


async def test_a_turn_that_takes_too_long_is_a_timeout(
    daemon: AbstractAsyncContextManager[AppServer], backend: FakeBackend
) -> None:
    gate = Gate()
    backend.script(stalled(gate, "Hel"))
    async with daemon as server:
        thread_id = await sign_in(server, backend)
        with pytest.raises(TimeoutError):
            await server.complete_turn(thread_id, "Hello", timeout=0.3)
        gate.release()


async def test_turns_side_by_side_do_not_mix(
    daemon: AbstractAsyncContextManager[AppServer], backend: FakeBackend
) -> None:
    said: dict[int, str] = {}

    async with daemon as server:
        await sign_in(server, backend)

        async def run(number: int) -> None:
            thread = (await server.request("thread/start", {}))["thread"]
            said[number] = await server.complete_turn(thread["id"], f"number {number}")

        async with anyio.create_task_group() as tasks:
            for number in range(16):
                tasks.start_soon(run, number)
    assert said == {number: f"You said: number {number}" for number in range(16)}


async def test_the_servers_request_is_answered_by_the_handler(
    daemon: AbstractAsyncContextManager[AppServer], backend: FakeBackend
) -> None:
    asked: list[dict[str, Any]] = []

    async def fresh_tokens(params: dict[str, Any]) -> dict[str, Any]:
        asked.append(params)
        return {"accessToken": backend.grant().access_token}

    async with daemon as server:
        server.on_request(REFRESH, fresh_tokens)
        thread_id = await sign_in(server, backend)
        backend.expire_access_tokens()
        assert await server.complete_turn(thread_id, "Hello") == "You said: Hello"
    assert asked == [{"reason": "unauthorized", "previousAccountId": "org-1"}]


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (ServerError(-32055, "the vault is sealed"), "the vault is sealed"),
        (public.TurnFailed("sealed", {}), "sealed"),
        (LookupError("no vault"), "no vault"),
        (LookupError(), "LookupError"),
    ],
)
async def test_what_a_handler_raises_reaches_the_turns_error(
    daemon: AbstractAsyncContextManager[AppServer],
    backend: FakeBackend,
    failure: Exception,
    told: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail(_: dict[str, Any]) -> None:
        raise failure

    async with daemon as server:
        server.on_request(REFRESH, fail)
        thread_id = await sign_in(server, backend)
        backend.expire_access_tokens()
        with pytest.raises(TurnFailed) as failed:
            await server.complete_turn(thread_id, "Hello")
    assert told in failed.value.message
    assert [it.levelno for it in caplog.records if it.name.startswith("appserver.client")] == (
        [logging.ERROR] if isinstance(failure, LookupError) else []
    )


async def test_a_request_without_a_handler_is_answered_with_method_not_found() -> None:
    async with (
        odd(
            'send(id="q", method="no/handler", params={})',
            "answer = receive()",
            'send(method="seen", params=answer)',
            "receive()",
        ) as server,
        server.notifications("seen") as stream,
    ):
        assert (await stream.next()).params == {
            "id": "q",
            "error": {"code": -32601, "message": "Method not found: no/handler"},
        }


async def test_a_stream_has_only_the_methods_it_asked_for(
    daemon: AbstractAsyncContextManager[AppServer], backend: FakeBackend
) -> None:
    async with daemon as server, server.notifications("account/updated") as updates:
        await sign_in(server, backend)
        assert await updates.next() == ("account/updated", {"authMode": "chatgptAuthTokens", "planType": "pro"})
        await server.request("account/logout")
        assert (await updates.next()).params["authMode"] is None
        with pytest.raises(TimeoutError, match="account/updated: none within"):
            await updates.next(timeout=0.05)


async def test_a_line_of_many_megabytes_arrives() -> None:
    async with odd(
        "request = receive()", 'send(id=request["id"], result="x" * 20_000_000)', "sys.stdin.readline()"
    ) as server:
        assert len(await server.request("big")) == 20_000_000


async def test_what_is_no_message_is_passed_over_and_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with odd(
        "request = receive()",
        r'sys.stdout.write("Loading secret...\n[]\n{}\n")',
        'send(id=request["id"], result="fine")',
        "sys.stdin.readline()",
    ) as server:
        assert await server.request("any") == "fine"
    assert len(caplog.records) == 3
    assert "secret" not in caplog.text


async def test_a_malformed_error_is_still_an_error() -> None:
    async with odd('send(id=receive()["id"], error="broken")', "sys.stdin.readline()") as server:
        with pytest.raises(ServerError, match="broken"):
            await server.request("any")


@pytest.mark.parametrize(
    "answer", [{1, 2}, DEEP, ServerError(-32000, "no", data=object())], ids=["set", "deep", "data"]
)
async def test_an_answer_that_is_not_json_becomes_an_error_reply(answer: object) -> None:
    async def handle(_: dict[str, Any]) -> object:
        if isinstance(answer, Exception):
            raise answer
        return answer

    ask = ("receive()", 'send(id=1, method="odd", params=[])', 'send(method="seen", params=receive())', "receive()")
    async with odd(*ask) as server, server.notifications() as stream:
        server.on_request("odd", handle)
        await server.notify("go")
        assert (await stream.next()).params["error"]["message"] == "The answer is not JSON"


async def test_params_by_position_disturb_nobody() -> None:
    positional = ("receive()", 'send(method="list", params=[1])', "receive()")
    async with odd(*positional) as server, server.notifications() as stream:
        await server.notify("go")
        assert await stream.next() == ("list", {})


async def test_a_vanished_server_fails_every_waiter() -> None:
    failures: list[str] = []

    async with odd("receive()", "receive()", "sys.exit(3)") as server, server.notifications() as stream:

        async def ask() -> None:
            try:
                await server.request("any")
            except ServerGone as exc:
                failures.append(exc.message)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            tasks.start_soon(ask)
        for late in (stream.next(), server.request("later"), server.notify("later")):
            with pytest.raises(ServerGone, match="exit code 3"):
                await late
        async with server.notifications() as too_late:
            with pytest.raises(ServerGone):
                await too_late.next()
    assert failures == ["The app-server has ended (exit code 3)"] * 2


async def test_a_server_that_dies_is_noticed_though_a_child_of_it_holds_its_output_open() -> None:
    async with odd(
        "import os, subprocess",
        "subprocess.Popen([sys.executable, '-c', 'import sys; sys.stdin.read()'])",  # ends when we close that
        'send(id=receive()["id"], result="the last")',
        "os._exit(3)",
    ) as server:
        assert await server.request("any") == "the last"
        with pytest.raises(ServerGone, match="exit code 3"):
            await server.request("any")


async def test_a_server_that_reads_nothing_makes_nobody_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "END_SECONDS", 0.1)
    megabytes = ["x" * 1_000_000]
    async with odd("import time", "time.sleep(600)") as server:
        for _ in range(connection.QUEUED_LINES):
            await server.notify("big", megabytes)
        await anyio.wait_all_tasks_blocked()  # the writer has taken one, and waits
        await server.notify("big", megabytes)
        with pytest.raises(TimeoutError, match=r"^big: not taken within 0\.05s$"):
            await server.notify("big", megabytes, timeout=0.05)
        with pytest.raises(TimeoutError, match=r"^bigger: no answer within 0\.05s$"):
            await server.request("bigger", megabytes, timeout=0.05)


async def test_a_server_whose_output_ends_takes_its_waiters_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "END_SECONDS", 0.1)
    async with odd("import os, time", "os.close(1)", "time.sleep(600)") as server:
        with pytest.raises(ServerGone, match="has ended"):
            await server.request("any")


@pytest.mark.parametrize(
    "turn_start",
    ["{}", "[]", "{'turn': {}}", "{'turn': {'id': 't'}}); send(method='turn/completed', params={'threadId': 'thread'}"],
)
async def test_a_turn_that_is_told_in_another_shape_is_a_fault_of_the_server(turn_start: str) -> None:
    async with odd(f'send(id=receive()["id"], result={turn_start})', "sys.stdin.read()") as server:
        with pytest.raises(ServerGone, match="does not speak the protocol: there is no turn"):
            await server.complete_turn("thread", "Hello")


async def test_a_request_without_an_answer_times_out() -> None:
    async with odd("sys.stdin.read()") as server:
        with pytest.raises(TimeoutError, match=r"^slow: no answer within 0\.05s$"):
            await server.request("slow", timeout=0.05)


async def test_an_answer_after_the_timeout_disturbs_nobody() -> None:
    async with odd(
        "first, second = receive(), receive()",
        'send(id=first["id"], result="late")',
        'send(id=second["id"], result="on time")',
        "receive()",
    ) as server:
        with pytest.raises(TimeoutError):
            await server.request("first", timeout=0.05)
        assert await server.request("second") == "on time"


async def test_a_command_that_does_not_exist_is_named() -> None:
    with pytest.raises(ServerGone, match="no-such-command could not be started"):
        async with AppServer.spawn(["no-such-command"]):
            raise AssertionError


async def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(ServerGone, match=r"could not be started in .*nowhere: "):
        async with AppServer.spawn(cwd=tmp_path / "nowhere"):
            raise AssertionError


async def test_a_server_that_ends_at_once_is_told_with_its_exit_code(home: Path, backend: FakeBackend) -> None:
    environ = {**os.environ, **backend.environ(home), "APPSERVER_LOG": "no level"}
    with pytest.raises(ServerGone, match="exit code 2"):
        async with AppServer.spawn(env=environ):
            raise AssertionError


async def test_an_exception_in_the_block_comes_out_as_it_is(daemon: AbstractAsyncContextManager[AppServer]) -> None:
    with pytest.raises(LookupError, match=r"^as it is$"):
        async with daemon:
            raise LookupError("as it is")


async def test_a_server_that_ignores_the_end_of_its_input_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "END_SECONDS", 0.1)
    monkeypatch.setattr(process, "TERMINATE_SECONDS", 0.1)
    async with (
        odd(
            "import os, signal, time",
            "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
            'send(method="pid", params={"pid": os.getpid()})',
            "time.sleep(600)",
        ) as server,
        server.notifications() as stream,
    ):
        pid = (await stream.next()).params["pid"]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_cancelling_the_block_ends_the_server(daemon: AbstractAsyncContextManager[AppServer]) -> None:
    with anyio.CancelScope() as scope:
        async with daemon:
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught


def stream_of(limit: int) -> NotificationStream:
    return NotificationStream(set(), frozenset(), None, max_buffered=limit)


async def test_a_stream_that_nobody_reads_delivers_what_it_holds_and_then_says_so() -> None:
    stream = stream_of(2)
    for number in range(4):
        stream.put(Notification("n", {"number": number}))
    assert [(await stream.next()).params["number"] for _ in range(2)] == [0, 1]
    for _ in range(2):
        with pytest.raises(StreamOverflow, match="2 notifications"):
            await stream.next()


async def test_a_stream_that_nobody_reads_delays_no_reply() -> None:
    async with (
        odd(
            "request = receive()",
            'for number in range(20_000): send(method="n", params={"number": number})',
            'send(id=request["id"], result="done")',
            "receive()",
        ) as server,
        server.notifications("n") as unread,
    ):
        assert await server.request("any") == "done"
        assert [(await unread.next()).params["number"] for _ in range(20_000)] == list(range(20_000))


async def test_concurrent_requests_arrive_whole() -> None:
    echo = 'for line in sys.stdin: request = json.loads(line); send(id=request["id"], result=len(request["params"][0]))'
    lengths: list[int] = []

    async with odd(echo) as server:

        async def ask(size: int) -> None:
            lengths.append(await server.request("length", ["x" * size]))

        async with anyio.create_task_group() as tasks:
            for size in range(0, 400_000, 20_000):
                tasks.start_soon(ask, size)
    assert sorted(lengths) == list(range(0, 400_000, 20_000))


def test_everything_public_is_exported() -> None:
    assert set(public.__all__) <= set(dir(public))
    assert json.dumps(sorted(public.__all__))


async def test_params_that_are_no_json_are_refused_before_they_are_sent(
    daemon: AbstractAsyncContextManager[AppServer],
) -> None:
    async with daemon as server:
        with pytest.raises(ValueError, match="JSON"):
            await server.request("thread/start", {"cwd": float("nan")})
        assert await server.request("account/read")
