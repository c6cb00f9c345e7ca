"""The stderr of a serving process: lines of one form, and no way to stop the server by not reading them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import anyio
import pytest

from tests.e2e.run import (
    HELLO,
    WAIT_SECONDS,
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
from tests.e2e.test_output import run_turns
from tests.log_form import FORM, strange_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from appserver.testing import FakeBackend

pytestmark = pytest.mark.anyio

IGNORED = lines(*({"id": f"nobody-asked-{number}", "result": {}} for number in range(20_000)))

starting_threads_at_the_end = pytest.mark.skipif(
    sys.version_info[:2] == (3, 12) and sys.version_info < (3, 12, 2),
    reason="no thread can be started there while the interpreter waits for others (python/cpython#113964)",
)
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="there is no /dev/full, and pipes cannot be opened again")


@pytest.fixture(params=["pipe", "socket"])
def stderr_ends(request: pytest.FixtureRequest) -> Iterator[tuple[int, int]]:
    """The parent's descriptor, and the process's. Node gives its children sockets."""
    if request.param == "pipe":
        ends = os.pipe()
    else:
        one, other = socket.socketpair()
        ends = one.detach(), other.detach()
    yield ends
    for fd in ends:
        os.close(fd)


async def test_a_parent_that_does_not_read_stderr_stops_nothing(home: Path, stderr_ends: tuple[int, int]) -> None:
    environ = {"APPSERVER_HOME": str(home), "APPSERVER_LOG": "debug"}
    async with started(environ, stderr=stderr_ends[1]) as process, anyio.create_task_group() as group:
        group.start_soon(send, process, lines(HELLO) + IGNORED + lines(request(1, "account/rateLimits/read")))
        output = await read_until(process, b'"id":1')
        assert {one["id"] for one in decoded(output)} == {0, 1}
        await send(process, IGNORED + lines(request(2, "account/read")))  # the event loop's turn, now
        await read_until(process, b'"id":2')
        await end_of_input(process)
        assert await exit_code(process) == 0
    assert sys.platform == "win32" or os.get_blocking(stderr_ends[1]), "it is the parent's end, too"


async def test_a_parent_that_reads_late_learns_what_it_has_missed_and_the_last_lines(home: Path) -> None:
    environ = {"APPSERVER_HOME": str(home)}
    async with started(environ, stderr=subprocess.PIPE) as process:
        await send(
            process, lines(HELLO) + IGNORED + lines({"id": "the-last", "result": {}}, request(1, "account/read"))
        )
        await read_until(process, b'"id":1')
        await end_of_input(process)
        assert process.stderr is not None
        with anyio.fail_after(WAIT_SECONDS):
            told = b"".join([chunk async for chunk in process.stderr]).decode()
        assert await exit_code(process) == 0
    assert strange_lines(told) == []
    assert "'the-last'" in told.splitlines()[-1]
    assert "log lines were dropped" in told


async def test_every_line_has_the_form_at_every_level(backend: FakeBackend, home: Path, tmp_path: Path) -> None:
    log = tmp_path / "stderr"
    environ = {**backend.environ(home), "APPSERVER_LOG": "trace"}
    with log.open("wb") as stderr:
        async with started(environ, stderr=stderr) as process:
            await send(process, b"garbage\n\xff\n" + lines({"id": "early\u2028", "result": {}}))
            await run_turns(process, [backend.grant().access_token])
            await send(process, lines({"id": "late\n", "result": {}}))
            await end_of_input(process)
            await rest_of_output(process)
            assert await exit_code(process) == 0
    told = log.read_text("utf-8")
    assert strange_lines(told) == []
    assert told.count("nobody waits for") == 2


async def test_every_line_is_an_object_where_json_is_asked_for(
    backend: FakeBackend, home: Path, tmp_path: Path
) -> None:
    log = tmp_path / "stderr"
    environ = {**backend.environ(home), "APPSERVER_LOG": "trace"}
    with log.open("wb") as stderr:
        async with started(environ, "app-server", "--log-format", "json", stderr=stderr) as process:
            await send(process, b"garbage\n\xff\n" + lines({"id": "early\u2028", "result": {}}))
            await run_turns(process, [backend.grant().access_token])
            await send(process, lines({"id": "late\n", "result": {}}))
            await end_of_input(process)
            await rest_of_output(process)
            assert await exit_code(process) == 0
    told = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    assert all({"time", "level", "target", "message"} <= line.keys() for line in told)
    ignored = [line for line in told if "nobody waits for" in line["message"]]
    assert [line["connection"] for line in ignored] == [1, 1]


@pytest.mark.parametrize(
    ("arguments", "environ"),
    [
        (["--log-format", "json"], {}),
        (["--log-format=json"], {}),
        (["app-server", "--log-format", "json", "--listen", "stdio://"], {"APPSERVER_LOG_FORMAT": "text"}),
        ([], {"APPSERVER_LOG_FORMAT": "json"}),
        ([], {"LOG_FORMAT": "json"}),
    ],
)
def test_json_can_be_asked_for_in_each_of_these_ways(
    arguments: list[str], environ: dict[str, str], tmp_path: Path
) -> None:
    done = run(*arguments, environ={"APPSERVER_HOME": str(tmp_path), **environ}, stdin=lines({"id": "x", "result": {}}))
    assert [json.loads(line)["level"] for line in done.stderr.splitlines()] == ["WARN"]


def test_a_mistake_in_the_configuration_is_told_in_json_too(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("model = [", "utf-8")
    done = run("--strict-config", "--log-format", "json", environ={"APPSERVER_HOME": str(tmp_path)})
    assert "config.toml" in json.loads(done.stderr)["message"]
    assert done.returncode == 2


def test_another_form_is_refused(tmp_path: Path) -> None:
    done = run("--log-format", "xml", environ={"APPSERVER_HOME": str(tmp_path)})
    assert (done.returncode, b"--log-format" in done.stderr) == (2, True)


@pytest.mark.parametrize(("level", "told"), [("error", False), ("warn", True), ("info,foo=debug", True), ("", True)])
@pytest.mark.parametrize("variable", ["APPSERVER_LOG", "RUST_LOG"])
def test_the_level_holds_from_the_first_line_on(variable: str, level: str, told: bool, tmp_path: Path) -> None:
    environ = {"APPSERVER_HOME": str(tmp_path), "APPSERVER_LOG": "", "RUST_LOG": "", variable: level}
    done = run(environ=environ, stdin=lines(HELLO, {"id": "x", "result": {}}))
    assert (b"nobody waits for" in done.stderr) is told


@on_linux
async def test_a_stderr_that_takes_nothing_is_no_harm(home: Path) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    async with started({"APPSERVER_HOME": str(home)}, stderr=full) as process:
        os.close(full)
        await send(process, lines(HELLO) + IGNORED + lines(request(1, "account/rateLimits/read")))
        await read_until(process, b'"id":1')
        await end_of_input(process)
        assert await exit_code(process) == 0


async def test_a_reader_of_stderr_that_goes_away_is_no_harm(home: Path) -> None:
    ours, theirs = os.pipe()
    async with started({"APPSERVER_HOME": str(home)}, stderr=theirs) as process:
        os.close(theirs)
        await send(process, lines(HELLO, {"id": "x", "result": {}}))
        await read_until(process, b'"id":0')
        os.close(ours)
        await send(process, IGNORED + lines(request(1, "account/rateLimits/read")))
        await read_until(process, b'"id":1')
        await end_of_input(process)
        assert await exit_code(process) == 0


# Serves nobody, but has claimed what a serving process claims.
CLAIMED = """
import faulthandler, os, sys, threading, warnings
from appserver.stderr import claim_stderr
from appserver.transport.stdio import Stdio
stdio = Stdio.claim(1024)
stderr = claim_stderr("warn")
"""


def claimed(
    code: str, stdout: int = subprocess.PIPE, stderr: int = subprocess.PIPE
) -> subprocess.CompletedProcess[bytes]:
    """Run this in such a process."""
    return subprocess.run(
        [sys.executable, "-c", CLAIMED + code],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        timeout=WAIT_SECONDS,
        check=False,
    )


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("print('one'); print('two', end='')\nprint()", ["WARN stdout: one", "WARN stdout: two"]),
        ("print('in', 'pieces', 5, flush=True)", ["WARN stdout: in pieces 5"]),
        ("sys.stdout.buffer.write(b'bytes \\xff\\r\\n')", ["WARN stdout: bytes \ufffd"]),
        ("sys.__stderr__.write('one\\n\\n  \\ntwo\\n')", ["WARN stderr: one", "WARN stderr: two"]),
        ("sys.stdout.writelines(['a\\n', 'b\\n'])", ["WARN stdout: a", "WARN stdout: b"]),
        ("print('key sk-abcdef123456')", ["WARN stdout: key ***"]),
        ("print('\\udc80')", ["WARN stdout: \\udc80"]),
    ],
)
def test_what_is_printed_is_logged(code: str, told: list[str]) -> None:
    done = claimed(code)
    assert done.stdout == b""
    assert [line.partition(" ")[2] for line in done.stderr.decode().splitlines()] == told


@pytest.mark.parametrize(
    "code",
    [
        "warnings.warn('careful')",
        pytest.param("threading.Thread(target=lambda: 1 / 0).start()", marks=starting_threads_at_the_end),
        "import traceback; traceback.print_stack()",
        "class Broken:\n    def __del__(self): 1 / 0\nBroken()",
        "import logging; logging.getLogger().error('%d', 'no number')",
    ],
)
def test_what_python_prints_has_the_form_too(code: str) -> None:
    done = claimed(code)
    assert done.stderr
    assert strange_lines(done.stderr.decode()) == []


def test_the_error_that_ends_the_process_is_its_last_line() -> None:
    done = claimed("raise ValueError('the\\nend')")
    assert done.returncode == 1
    *_, last = done.stderr.decode().splitlines()
    assert FORM.fullmatch(last)
    assert " ERROR appserver: " in last
    assert last.endswith("ValueError: the\\nend")


FLOOD = "for number in range(50_000): print('line', number)\n"


@pytest.mark.parametrize(
    "code",
    [FLOOD, f"{FLOOD}raise ValueError('the end')", f"{FLOOD}stderr.close(); os._exit(0)"],
    ids=["end", "error", "_exit"],
)
def test_a_process_whose_prints_nobody_reads_ends_all_the_same(code: str) -> None:
    ours, theirs = os.pipe()
    try:
        claimed(code, stdout=subprocess.DEVNULL, stderr=theirs)
    finally:
        os.close(ours)
        os.close(theirs)


@on_linux
@pytest.mark.parametrize(
    "code",
    [
        "faulthandler.dump_traceback(2)",
        "os.write(2, bytes(100_000))",
        "os.system('head -c 100000 /dev/zero >&2')",
        "faulthandler.enable(2); faulthandler._sigsegv()",
    ],
)
def test_what_is_written_past_python_to_a_full_pipe_does_not_wait_either(code: str) -> None:
    ours, theirs = os.pipe()
    fill = (
        f"try: os.write(2, bytes(1_000_000))\nexcept BlockingIOError: pass\ntry: {code}\nexcept BlockingIOError: pass\n"
    )
    try:
        claimed(fill, stdout=subprocess.DEVNULL, stderr=theirs)
        assert sys.platform == "win32" or os.get_blocking(theirs), "it is the parent's end, too"
    finally:
        os.close(ours)
        os.close(theirs)
