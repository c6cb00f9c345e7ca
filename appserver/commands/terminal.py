"""The account of the home directory, for a command of a person at a terminal.

Owns the event loop of a command. No client is connected: the command itself tells the person what there is to tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from anyio import create_task_group, run

from appserver.commands.output import FAILED, complain
from appserver.errors import AppServerError
from appserver.log import set_up_logging
from appserver.server.runtime import Runtime
from appserver.server.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from appserver.server.account import Account
    from appserver.settings import Settings


def with_account(settings: Settings, work: Callable[[Account], Awaitable[int]]) -> int:
    """Run `work` and what it starts in the background; return its exit code, or FAILED where it raises.

    What goes wrong is told in one line. Raises ConfigError where the account cannot be made.
    """
    return run(_with_account, settings, work)


def log_for_person(settings: Settings, environ: Mapping[str, str], usually: str) -> None:
    """Log at the level that the environment asks for, else at `usually`."""
    set_up_logging(settings.log_level if environ.get("APPSERVER_LOG") else usually)


async def _with_account(settings: Settings, work: Callable[[Account], Awaitable[int]]) -> int:
    runtime = Runtime(settings)
    workspace = Workspace(runtime)
    code = FAILED
    try:
        async with create_task_group() as group:
            runtime.tasks.open(group)
            code = await _outcome(workspace.account, work)
    finally:
        await workspace.close()
        await runtime.close()
    return code


async def _outcome(account: Account, work: Callable[[Account], Awaitable[int]]) -> int:
    try:
        await account.auth.look()  # from now on the keyring, if it is used, has been asked
        return await work(account)
    except AppServerError as exc:
        complain(exc.message)
        return FAILED
