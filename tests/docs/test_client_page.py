"""Every block of docs/client.md runs, in its order, against the fake backend; what it says that is printed is printed.

The blocks are parts of one program: each has what the reader has by then: `server`, `thread`, a token provider, and
bytes of a picture. Pages whose blocks are whole programs are in test_blocks.py.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import io
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from appserver import testing
from appserver.client import AppServer, InProcess
from appserver.testing import FakeBackend, running_backend
from tests.docs.blocks import Block, blocks
from tests.docs.session import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGE = ROOT / "docs" / "client.md"

BLOCKS = [block for block in blocks(PAGE) if block.language == "python"]


class Vault:
    """What an application may keep its tokens in."""

    def __init__(self, backend: FakeBackend) -> None:
        self._backend = backend

    def access_token(self, *, force_refresh: bool) -> str:
        return self._backend.grant().access_token


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """What a reader has by the time: the environment of the fake backend, and the names of the page."""
    with running_backend() as backend:
        backend.write_config(tmp_path)
        for name, value in backend.environ(tmp_path).items():
            monkeypatch.setenv(name, value)
        vault = Vault(backend)
        with AppServer(InProcess(), token_provider=lambda _: vault.access_token(force_refresh=False)) as server:
            yield {
                "backend": backend,
                "vault": vault,
                "server": server,
                "thread": server.threads.start(),
                "my_token": lambda request: vault.access_token(force_refresh=False),
                "picture_bytes": b"\x89PNG\r\n\x1a\n" + bytes(16),
            }


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.code.strip().splitlines()[-1][:60])
def test_the_block_runs_and_prints_what_the_page_says(block: Block, reader: dict[str, Any]) -> None:
    if "script" in block.marks:
        reader["backend"].script(*eval(f"[{block.marks['script']}]", vars(testing)))  # noqa: S307 - it is in our page
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        run(block.code, reader)
    assert block.output is None or shown.getvalue() == block.output


def run(code: str, names: dict[str, Any]) -> None:
    """Run a block, in an event loop if it waits for something at its top."""
    compiled = compile(code, "client.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(compiled, names)  # noqa: S307 - it is in our page
    if inspect.isawaitable(result):

        async def wait() -> None:
            await result

        anyio.run(wait)
