"""How the process ends: by the end of its input, by a signal, or because nobody is there any more."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from appserver.testing import Gate, stalled
from tests.e2e.run import (
    HELLO,
    PROGRAM,
    WAIT_SECONDS,
    decoded,
    end_of_input,
    exit_code,
    lines,
    read_until,
    request,
    rest_of_output,
    send,
    started,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from anyio.abc import Process

    from appserver.testing import FakeBackend
    from tests.conftest import ServerFactory

pytestmark = pytest.mark.anyio

if sys.platform == "win32":
    pytest.skip("signals, descriptors and parents are others there", allow_module_level=True)

SIGNALS = [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)]

# Everything that the event loop's first requests need has been imported when this has been answered.
WAITING = lines(HELLO, request(1, "account/rateLimits/read"))


@pytest.fixture
def environ(backend: FakeBackend, home: Path) -> dict[str, str]:
    return backend.environ(home)


@pytest.fixture
async def turn(backend: FakeBackend, environ: dict[str, str]) -> AsyncIterator[Process]:
    """A process in the middle of a turn whose model says nothing more."""
    gate = Gate()
    backend.script(stalled(gate, "Hel"))
    async with started(environ) as process:
        login = request(1, "account/login/start", type="chatgptAuthTokens", accessToken=backend.grant().access_token)
        await send(process, lines(HELLO, login, request(2, "thread/start")))
        said = decoded(await read_until(process, b'"thread/started"'))
        thread = next(one for one in said if one.get("id") == 2)["result"]["thread"]["id"]
        hello = [{"type": "text", "text": "Hello"}]
        await send(process, lines(request(3, "turn/start", threadId=thread, input=hello)))
        await read_until(process, b'"item/agentMessage/delta"')
        yield process
        gate.release()


def ended(code: int, number: int) -> bool:
    """Whether it ended by this signal: told as a shell tells it, or by the signal's own doing."""
    return code in (128 + number, -number)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"\n",
        b"garbage\n",
        lines(HELLO),
        lines(HELLO)[:-1],
        lines(HELLO, {"method": "initialized"}),
        lines(HELLO, request(1, "account/read")),
        WAITING,
    ],
    ids=["nothing", "an empty line", "garbage", "handshake", "unfinished", "initialized", "inline", "waiting"],
)
async def test_the_end_of_input_is_a_good_end_at_every_stage(sent: bytes, environ: dict[str, str]) -> None:
    async with started(environ) as process:
        await send(process, sent)
        await end_of_input(process)
        decoded(await rest_of_output(process))
        assert await exit_code(process) == 0


async def test_requests_that_came_before_the_end_are_all_answered(environ: dict[str, str]) -> None:
    methods = ["account/read", "account/rateLimits/read", "model/list", "nonsense", "thread/start"]
    asked = [request(number, methods[number % len(methods)]) for number in range(1, 301)]
    async with started(environ) as process, anyio.create_task_group() as group:
        group.start_soon(send, process, lines(HELLO, *asked, [request(301, "account/read"), 5]))
        output = await read_until(process, b'"id":0')
        await send(process, lines(request(302, "account/read")))
        await end_of_input(process)
        said = decoded(output + await rest_of_output(process))
        assert await exit_code(process) == 0
    answers = [one for entry in said for one in (entry if isinstance(entry, list) else [entry]) if "method" not in one]
    assert sorted(one["id"] for one in answers if one["id"] is not None) == list(range(303))


@pytest.mark.parametrize("missing", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_a_descriptor_that_is_missing_is_no_harm(missing: str, tmp_path: Path) -> None:
    command = ["sh", "-c", f'exec "$@" {missing}', "sh", *PROGRAM]
    environ = {**os.environ, "APPSERVER_HOME": str(tmp_path)}
    done = subprocess.run(
        command, input=lines(HELLO), env=environ, capture_output=True, timeout=WAIT_SECONDS, check=False
    )
    assert done.returncode == 0
    assert done.stderr == b""
    assert bool(done.stdout) is (missing == "2>&-")


async def test_a_session_that_ends_after_a_while_ends_well(process: ServerFactory) -> None:
    async with process() as peer:
        await peer.result("account/read")
    assert peer.process is not None
    assert peer.process.returncode == 0


async def test_a_turn_that_runs_at_the_end_of_input_is_interrupted_and_says_so(turn: Process) -> None:
    await end_of_input(turn)
    said = decoded_tail(await rest_of_output(turn))
    (completed,) = [one for one in said if one.get("method") == "turn/completed"]
    assert completed["params"]["turn"]["status"] == "interrupted"
    assert await exit_code(turn) == 0


@pytest.mark.parametrize(("number", "code"), SIGNALS)
async def test_a_turn_that_runs_at_a_signal_is_interrupted_and_says_so(
    number: signal.Signals, code: int, turn: Process
) -> None:
    turn.send_signal(number)
    assert await exit_code(turn) == code
    said = decoded_tail(await rest_of_output(turn))
    assert [one["params"]["turn"]["status"] for one in said if one.get("method") == "turn/completed"] == ["interrupted"]


@pytest.mark.parametrize(("number", "code"), SIGNALS)
async def test_a_signal_ends_an_idle_process(number: signal.Signals, code: int, environ: dict[str, str]) -> None:
    async with started(environ) as process:
        await send(process, WAITING)
        await read_until(process, b'"id":1')
        process.send_signal(number)
        assert await exit_code(process) == code


@pytest.mark.parametrize(("number", "code"), SIGNALS)
async def test_a_signal_right_after_the_handshake_ends_it_too(
    number: signal.Signals, code: int, environ: dict[str, str]
) -> None:
    async with started(environ) as process:
        await send(process, lines(HELLO))
        await read_until(process, b'"id":0')
        process.send_signal(number)
        assert ended(await exit_code(process), number), code


@pytest.mark.parametrize("number", ["INT", "HUP"])
async def test_a_signal_that_the_parent_has_it_ignore_is_ignored(number: str, environ: dict[str, str]) -> None:
    # As nohup does, and an application that is to get Ctrl-C alone.
    async with started(environ, program=["sh", "-c", f"trap '' {number}; exec \"$@\"", "sh", *PROGRAM]) as process:
        for stage in (lines(HELLO), WAITING.partition(b"\n")[2]):
            await send(process, stage)
            await read_until(process, b'"id":')
            process.send_signal(getattr(signal, f"SIG{number}"))
        await send(process, lines(request(2, "account/read")))
        await read_until(process, b'"id":2')
        await end_of_input(process)
        assert await exit_code(process) == 0


@pytest.mark.parametrize(("number", "code"), SIGNALS)
async def test_a_signal_ends_it_also_while_the_parent_does_not_read(
    number: signal.Signals, code: int, environ: dict[str, str]
) -> None:
    flood = lines(*[request(one, "x" * 5000) for one in range(2, 200)])
    async with started(environ) as process:
        await send(process, WAITING)
        await read_until(process, b'"id":1')
        await send(process, flood)  # their answers are more than a pipe holds
        process.send_signal(number)
        assert await exit_code(process) == code


async def test_the_end_of_input_ends_it_also_while_the_parent_does_not_read(environ: dict[str, str]) -> None:
    async with started(environ) as process:
        await send(process, WAITING)
        await read_until(process, b'"id":1')
        await send(process, lines(*[request(one, "x" * 5000) for one in range(2, 200)]))
        await end_of_input(process)
        assert await exit_code(process) == 0


@pytest.mark.parametrize("asked", [b"", lines(request(2, "account/read"))], ids=["idle", "writing"])
@pytest.mark.parametrize("shared", [False, True], ids=["stdout", "2>&1"])
async def test_a_closed_stdout_ends_it(shared: bool, asked: bytes, environ: dict[str, str]) -> None:
    ours, theirs = os.pipe()
    async with started(environ, stdout=theirs, stderr=theirs if shared else subprocess.DEVNULL) as process:
        os.close(theirs)
        await send(process, WAITING)
        await read_fd_until(ours, b'"id":1')
        os.close(ours)
        await send(process, asked)
        assert await exit_code(process) == 0


async def test_a_parent_at_the_other_end_of_sockets_that_dies_ends_it(environ: dict[str, str]) -> None:
    # Node gives its children sockets in place of pipes.
    ours, theirs = socket.socketpair()
    async with started(environ, stdin=theirs, stdout=theirs) as process:
        theirs.close()
        with ours:
            ours.settimeout(WAIT_SECONDS)
            ours.sendall(WAITING)
            await anyio.to_thread.run_sync(ours.recv, 1)  # and the rest stays unread
        assert await exit_code(process) == 0


# Starts the program with the descriptors that it was given, tells nobody, and lives until it is killed.
PARENT = (
    f"import subprocess, sys; subprocess.Popen({PROGRAM!r}, stdin=int(sys.argv[1]), stdout=int(sys.argv[2])).wait()"
)


@pytest.mark.parametrize(("sent", "answer"), [(WAITING, b'"id":1'), (lines(HELLO), b'"id":0')], ids=["later", "early"])
async def test_a_parent_that_vanishes_ends_it_though_somebody_else_holds_its_input(
    sent: bytes, answer: bytes, environ: dict[str, str]
) -> None:
    stdin, to_stdin = os.pipe()
    from_stdout, stdout = os.pipe()
    parent = await anyio.open_process(
        [sys.executable, "-c", PARENT, str(stdin), str(stdout)],
        env={**os.environ, **environ},
        pass_fds=(stdin, stdout),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    async with parent:
        os.close(stdin)
        os.close(stdout)
        os.write(to_stdin, sent)
        await read_fd_until(from_stdout, answer)
        parent.kill()
        await read_fd_until(from_stdout, None)
    os.close(to_stdin)
    os.close(from_stdout)


async def read_fd_until(fd: int, wanted: bytes | None) -> None:
    """Read until this comes, or (None) until nobody has the other end."""
    output = b""
    with anyio.fail_after(WAIT_SECONDS):
        while wanted is None or wanted not in output:
            await anyio.wait_readable(fd)
            chunk = os.read(fd, 65536)
            output += chunk
            if not chunk:
                break
    assert wanted is None or wanted in output


def decoded_tail(output: bytes) -> list[Any]:
    """Decode what follows the line in whose middle the reading before may have stopped."""
    return decoded(output[output.find(b"\n") + 1 :])
