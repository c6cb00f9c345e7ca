"""Every block of docs/client.md runs, in its order, against the fake backend; what it says that is printed is printed.

Comments in the page say what the model answers (`script:`) and that the next block's output follows it (`prints`). A
block has what the reader has by then: `server`, `thread`, a token provider, and bytes of a picture.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio
import pytest

from appserver import testing
from appserver.client import AppServer, InProcess
from appserver.testing import FakeBackend, running_backend

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = (Path(__file__).parents[1] / "docs" / "client.md").read_text("utf-8")

BLOCK = re.compile(r"((?:<!--[^\n]*-->\n)*)```python\n(.*?)```\n(?:\n```text\n(.*?)```)?", re.DOTALL)


class Block(NamedTuple):
    """A block of the page, what the model says to it, and what it prints (None: anything)."""

    code: str
    script: str
    printed: str | None


def blocks() -> list[Block]:
    found = []
    for comments, code, printed in BLOCK.findall(PAGE):
        script = re.search(r"<!-- script: (.*) -->", comments)
        found.append(Block(code, script[1] if script else "", printed if "<!-- prints -->" in comments else None))
    return found


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


@pytest.mark.parametrize("block", blocks(), ids=lambda block: block.code.strip().splitlines()[-1][:60])
def test_the_block_runs_and_prints_what_the_page_says(block: Block, reader: dict[str, Any]) -> None:
    if block.script:
        reader["backend"].script(*eval(f"[{block.script}]", vars(testing)))  # noqa: S307 - it is in our page
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        run(block.code, reader)
    assert block.printed is None or shown.getvalue() == block.printed


def run(code: str, names: dict[str, Any]) -> None:
    """Run a block, in an event loop if it waits for something at its top."""
    compiled = compile(code, "client.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(compiled, names)  # noqa: S307 - it is in our page
    if inspect.isawaitable(result):

        async def wait() -> None:
            await result

        anyio.run(wait)


def test_every_block_of_the_page_is_found() -> None:
    assert len(blocks()) == PAGE.count("```python\n") > 10
