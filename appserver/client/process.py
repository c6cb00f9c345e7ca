"""The server as a process of ours: started with pipes, and ended within bounds, whatever it does.

The way down is a ladder: close its input, wait END_SECONDS, terminate, wait TERMINATE_SECONDS, kill. Knows nothing of
what is spoken over the pipes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import anyio

from appserver.client.errors import ServerGone
from appserver.transport.base import TransportClosed
from appserver.transport.framing import LineSplitter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from anyio.abc import Process

    from appserver.transport.framing import Line

END_SECONDS: Final = 55.0
"""After the end of its input the server winds down within 4 seconds, but for an answer that an issuer owes it, which
comes once and within 45; the rest is for a loaded machine."""

LOST_SECONDS: Final = 5.0
"""What a process gets instead that has closed its output: there is nothing more that it could say."""

TERMINATE_SECONDS: Final = 2.0
"""What SIGTERM gets before SIGKILL."""

KILL_SECONDS: Final = 5.0
"""A killed process is gone at once, unless the system itself is stuck; then we leave it."""

EXIT_CODE_SECONDS: Final = 1.0
"""Between the end of its output and the end of a process."""

LAST_OUTPUT_SECONDS: Final = 2.0
"""What the last lines of a process that has ended get to be read. No more than a pipe holds is left of them."""

CHUNK_BYTES: Final = 64 * 1024

MAX_LINE_BYTES: Final = 256 * 1024 * 1024
"""Beyond this a line is no message: nothing that the server sends comes near it."""

StrPath = str | os.PathLike[str]

_CLOSED: Final = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)


@dataclass(frozen=True)
class Subprocess:
    """Start the server as a subprocess, and speak with it over its stdin and stdout.

    command: the server of this installation if left out. home: its home directory. config: `key=value` overrides of
    config.toml; they are visible in the process list. env: variables to add to ours, or to take away (None). stderr: as
    of `subprocess.Popen`; the server's log goes to ours if left out. end_seconds: what it gets to end by itself before
    it is terminated.
    """

    command: Sequence[str] | None = None
    home: StrPath | None = None
    config: Sequence[str] = ()
    env: Mapping[str, str | None] | None = None
    cwd: StrPath | None = None
    stderr: int | IO[bytes] | None = None
    end_seconds: float | None = None

    async def open(self) -> ProcessLink:
        """Start the process. Raises ServerGone if that is not possible."""
        command = [*(self.command or default_command()), *(word for one in self.config for word in ("-c", one))]
        home = {} if self.home is None else {"APPSERVER_HOME": os.fspath(self.home)}
        environ = {
            name: value for name, value in {**os.environ, **(self.env or {}), **home}.items() if value is not None
        }
        try:
            with anyio.CancelScope(shield=True):  # what is cut short while it starts would never be waited for
                process = await anyio.open_process(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self.stderr,
                    env=environ,
                    cwd=self.cwd,
                )
        except OSError as exc:
            where = f" in {self.cwd}" if self.cwd is not None and str(exc.filename) == str(self.cwd) else ""
            raise ServerGone(f"{command[0]} could not be started{where}: {exc.strerror}") from exc
        return ProcessLink(process, END_SECONDS if self.end_seconds is None else self.end_seconds)


class ProcessLink:
    """The pipes of a process (`attachment.Link`)."""

    def __init__(self, process: Process, end_seconds: float) -> None:
        assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018 - pipes were asked for
        self.process_id: int | None = process.pid
        self._process = process
        self._output, self._input = process.stdout, process.stdin
        self._end_seconds = end_seconds
        self._splitter = LineSplitter(MAX_LINE_BYTES)

    async def run(self) -> None:
        """Wait for the process to end, and a little for its last output: a process of its own may hold that open."""
        await self._process.wait()
        await anyio.sleep(LAST_OUTPUT_SECONDS)

    async def receive(self) -> list[Line] | None:
        """Wait for bytes and return the lines they complete; None: the server sends no more."""
        try:
            return self._splitter.feed(await self._output.receive(CHUNK_BYTES))
        except _CLOSED:
            self._end_seconds = min(self._end_seconds, LOST_SECONDS)
            return None

    async def send(self, data: bytes) -> None:
        """Write all of data. Raises TransportClosed."""
        try:
            await self._input.send(data)
        except _CLOSED as exc:
            raise TransportClosed from exc

    async def end_input(self) -> None:
        """Close the server's stdin. Does not wait for the server."""
        with anyio.CancelScope(shield=True):
            await self._input.aclose()

    async def end(self) -> None:
        """Wait for the process, whose input has ended; insist where it does not end. Not cut short by cancellation."""
        with anyio.CancelScope(shield=True):
            if await self._ended(self._end_seconds) is None:
                self._process.terminate()
                if await self._ended(TERMINATE_SECONDS) is None:
                    self._process.kill()
            with anyio.move_on_after(KILL_SECONDS):
                await self._process.aclose()

    async def why_ended(self, reason: str) -> str:
        """Say in one sentence what has become of the process, with its exit code if it has one."""
        code = await self._ended(EXIT_CODE_SECONDS)
        return f"The app-server {reason}" + ("" if code is None else f" (exit code {code})")

    async def _ended(self, within: float) -> int | None:
        with anyio.move_on_after(within):
            return await self._process.wait()
        return None


def default_command() -> list[str]:
    """Return the command that starts the server of this installation, whatever the current directory holds."""
    return [sys.executable, "-P", str(Path(__file__).parents[1] / "__main__.py"), "app-server"]
