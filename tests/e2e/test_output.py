"""What the process writes, and how much it holds: only the protocol on stdout, no tokens on stderr, no giant lines."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from appserver.testing import http_error
from tests.e2e.run import (
    HELLO,
    decoded,
    end_of_input,
    exit_code,
    lines,
    read_until,
    request,
    rest_of_output,
    run,
    send,
    started,
)

if TYPE_CHECKING:
    from anyio.abc import Process

    from appserver.testing import FakeBackend

pytestmark = pytest.mark.anyio

MEBIBYTE = 1024 * 1024
GIANT = b'{"id":"giant","method":"turn/start","params":{"input":"' + b"x" * (33 * MEBIBYTE) + b'"}}\n'

needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process's memory is read from /proc")


def peak_memory(process: Process) -> int:
    """Read the most memory that it ever had, in bytes."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


async def sent_a_giant(process: Process) -> dict[str, Any]:
    """Send a line of 33 MiB, see that the connection goes on, and return the answer to that line."""
    await send(process, GIANT)
    await send(process, lines(request(2, "account/read")))
    said = decoded(await read_until(process, b'"id":2'))
    assert said[-1]["result"]["account"] is None
    (refused,) = [dict(one) for one in said if one["id"] == "giant"]
    return refused


async def ready(process: Process) -> None:
    await send(process, lines(HELLO, request(1, "account/rateLimits/read")))
    await read_until(process, b'"id":1')


async def test_a_line_above_32_mib_is_refused_with_its_id_and_the_connection_goes_on(home: Path) -> None:
    async with started({"APPSERVER_HOME": str(home)}) as process:
        await ready(process)
        refused = await sent_a_giant(process)
        assert refused["error"] == {"code": -32600, "message": f"Message too large: {len(GIANT) - 1} bytes"}
        await end_of_input(process)
        assert await exit_code(process) == 0


@needs_proc
@pytest.mark.parametrize(("cap", "growth"), [(MEBIBYTE, 4 * MEBIBYTE), (32 * MEBIBYTE, 40 * MEBIBYTE)])
async def test_no_more_of_a_giant_line_is_held_than_the_cap(cap: int, growth: int, home: Path) -> None:
    async with started({"APPSERVER_HOME": str(home)}, "-c", f"appserver.max_line_bytes={cap}") as process:
        await ready(process)
        before = peak_memory(process)
        await sent_a_giant(process)
        assert peak_memory(process) - before < growth


async def test_a_giant_line_before_the_handshake_is_refused_as_well(home: Path) -> None:
    async with started({"APPSERVER_HOME": str(home)}, "-c", "appserver.max_line_bytes=1000") as process:
        await send(process, GIANT[:55] + b"y" * 2000 + b'"}}\n')
        await send(process, lines(HELLO))
        said = decoded(await read_until(process, b'"id":0'))
        assert [one["id"] for one in said] == ["giant", 0]


async def test_nothing_but_the_protocol_is_ever_on_stdout(home: Path) -> None:
    garbage = b"\xff\xfe\n[]\n5\n" + b"[" * 100_000 + b"\n" + b'{"id":1}\n'
    done = run(environ={"APPSERVER_HOME": str(home)}, stdin=garbage + lines(HELLO, request(1, "nonsense")) + garbage)
    assert done.returncode == 0
    said = decoded(done.stdout)
    assert len(said) == 12
    assert all(isinstance(one, dict) and "id" in one for one in said)


async def test_what_is_logged_in_the_first_lines_goes_to_stderr_and_is_redacted(tmp_path: Path) -> None:
    (tmp_path / "auth.json").write_text('{"OPENAI_API_KEY": 5, "auth_mode": "sk-very-secret-value"')
    reply = {"id": "sk-another-secret-value", "result": {}}
    stdin = lines(HELLO, reply, request(1, "account/read"))
    done = run(environ={"APPSERVER_HOME": str(tmp_path)}, stdin=stdin)
    assert [one["id"] for one in decoded(done.stdout)] == [0, 1]
    assert b"nobody waits for" in done.stderr
    assert b"secret-value" not in done.stderr


async def test_tokens_are_never_on_stderr_even_at_the_debug_level(
    backend: FakeBackend, home: Path, tmp_path: Path
) -> None:
    first, second = backend.grant(), backend.grant()
    backend.script(http_error(500, f"broken by {first.access_token}"))
    log = tmp_path / "stderr"
    with log.open("wb") as stderr:
        environ = {**backend.environ(home), "APPSERVER_LOG": "debug"}
        async with started(environ, stderr=stderr) as process:
            await run_turns(process, [first.access_token, second.access_token])
            await send(process, lines({"id": "rt-made-up-token", "result": first.access_token}, [1]))
            await end_of_input(process)
            decoded(await rest_of_output(process))
            assert await exit_code(process) == 0
    told = log.read_bytes()
    assert b"nobody waits for" in told
    for grant in (first, second):
        for part in grant.access_token.split("."):
            assert part.encode() not in told
    assert b"made-up-token" not in told


async def run_turns(process: Process, tokens: list[str]) -> None:
    """Sign in and run a turn with each of these tokens."""
    await send(process, lines(HELLO, request("thread", "thread/start")))
    output = await read_until(process, b'"thread/started"')
    thread = next(one for one in decoded(output) if one.get("id") == "thread")["result"]["thread"]["id"]
    for number, token in enumerate(tokens):
        login = request(f"login-{number}", "account/login/start", type="chatgptAuthTokens", accessToken=token)
        turn = request(f"turn-{number}", "turn/start", threadId=thread, input=[{"type": "text", "text": "Hello"}])
        await send(process, lines(login, turn))
        output = await read_until(process, b'"turn/completed"')
