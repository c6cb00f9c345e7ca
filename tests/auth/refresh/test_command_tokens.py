"""A provider's own command: run once for any number of callers, again when its token is refused or has become old."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING

import anyio
import pytest

from appserver.auth.refresh.command_tokens import CommandTokens
from appserver.errors import AuthError, RefreshError
from appserver.log import redacted
from appserver.settings import TokenCommand
from appserver.tasks import Tasks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.anyio

COUNTING = """
import pathlib, sys
ran = pathlib.Path(sys.argv[1])
with ran.open("a") as file: file.write("x")
print("token-number-%d" % len(ran.read_text()))
"""


@pytest.fixture
async def tasks() -> AsyncIterator[Tasks]:
    owner = Tasks()
    async with anyio.create_task_group() as group:
        owner.open(group)
        yield owner


def counting(ran: Path, interval: float = math.inf) -> TokenCommand:
    """A command that prints another token each time."""
    return TokenCommand((sys.executable, "-c", COUNTING, str(ran)), timeout=20, refresh_interval=interval)


async def test_many_callers_share_one_run_and_one_renewal(tmp_path: Path, tasks: Tasks) -> None:
    tokens = CommandTokens(counting(tmp_path / "ran"), tasks)
    seen: list[str] = []

    async def call() -> None:
        held = await tokens.for_request()
        again = await tokens.refresh(held.generation)
        seen.append(f"{held.credential.bearer.reveal()} {again.credential.bearer.reveal()}")

    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(call)
    assert seen == ["token-number-1 token-number-2"] * 8
    assert (tmp_path / "ran").read_text() == "xx"
    assert (await tokens.for_request()).credential.bearer.reveal() == "token-number-2"
    assert redacted("the token-number-2 is") == "the *** is"


async def test_a_token_that_has_become_old_is_printed_again(tmp_path: Path, tasks: Tasks) -> None:
    now = [1000.0]
    tokens = CommandTokens(counting(tmp_path / "ran", interval=300), tasks, lambda: now[0])
    told = []
    for moment in (1000.0, 1299.0, 1300.0, 1301.0):
        now[0] = moment
        told.append((await tokens.for_request()).credential.bearer.reveal()[-1])
    assert told == ["1", "1", "2", "2"]


async def test_the_command_runs_where_it_is_told_to(tmp_path: Path, tasks: Tasks) -> None:
    words = (sys.executable, "-c", "import os; print(os.path.basename(os.getcwd()))")
    held = await CommandTokens(TokenCommand(words, 20, directory=str(tmp_path)), tasks).for_request()
    assert held.credential.bearer.reveal() == tmp_path.name


@pytest.mark.parametrize(
    ("code", "timeout", "problem"),
    [
        ("import sys; sys.exit(3)", 20, "failed with exit code 3"),
        ("import time; time.sleep(60)", 0.05, r"did not finish within 0\.05s"),
        ("print(' ')", 20, "printed no token"),
        ("print('a b')", 20, "characters that cannot be sent"),
    ],
)
async def test_a_command_that_prints_no_token_is_told_and_run_again_next_time(
    code: str, timeout: float, problem: str, tasks: Tasks
) -> None:
    tokens = CommandTokens(TokenCommand((sys.executable, "-c", code), timeout), tasks)
    for _ in range(2):
        with pytest.raises(AuthError, match=problem):
            await tokens.for_request()


async def test_a_program_that_is_not_there_is_told(tasks: Tasks) -> None:
    with pytest.raises(RefreshError, match="no-such-program could not be run"):
        await CommandTokens(TokenCommand(("no-such-program",)), tasks).for_request()
