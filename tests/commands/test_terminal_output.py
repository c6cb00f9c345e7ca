"""Commands on a real terminal: the QR code, a key that is not echoed, a browser that is opened or not."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio
import pytest

if sys.platform == "win32":
    pytest.skip("there are no pseudo-terminals", allow_module_level=True)

import pty
import termios

from tests.commands.running import WAIT_SECONDS
from tests.processes import kill

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from appserver.testing import FakeBackend
    from tests.commands.running import CommandLine

pytestmark = pytest.mark.anyio

WHITE_ON_BLACK, AS_BEFORE = "\x1b[97;40m", "\x1b[0m"
LIGHT = {"█": (True, True), "▀": (True, False), "▄": (False, True), " ": (False, False)}


class Terminal:
    """The person's side of a pseudo-terminal, and what it shows."""

    def __init__(self, master: int, slave: int) -> None:
        self.master = master
        self.slave = slave
        self._raw = b""

    @property
    def shown(self) -> str:
        """What is on the screen so far; a read may end in the middle of a character."""
        return self._raw.decode(errors="ignore").replace("\r\n", "\n")

    async def shows(self, text: str) -> None:
        """Wait for a text."""
        with anyio.fail_after(WAIT_SECONDS):
            while text not in self.shown:
                await anyio.wait_readable(self.master)
                self._raw += os.read(self.master, 65536)

    def type(self, line: str) -> None:
        """Type a line."""
        os.write(self.master, f"{line}\n".encode())


@contextmanager
def terminal(columns: int) -> Iterator[Terminal]:
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (50, columns))
    try:
        yield Terminal(master, slave)
    finally:
        os.close(master)
        os.close(slave)


async def run_on(terminal: Terminal, appserver: CommandLine, *words: str, typed: str = "", **environ: str) -> int:
    """Run a command on the terminal; once it asks for a key, type one."""
    process = await anyio.open_process(
        appserver.command(*words),
        stdin=terminal.slave,
        stdout=terminal.slave,
        stderr=terminal.slave,
        env={**appserver.environ, "TERM": "xterm", **environ},
        start_new_session=True,  # so that nothing finds the developer's own terminal
    )
    try:
        if typed:
            await terminal.shows("API key: ")
            terminal.type(typed)
        await terminal.shows("Kept in:")
        with anyio.fail_after(WAIT_SECONDS):
            return await process.wait()
    finally:
        await kill(process)


def modules_of(lines: list[str]) -> list[list[bool]]:
    """Read a drawn code back: a character stands for two modules, one above the other."""
    rows = []
    for line in lines:
        cells = [LIGHT[char] for char in line.removeprefix(WHITE_ON_BLACK).removesuffix(AS_BEFORE)]
        rows += [[upper for upper, _ in cells], [lower for _, lower in cells]]
    return rows


async def test_a_device_login_draws_the_address_as_a_qr_code(appserver: CommandLine, backend: FakeBackend) -> None:
    segno = pytest.importorskip("segno", reason="the extra cli is not installed")
    with terminal(columns=100) as screen:
        assert await run_on(screen, appserver, "login", "--device-auth") == 0
    drawn = modules_of([line for line in screen.shown.splitlines() if line.startswith(WHITE_ON_BLACK)])
    code = segno.make(f"{backend.url}/codex/device", micro=False, error="l")
    expected = [[not module for module in row] for row in code.matrix_iter(border=4)]
    assert drawn[: len(expected)] == expected
    assert drawn[len(expected) :] == [[True] * len(expected)]


@pytest.mark.parametrize(("columns", "term"), [(20, "xterm"), (100, "dumb")], ids=["narrow", "dumb"])
async def test_a_terminal_that_is_narrow_gets_no_code_and_a_dumb_one_no_colours(
    appserver: CommandLine, columns: int, term: str
) -> None:
    pytest.importorskip("segno", reason="the extra cli is not installed")
    with terminal(columns) as screen:
        assert await run_on(screen, appserver, "login", "--device-auth", TERM=term) == 0
    assert "\x1b" not in screen.shown
    assert ("█" in screen.shown) == (columns == 100)


async def test_without_the_library_there_is_a_hint(appserver: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "segno.py").write_text("raise ImportError\n", encoding="utf-8")
    with terminal(columns=100) as screen:
        assert await run_on(screen, appserver, "login", "--device-auth", PYTHONPATH=python_path(tmp_path)) == 0
    assert "appserverd[cli]" in screen.shown


async def test_an_api_key_that_is_typed_is_not_echoed(appserver: CommandLine) -> None:
    with terminal(columns=100) as screen:
        assert await run_on(screen, appserver, "login", "--with-api-key", typed="sk-test-0123456789") == 0
    assert appserver.stored["OPENAI_API_KEY"] == "sk-test-0123456789"
    assert "sk-" not in screen.shown


BROWSERS = [
    ((), {"DISPLAY": ":0"}, True),
    (("--no-browser",), {"DISPLAY": ":0"}, False),
    ((), {}, False),
]


@pytest.mark.skipif(sys.platform == "darwin", reason="there, the display needs no variable")
@pytest.mark.usefixtures("callback_ports")
@pytest.mark.parametrize(("words", "environ", "opened"), BROWSERS, ids=["display", "no-browser", "no-display"])
async def test_a_browser_is_opened_where_there_is_a_display_and_nobody_objects(
    appserver: CommandLine, tmp_path: Path, words: tuple[str, ...], environ: dict[str, str], opened: bool
) -> None:
    record = tmp_path / "opened"
    (tmp_path / "webbrowser.py").write_text(
        f"import pathlib\ndef open(url):\n    pathlib.Path({str(record)!r}).write_text(url)\n"
        "    import urllib.request\n    urllib.request.urlopen(url, timeout=20)\n",
        encoding="utf-8",
    )
    environ = {**environ, "PYTHONPATH": python_path(tmp_path)}
    with terminal(columns=100) as screen, anyio.fail_after(WAIT_SECONDS):
        if opened:  # that "browser" signs the user in
            assert await run_on(screen, appserver, "login", *words, **environ) == 0
        else:
            async with appserver.started("login", *words, **environ) as running:
                await running.shows("(Waiting)")
    assert record.exists() == opened


def python_path(first: Path) -> str:
    return os.pathsep.join([str(first), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
