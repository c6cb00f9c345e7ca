"""Runs commands as a person does: real processes, on the home of a test. No token may show in what they write."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio

from tests.processes import kill

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from anyio.abc import Process

WAIT_SECONDS = 30.0
"""What a test waits for a command: long enough for a loaded machine."""

TOKENS = ("id_token", "access_token", "refresh_token")


class Done(NamedTuple):
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever it wrote
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


class Running:
    """A command under way."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.out = ""

    async def shows(self, pattern: str) -> str:
        """Wait until stdout has the pattern and return its group."""
        assert self.process.stdout is not None
        with anyio.fail_after(WAIT_SECONDS):
            while (found := re.search(pattern, self.out, re.MULTILINE)) is None:
                self.out += (await self.process.stdout.receive()).decode()
        return found[1]

    async def type(self, line: str) -> None:
        """Write a line to its stdin."""
        assert self.process.stdin is not None
        await self.process.stdin.send(f"{line}\n".encode())

    async def complains(self, pattern: str) -> None:
        """Wait until stderr has the pattern."""
        assert self.process.stderr is not None
        seen = ""
        with anyio.fail_after(WAIT_SECONDS):
            while not re.search(pattern, seen):
                seen += (await self.process.stderr.receive()).decode()

    async def done(self) -> Done:
        """Wait for its end."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        with anyio.fail_after(WAIT_SECONDS):
            self.out += b"".join([chunk async for chunk in self.process.stdout]).decode()
            err = b"".join([chunk async for chunk in self.process.stderr]).decode()
            return Done(await self.process.wait(), self.out, err)


class CommandLine:
    """Runs `appserver` on the home of this test."""

    def __init__(self, home: Path, environ: dict[str, str]) -> None:
        self.home = home
        self.environ = environ

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "appserver", *words]

    async def __call__(self, *words: str, stdin: bytes = b"", **environ: str) -> Done:
        """Run to the end."""
        secrets = set(secrets_in(self.home))
        with anyio.fail_after(WAIT_SECONDS):
            ended = await anyio.run_process(
                self.command(*words), input=stdin, check=False, env={**self.environ, **environ}
            )
        done = Done(ended.returncode, text_of(ended.stdout), text_of(ended.stderr))
        secrets |= set(secrets_in(self.home))
        assert not any(secret in done.out + done.err for secret in secrets)
        assert "Traceback" not in done.err
        return done

    @asynccontextmanager
    async def started(self, *words: str, **environ: str) -> AsyncIterator[Running]:
        """Run beside the test; it is ended with the block."""
        process = await anyio.open_process(
            self.command(*words), stderr=subprocess.PIPE, env={**self.environ, **environ}
        )
        try:
            yield Running(process)
        finally:
            await kill(process)

    @property
    def stored(self) -> Any:  # noqa: ANN401 - what auth.json holds
        return json.loads((self.home / "auth.json").read_bytes())


def text_of(data: bytes) -> str:
    return data.decode().replace("\r\n", "\n")


def secrets_in(home: Path) -> Iterator[str]:
    """Everything in auth.json that nobody must see."""
    try:
        document = json.loads((home / "auth.json").read_bytes())
    except (OSError, ValueError):
        return
    tokens = document.get("tokens") or {}
    for value in (document.get("OPENAI_API_KEY"), *map(tokens.get, TOKENS)):
        if value:
            yield value
