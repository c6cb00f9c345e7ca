"""Who calls: the Protocol by which the HTTP side asks for a user, and the user of a gateway that has just one."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from appserver.server.workspace import Workspace
    from protocol.base import Secret

MODELS, RESPONSES, RPC = "models", "responses", "rpc"
SCOPES = frozenset((MODELS, RESPONSES, RPC))


class Caller(NamedTuple):
    """A user, and what the key that was shown allows."""

    workspace: Workspace
    scopes: frozenset[str]


class Users(Protocol):
    """Who knows the users."""

    async def caller(self, key: Secret) -> Caller | None:
        """Return whose key this is, None if it is nobody's."""


class OneUser:
    """The user of the home directory, whose one key has all scopes."""

    def __init__(self, workspace: Workspace, key: Secret) -> None:
        self._caller = Caller(workspace, SCOPES)
        self._key = key

    async def caller(self, key: Secret) -> Caller | None:
        same = hmac.compare_digest(key.reveal().encode(), self._key.reveal().encode())
        return self._caller if same else None
