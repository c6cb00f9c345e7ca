"""Runs the demo: the real daemon as a subprocess over pipes, in a home of its own, against the fake backend.

scenes.py holds what is shown. The first difference from what must happen ends the demo with a line that names it.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING, Final

import anyio
import httpx

from appserver.client import AsyncAppServer, Subprocess
from appserver.errors import AppServerError
from appserver.testing import FakeBackend
from demo.scenes import SCENES, Show
from demo.stage import AudienceLeft, Difference, Printer, Stage

if TYPE_CHECKING:
    from collections.abc import Callable

DEMO_SECONDS: Final = 60.0
"""The whole demo takes about two; beyond this something hangs."""

_FAILURES: Final = (Difference, AppServerError, TimeoutError, OSError, httpx.HTTPError)


def run_demo(prepare: Callable[[FakeBackend], None] | None = None) -> int:
    """Run the demo and return the exit code. `prepare` may change the backend first: a test makes it misbehave."""
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    printer = Printer(sys.stdout, colour=colour)
    try:
        anyio.run(partial(_play, printer, prepare or (lambda _: None)))
    except AudienceLeft:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes stdout once more as it ends
        return 1
    except _FAILURES as exc:
        printer.line("✗", str(exc) or "The demo took too long", indent=0)
        return 1
    printer.title("Everything was as it must be.")
    return 0


async def _play(printer: Printer, prepare: Callable[[FakeBackend], None]) -> None:
    with TemporaryDirectory(prefix="appserver-demo-") as directory, anyio.fail_after(DEMO_SECONDS):
        async with FakeBackend() as backend:
            prepare(backend)
            home, log = Path(directory, "home"), _open_log(directory)
            backend.write_config(home)
            with log:
                try:
                    await _run_scenes(printer, backend, home, log)
                except Exception:
                    _show_log(printer, log)
                    raise


async def _run_scenes(printer: Printer, backend: FakeBackend, home: Path, log: IO[bytes]) -> None:
    client = {"name": "demo", "version": "1"}
    async with (
        AsyncAppServer(Subprocess(env=_environ(backend, home), stderr=log), client_info=client) as server,
        server.notifications() as told,
    ):
        stage = Stage(server, told, printer)
        show = Show(backend, stage, home)
        try:
            for number, (title, scene) in enumerate(SCENES, 1):
                printer.title(f"{number}. {title}")
                try:
                    await scene(show)
                except _FAILURES as exc:
                    raise Difference(f"{title}: {exc}") from exc
        finally:
            stage.close()


def _environ(backend: FakeBackend, home: Path) -> dict[str, str | None]:
    """Change the environment so that nothing leads the daemon elsewhere: other homes, issuers and proxies go."""
    others = (
        one for one in os.environ if one.upper().startswith(("APPSERVER_", "CODEX_")) or one.upper().endswith("_PROXY")
    )
    return {**dict.fromkeys(others), **backend.environ(home)}


def _open_log(directory: str) -> IO[bytes]:
    return Path(directory, "daemon.log").open("w+b")


def _show_log(printer: Printer, log: IO[bytes]) -> None:
    """Show what the daemon wrote to stderr: it has taken credentials out itself."""
    log.seek(0)
    for line in log.read().decode(errors="replace").splitlines()[-20:]:
        printer.line("", f"daemon: {line}")
