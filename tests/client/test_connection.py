"""JSON-RPC on the client's side, against odd servers that are played by a few lines of Python."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from appserver.client import (
    AsyncAppServer,
    RequestLost,
    ServerError,
    ServerGone,
    Subprocess,
    connection,
    process,
    retries,
)
from appserver.client.connection import ServerConnection
from appserver.client.types import UnknownNotification

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

DEEP: list[object] = []
for _ in range(100_000):
    DEEP = [DEEP]

INFO = {"userAgent": "odd", "codexHome": "/", "platformFamily": "unix", "platformOs": "linux"}

ODD_SERVER = f"""
import json, sys
def send(**message): sys.stdout.write(json.dumps(message) + "\\n"); sys.stdout.flush()
def receive(): return json.loads(sys.stdin.readline())
send(id=receive()["id"], result={INFO}); receive()
"""


def odd(*lines: str) -> AsyncAppServer:
    """Start a server that shakes hands and then does this."""
    return AsyncAppServer(Subprocess([sys.executable, "-c", ODD_SERVER + "\n".join(lines)]))


async def test_a_request_without_a_handler_is_answered_with_method_not_found() -> None:
    async with (
        odd(
            'send(id="q", method="no/handler", params={})',
            "answer = receive()",
            'send(method="seen", params=answer)',
            "receive()",
        ) as server,
        server.notifications() as stream,
    ):
        assert (await stream.next()).to_wire() == {
            "id": "q",
            "error": {"code": -32601, "message": "Method not found: no/handler"},
        }


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
        assert (await stream.next()).to_wire()["error"]["message"] == "The answer is not JSON"


async def test_params_by_position_disturb_nobody() -> None:
    positional = ("receive()", 'send(method="list", params=[1])', "receive()")
    async with odd(*positional) as server, server.notifications() as stream:
        await server.notify("go")
        assert await stream.next() == UnknownNotification("list", {})


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


class SilentLink:
    """A link to a server that says nothing and stays (`attachment.Link`)."""

    process_id: int | None = None

    async def run(self) -> None:
        await anyio.sleep_forever()

    async def receive(self) -> None:
        await anyio.sleep_forever()

    async def send(self, data: bytes) -> None:
        pass

    async def end_input(self) -> None:
        pass

    async def end(self) -> None:
        pass

    async def why_ended(self, reason: str) -> str:
        return reason


async def test_a_connection_that_is_cancelled_fails_every_waiter() -> None:
    connected = ServerConnection(SilentLink(), {}, lambda *_: None)

    async def ask() -> None:
        with pytest.raises(RequestLost, match="connection was closed"):
            await connected.request("any", timeout=5)

    async with anyio.create_task_group() as asking, anyio.create_task_group() as serving:
        serving.start_soon(connected.run)
        asking.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        serving.cancel_scope.cancel()
    with pytest.raises(ServerGone, match="connection was closed"):
        await connected.notify("any")


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
        async with AsyncAppServer(Subprocess(["no-such-command"])):
            raise AssertionError


async def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(ServerGone, match=r"could not be started in .*nowhere: "):
        async with AsyncAppServer(Subprocess(cwd=tmp_path / "nowhere")):
            raise AssertionError


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
        pid = (await stream.next()).to_wire()["pid"]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_stream_that_nobody_reads_delays_no_reply() -> None:
    async with (
        odd(
            "request = receive()",
            'for number in range(20_000): send(method="n", params={"number": number})',
            'send(id=request["id"], result="done")',
            "receive()",
        ) as server,
        server.notifications() as unread,
    ):
        assert await server.request("any") == "done"
        assert [(await unread.next()).to_wire()["number"] for _ in range(20_000)] == list(range(20_000))


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


@pytest.mark.parametrize("turn_start", ["{}", "[]", "{'turn': {}}"])
async def test_a_turn_that_is_told_in_another_shape_is_a_fault_of_the_server(turn_start: str) -> None:
    async with odd(f'send(id=receive()["id"], result={turn_start})', "sys.stdin.read()") as server:
        with pytest.raises(ServerGone, match="does not speak the protocol: there is no"):
            await server.account.read()


async def test_a_server_that_says_nothing_of_itself_does_not_speak_the_protocol() -> None:
    strange = ["import json, sys", 'print(json.dumps({"id": 1, "result": {}}), flush=True)', "sys.stdin.read()"]
    with pytest.raises(ServerGone, match="there is no userAgent"):
        async with AsyncAppServer(Subprocess([sys.executable, "-c", "\n".join(strange)])):
            raise AssertionError


async def test_a_server_that_takes_longer_to_end_than_it_may_is_terminated() -> None:
    slow = "import json, signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
    command = [sys.executable, "-c", slow + ODD_SERVER + "time.sleep(600)"]
    async with AsyncAppServer(Subprocess(command, end_seconds=0.1)) as server:
        pid = server.process_id
    assert pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_request_that_is_refused_for_load_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "SHORTEST_DELAY", 0.001)
    busy = {"code": -32001, "message": "busy", "data": {"retryAfterMs": 1}}
    async with odd(
        f'for _ in range(3): send(id=receive()["id"], error={busy})',
        'send(id=receive()["id"], result="done")',
        "sys.stdin.read()",
    ) as server:
        assert await server.request("any") == "done"


async def test_a_server_that_refuses_for_long_is_told_as_overloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "SHORTEST_DELAY", 0.001)
    monkeypatch.setattr(retries, "LONGEST_DELAY", 0.001)
    busy = '{"code": -32001, "message": "busy"}'
    async with odd(f'for line in sys.stdin: send(id=json.loads(line)["id"], error={busy})') as server:
        with pytest.raises(ServerError, match="busy"):
            await server.request("any")


def test_delays_follow_what_the_server_says_up_to_a_bound() -> None:
    told = ServerError(-32001, "busy", {"retryAfterMs": 400})
    delays = [retries.delay_after(told, refusals) for refusals in range(1, retries.REFUSALS + 1)]
    for delay, longest in zip(delays, [0.4, 0.8, 1.6, *[retries.LONGEST_DELAY] * 5], strict=True):
        assert delay is not None
        assert longest / 2 <= delay <= longest
    assert retries.delay_after(told, retries.REFUSALS + 1) is None
    assert retries.delay_after(ServerError(-32600, "no"), 1) is None


async def test_streams_end_with_the_servers_output_whatever_else_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "LOST_SECONDS", 0.1)
    stuck = ("import os, time", "receive()", "os.close(1)", "time.sleep(600)")
    async with odd(*stuck) as server, server.notifications() as stream:
        pid = server.process_id
        await server.notify("go")
        with pytest.raises(ServerGone, match="has ended"):
            await stream.next()
    assert pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
