"""What one account/read without news passes: the source files whose functions run, and its stat calls.

    python -m tests.traces.account_read

Serves a connection in this process on a home with a stored login, and reads the account until everything is loaded.
Then it follows one more request from the line that the connection has received to the line that answers it. Prints the
files and the stat calls, and exits with 1 if there are more than a request that needs nothing but memory should pass.
The loops that move lines between transport and dispatcher are listed apart: they are the same for every message.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

import appserver
import protocol
from appserver.settings import load_settings
from appserver.testing import Profile, make_grant
from appserver.testing.home import environ, write_config
from tests.handlers.accounts import store_login
from tests.peer import in_memory

if TYPE_CHECKING:
    from types import FrameType

    from tests.peer import Peer

MAX_FILES = 8
MAX_STATS = 2

WARM_UP_REQUESTS = 3
TRACED_REQUESTS = 5
"""The one that passes the fewest files counts: a background task may run during another."""

URL = "http://127.0.0.1:9"
"""Nothing listens there: the trace fails if anything is asked for over HTTP."""

ROOT = Path(appserver.__file__).parents[1]
PACKAGES = tuple(str(Path(package.__file__ or "").parent) for package in (appserver, protocol))
LOOPS = ("appserver/transport/", "appserver/server/connection.py", "appserver/server/serve.py")
"""Where lines are read and written."""

PEER = ("appserver/rpc/pending.py",)
"""What the other end of the connection runs in this process, to wait for the response."""

STATS = ("stat", "lstat", "fstat")


class Trace:
    """What has run since it was entered: calls of our functions by file, and calls of the operating system's stat."""

    def __init__(self) -> None:
        self.calls = Counter[str]()
        self.loops = Counter[str]()
        self.stats = Counter[str]()

    @property
    def is_small(self) -> bool:
        """Whether it stays within the bounds."""
        return len(self.calls) <= MAX_FILES and self.stats.total() <= MAX_STATS

    def __enter__(self) -> None:
        sys.setprofile(self._note)

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _note(self, frame: FrameType, event: str, function: Any) -> None:  # noqa: ANN401 - as setprofile has it
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(PACKAGES):
            path = Path(code.co_filename).relative_to(ROOT).as_posix()
            if not path.startswith(PEER):
                (self.loops if path.startswith(LOOPS) else self.calls)[path] += 1
        elif event == "c_call" and function.__module__ in ("posix", "nt") and function.__name__ in STATS:
            self.stats[f"{function.__name__} in {Path(code.co_filename).name}:{frame.f_lineno} {code.co_name}"] += 1


async def trace_account_read(home: Path) -> Trace:
    """Trace one request in a home of its own, which is filled here."""
    write_config(URL, home)
    store_login(home, make_grant(Profile()))
    async with in_memory(load_settings(environ(URL, home))) as peer:
        for _ in range(WARM_UP_REQUESTS):
            await _read(peer)
        traces = [await _traced(peer) for _ in range(TRACED_REQUESTS)]
    return min(traces, key=lambda trace: (len(trace.calls), trace.stats.total()))


async def _traced(peer: Peer) -> Trace:
    trace = Trace()
    with trace:
        await _read(peer)
    return trace


async def _read(peer: Peer) -> None:
    assert (await peer.result("account/read"))["account"]["type"] == "chatgpt"


def report(trace: Trace) -> str:
    """Return the files, with the calls of their functions, and the places of the stat calls."""
    lines = [f"{len(trace.calls)} files, {trace.calls.total()} calls (at most {MAX_FILES} files)"]
    lines += [f"  {count:3} {path}" for path, count in sorted(trace.calls.items())]
    lines += [f"besides, for every message: {', '.join(sorted(trace.loops))}"]
    lines += [f"{trace.stats.total()} stat calls (at most {MAX_STATS})"]
    lines += [f"  {count:3} {place}" for place, count in sorted(trace.stats.items())]
    return "\n".join(lines)


def main() -> int:
    """Print the trace and return the exit code."""
    with tempfile.TemporaryDirectory() as home:
        trace = anyio.run(trace_account_read, Path(home))
    sys.stdout.write(f"{report(trace)}\n")
    return 0 if trace.is_small else 1


if __name__ == "__main__":
    sys.exit(main())
