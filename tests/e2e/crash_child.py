"""A process of the crash test: refreshes or signs in on the real store, tells how far it has got, and may die anywhere.

Forked from `crash_driver`, which has imported everything, and which plays the issuer on the other end of a socket.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING, Any, NoReturn

import anyio

import appserver.auth.stores.file_lock  # noqa: F401 - now: a child must not spend its short life importing
from appserver.auth.credentials import ManagedTokens, managed_tokens
from appserver.auth.manager import AuthManager
from appserver.auth.refresh.base import RefreshedTokens
from appserver.auth.stores.file import FileStore
from appserver.auth.stores.off_loop import OffLoopStore
from appserver.auth.stores.write_ahead import WriteAhead
from appserver.errors import RefreshError
from appserver.server.startup import AHEAD_OF_USE, import_ahead
from appserver.settings import Settings
from appserver.tasks import Tasks
from appserver.testing import make_jwt
from protocol.base import Secret
from tests.processes import kill_by_id

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from types import FrameType

    from _typeshed import TraceFunction

    from appserver.auth.refresh.base import RefreshRequest

TRACED = (f"{os.sep}appserver{os.sep}auth{os.sep}", f"{os.sep}filelock{os.sep}")
"""The code at whose lines a child may die: ours, and the locks'."""

for _module in AHEAD_OF_USE:
    import_ahead(_module)


class SocketRefresher:
    """Asks the driver, and tells it that the answer has come."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel

    async def refresh(self, request: RefreshRequest) -> RefreshedTokens:
        assert isinstance(request.credential, ManagedTokens)
        assert request.credential.refresh_token is not None
        access, identity = Secret(make_jwt()), Secret(make_jwt())
        tell(self._channel, f"redeem {request.credential.refresh_token.reveal()}")
        answer = self._channel.recv(200).decode()
        if answer == "reused":
            raise RefreshError("refresh_token_reused", permanent=True)
        return RefreshedTokens(access, identity, Secret(answer))


def tell(channel: socket.socket, what: str) -> None:
    channel.sendall(what.encode() + b"\n")


async def renew(home: str, channel: socket.socket) -> None:
    tasks = Tasks()
    manager = AuthManager(Settings(home), OffLoopStore(FileStore(home)), tasks, lambda _: SocketRefresher(channel))
    async with anyio.create_task_group() as group:
        tasks.open(group)
        held = await manager.look()
        assert held is not None
        renewed = (await manager.refresh(held.generation)).credential
        assert isinstance(renewed, ManagedTokens)
        assert renewed.refresh_token is not None
        tell(channel, f"renewed {renewed.refresh_token.reveal()}")


async def sign_in(home: str, channel: socket.socket, token: str) -> None:
    manager = AuthManager(Settings(home), OffLoopStore(FileStore(home)), Tasks(), lambda _: SocketRefresher(channel))
    await manager.sign_in(login(token))
    tell(channel, f"signed in {token}")


def login(token: str) -> ManagedTokens:
    return managed_tokens(Secret(make_jwt()), Secret(make_jwt()), Secret(token), last_refresh="2026-01-01T00:00:00Z")


def tell_of_writes(channel: socket.socket) -> None:
    """Tell of a response that was persisted, and of an auth.json that was replaced, as soon as it has happened."""
    replace, write = os.replace, WriteAhead.write

    def told_replace(source: str, target: str) -> None:
        replace(source, target)
        tell(channel, "replaced")

    def told_write(self: WriteAhead, record: dict[str, Any]) -> None:
        write(self, record)
        tell(channel, "kept")

    os.replace = told_replace  # type: ignore[assignment]  # only the form that the store uses
    WriteAhead.write = told_write  # type: ignore[method-assign]  # this process is for that


def die_at(line: int, channel: socket.socket) -> Callable[[], None]:
    """End this process before the given line of our code; 0: never. Returns what tells how many lines there were."""
    seen = 0

    def trace(frame: FrameType, event: str, _: Any) -> TraceFunction | None:  # noqa: ANN401 - as sys.settrace has it
        nonlocal seen
        if not any(part in frame.f_code.co_filename for part in TRACED):
            return None
        if event == "line":
            seen += 1
            if seen == line:
                kill_by_id(os.getpid())
        return trace

    threading.settrace(trace)  # the store works in a thread of its own
    sys.settrace(trace)
    return lambda: tell(channel, f"lines {seen}")


def be_child(home: str, channel: socket.socket, action: str, line: int | None) -> NoReturn:
    tell_of_writes(channel)
    count = die_at(line, channel) if line is not None else None
    try:
        if action == "refresh":
            anyio.run(renew, home, channel)
        else:
            anyio.run(sign_in, home, channel, action.partition(" ")[2])
        if count is not None:
            count()
    except RefreshError as exc:
        tell(channel, f"failed {exc.message}")
    except ExceptionGroup as exc:
        tell(channel, f"failed {exc.exceptions[0]}")
    finally:
        os._exit(0)
