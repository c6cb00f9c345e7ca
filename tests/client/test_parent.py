"""An application that is killed leaves no server behind."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import anyio
import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from appserver.testing import FakeBackend

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform == "win32", reason="an id that no process has cannot be asked for there"),
]

END_SECONDS = 20.0
"""The server looks for its parent every second and winds down within four; this is for a loaded machine."""

APPLICATION = """
import sys, time
from appserver.client import AppServer, Subprocess
with AppServer(Subprocess(home=sys.argv[1])) as server:
    print(server.process_id, flush=True)
    if sys.argv[2] == "in a turn":
        server.account.login_api_key("sk-test-key")
        server.threads.start().run("Hello")
    time.sleep(600)
"""


@pytest.mark.parametrize("doing", ["nothing", "in a turn"])
async def test_a_parent_that_is_killed_leaves_no_server_behind(doing: str, home: Path, backend: FakeBackend) -> None:
    gate = backend.model.hold_next()
    environ = {**os.environ, **backend.environ(home)}
    application = await anyio.open_process(
        [sys.executable, "-c", APPLICATION, str(home), doing], env=environ, stdout=subprocess.PIPE, stderr=None
    )
    assert application.stdout is not None
    async with application:
        server = int(await application.stdout.receive())
        if doing == "in a turn":
            await gate.reached.wait()
        application.kill()
        await application.wait()
        with anyio.fail_after(END_SECONDS):
            while runs(server):  # noqa: ASYNC110 - it is no child of ours: nobody tells us of its end
                await anyio.sleep(0.05)


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
