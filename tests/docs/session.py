"""A reader who works through a page from top to bottom: one directory, one shell, one home, and a fake backend."""

from __future__ import annotations

import os
import re
import select
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from appserver import testing
from appserver.testing import make_jwt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appserver.testing import FakeBackend

ROOT = Path(__file__).parents[2]

RUN_SECONDS = 60.0
"""A block takes a second; this is for a loaded machine."""

OURS = re.compile(r"^(APPSERVER|CODEX|OPENAI|OTEL|GATEWAY|RUST|LOG|SSL)_|_PROXY$", re.IGNORECASE)
"""Variables that change what programs print; a reader has none of them."""

LOOK_SECONDS = 0.1
"""How often it is looked whether a program that prints nothing has ended."""

HOME = "/home/ada/.codex"
"""The home directory that pages show."""

VARYING = (
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME"),
    (r"in \d+ (?:minutes|hours|days)", "in a while"),
    (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
    (r"\b\d+\.\d+\.\d+\b", "VERSION"),
    (r"(?:Linux|macOS|Windows)-\S+", "PLATFORM"),
    (r'"token": "[\w-]+"', "TOKEN"),
    (r"(state|code_challenge)=[\w-]+", r"\1=RANDOM"),
)
"""What differs from run to run, and what is compared in its place."""


class Session:
    """What one page has set up: files, variables, and programs that still run."""

    def __init__(self, directory: Path, backend: FakeBackend, ports: dict[str, int]) -> None:
        self.directory = directory
        self.backend = backend
        self.home = directory / "home"
        self.home.mkdir()
        backend.write_config(self.home)
        self._ports = ports
        self._processes: list[subprocess.Popen[bytes]] = []
        # All that is started joins the group of a process that lives until the end: its number names nobody else then.
        # It reads from us, so it ends also where we are killed.
        self._group = subprocess.Popen(["cat"], stdin=subprocess.PIPE, process_group=0)
        bin_ = directory / "bin"
        bin_.mkdir()
        for name, arguments in (("appserver", "-m appserver "), ("python", ""), ("python3", "")):
            (bin_ / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments}"$@"\n', "utf-8")
            (bin_ / name).chmod(0o755)
        self.environ = {
            **{name: value for name, value in os.environ.items() if not OURS.search(name)},
            **backend.environ(self.home),
            "ACCESS_TOKEN": make_jwt(),
            "HOME": str(directory),
            "PATH": f"{bin_}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
        }

    def answers(self, replies: str) -> None:
        """Have the model answer so."""
        self.backend.script(*eval(f"[{replies}]", vars(testing)))  # noqa: S307 - it is in our page

    def text(self, code: str) -> str:
        """Return what a page shows as it is here: ports that are fixed there are free ones, and no server stays."""
        for shown, port in self._ports.items():
            code = code.replace(shown, str(port))
        return code.replace(" --autostart", " --autostart --idle-exit 1")

    def write(self, name: str, code: str) -> Path:
        """Write a file of the page; one of the home directory has `~/.codex/` in front of its name."""
        folder = self.home if name.startswith("~/.codex/") else self.directory
        path = folder / name.removeprefix("~/.codex/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.text(code), "utf-8")
        return path

    def shell(self, code: str) -> str:
        """Run commands in the shell of this page and return what they print. Its variables are kept."""
        kept = self.directory / "variables"
        script = f"set -e\n{self.text(code)}\nexport -p > {shlex.quote(str(kept))}\n"
        return self.run("bash", "-c", (f". {shlex.quote(str(kept))}\n" if kept.exists() else "") + script)

    def start(self, command: str) -> str:
        """Start a program that serves, and return what it prints first."""
        return self.run("bash", "-c", f"exec env {self.text(command)}", goes_on_after="...")

    def run(self, *command: str, goes_on_after: str | None = None) -> str:
        """Run a program and return what it prints, stderr among it. It is signed in where it asks for a browser.

        `goes_on_after`: it has printed this, and is left running.
        """
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self.environ,
            cwd=self.directory,
            process_group=self._group.pid,
        )
        self._processes.append(process)
        shown, signed_in = "", False
        deadline = time.monotonic() + RUN_SECONDS
        for piece in _output(process, deadline):
            shown += piece
            found = re.search(r"http://127\.0\.0\.1:\d+/oauth/authorize\?\S+\n", shown)
            if found and not signed_in:
                httpx.get(found[0].strip(), follow_redirects=True, timeout=RUN_SECONDS)
                signed_in = True
            if goes_on_after is not None and same(shown, goes_on_after, self.home):
                return shown
        assert process.poll() is not None, f"still runs after {RUN_SECONDS:g} s: {shown}"
        assert process.returncode == 0, f"exit code {process.returncode}: {shown}"
        return shown

    def console(self, code: str, *, goes_on: bool) -> None:
        """Run what stands behind each `$`, and compare what it prints with the lines below it."""
        for part in re.split(r"^\$ ", code, flags=re.MULTILINE)[1:]:
            command, _, expected = part.partition("\n")
            line = self.text(command)
            if goes_on:
                shown = self.run("bash", "-c", f"exec env {line}", goes_on_after=expected)
            else:
                shown = self.shell(f"{line} || true")
            assert same(shown, expected, self.home), f"$ {command}\n{shown}\n--- and not:\n{expected}"

    def close(self) -> None:
        """End what still runs, also what was started by something that has ended."""
        if sys.platform == "win32":
            raise NotImplementedError
        os.killpg(self._group.pid, signal.SIGKILL)
        for process in (self._group, *self._processes):
            process.wait()
            for pipe in filter(None, (process.stdin, process.stdout)):
                pipe.close()


def same(shown: str, expected: str, home: Path) -> bool:
    """Whether a program has printed what a page says, where `...` stands for anything."""
    pattern = re.escape(_comparable(expected.strip(), home)).replace(r"\.\.\.", r"[\s\S]*?")
    return re.fullmatch(pattern, _comparable(shown.strip(), home)) is not None


def _comparable(text: str, home: Path) -> str:
    text = text.replace(str(home.resolve()), HOME).replace(str(home), HOME)
    for pattern, shown in VARYING:
        text = re.sub(pattern, shown, text)
    return re.sub(r"[ \t]+", " ", text)


def _output(process: subprocess.Popen[bytes], deadline: float) -> Iterator[str]:
    """Yield what a program prints, until it ends. Not until its output does: what it has started may keep that open."""
    assert process.stdout is not None
    descriptor = process.stdout.fileno()
    if sys.platform == "win32":
        raise NotImplementedError
    os.set_blocking(descriptor, False)
    while time.monotonic() < deadline:
        ended = process.poll() is not None  # before the last look, which then sees all that it has printed
        ready, _, _ = select.select([descriptor], [], [], 0 if ended else LOOK_SECONDS)
        piece = os.read(descriptor, 65536) if ready else b""
        if piece:
            yield piece.decode()
        elif ended:
            return
