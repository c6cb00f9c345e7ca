"""Who calls: the user behind a key, and what the key allows. Each user has a workspace of their own in this process."""

from __future__ import annotations

import hmac
import os
from typing import TYPE_CHECKING, NamedTuple

import anyio

from appserver.gateway.database.credentials import SqlCredentials
from appserver.gateway.database.threads.store import SqlThreads
from appserver.gateway.oauth.store import ACCESS_PREFIX
from appserver.gateway.scopes import ALL
from appserver.server.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Collection

    from appserver.gateway.database.accounts import Accounts
    from appserver.gateway.database.credentials import Place
    from appserver.gateway.database.node import Node
    from appserver.gateway.oauth.store import OAuthStore
    from appserver.server.serve import Server
    from protocol.base import Secret

USED_SECONDS = 60.0
"""How exact the time is at which a key was used last: to note each use would cost a write."""

FIRST_USER = "default"
"""The name of the user that GATEWAY_API_KEY makes where there is none."""


class Caller(NamedTuple):
    """A user, and what the key that was shown allows."""

    user_id: str
    workspace: Workspace
    scopes: frozenset[str]
    key_id: str | None = None
    """None: that of the environment, whose use is neither limited nor counted; or an access token."""
    rpm: int | None = None
    tpm: int | None = None
    grant_id: str | None = None
    """Of the access token that was shown."""

    @property
    def stands_for(self) -> set[str]:
        """The ids of all that must be good for this caller to be served."""
        return {one for one in (self.user_id, self.key_id, self.grant_id) if one is not None}


class Users:
    """The users whom this node has met."""

    def __init__(
        self,
        server: Server,
        accounts: Accounts,
        oauth: OAuthStore,
        place: Place,
        node: Node,
        environment_key: Secret | None,
    ) -> None:
        """`environment_key`: has all scopes, for the first user."""
        self._server = server
        self._accounts = accounts
        self._oauth = oauth
        self._place = place
        self._node = node
        self._environment_key = environment_key
        self._workspaces: dict[str, Workspace] = {}

    async def begin(self) -> None:
        """See to it that there is a user for the key of the environment."""
        if self._environment_key is not None and await self._accounts.first_user() is None:
            await self._accounts.add_user(FIRST_USER, None)

    async def caller(self, key: Secret) -> Caller | None:
        """Return whose key this is, None if it is nobody's, or not any more."""
        if self._environment_key is not None and _same(key, self._environment_key):
            return await self._first()
        if key.reveal().startswith(ACCESS_PREFIX):
            owner = await self._oauth.owner(key)
            if owner is None:
                return None
            workspace = self.workspace(owner.user_id, owner.version)
            return Caller(owner.user_id, workspace, owner.scopes, grant_id=owner.grant_id)
        found = await self._accounts.key(key)
        if found is None:
            return None
        if found.used_at is None or found.now - found.used_at > USED_SECONDS:
            await self._accounts.note_use(found.id)
        workspace = self.workspace(found.user_id, found.version)
        return Caller(found.user_id, workspace, found.scopes, found.id, found.rpm, found.tpm)

    def workspace(self, user_id: str, version: int) -> Workspace:
        """Return a user's workspace. `version`: of the credential, which another node may have changed."""
        self._place.versions.heard(user_id, version)
        if user_id not in self._workspaces:
            general = self._server.runtime.settings
            # Ahead of their end, logins are refreshed by whichever node has the lease (`refreshing.py`).
            settings = general._replace(home=os.path.join(general.home, "users", user_id), background_interval=0.0)
            credentials, threads = SqlCredentials(self._place, user_id), SqlThreads(self._node, user_id)
            workspace = Workspace(self._server.runtime, settings, credentials=credentials, threads=threads)
            self._workspaces[user_id] = self._server.add(workspace)
        return self._workspaces[user_id]

    def known(self, user_id: str) -> Caller | None:
        """Return a user whom this node has met, as somebody who may call every method of a thread's."""
        workspace = self._workspaces.get(user_id)
        return None if workspace is None else Caller(user_id, workspace, frozenset(ALL))

    @property
    def met(self) -> Collection[str]:
        """The ids of the users whom this node has met."""
        return self._workspaces.keys()

    @property
    def with_turns(self) -> Collection[str]:
        """The ids of those of whom a turn runs."""
        return [user_id for user_id, workspace in self._workspaces.items() if workspace.running_turns]

    async def forget(self, user_id: str) -> None:
        """Forget a user who was removed, and end what runs for them."""
        workspace = self._workspaces.pop(user_id, None)
        if workspace is not None:
            self._place.versions.forget(user_id)
            with anyio.CancelScope(shield=True):  # what has begun to be closed is closed
                await self._server.remove(workspace)

    def start_no_turns(self) -> None:
        """Let no other turn start; those that run go on."""
        for workspace in self._workspaces.values():
            workspace.start_no_turns()

    def interrupt_turns(self) -> None:
        """End every turn that runs."""
        for workspace in self._workspaces.values():
            workspace.interrupt_turns()

    async def turns_ended(self) -> None:
        """Wait until no user's turn runs."""
        for workspace in tuple(self._workspaces.values()):
            await workspace.turns_ended()

    async def _first(self) -> Caller | None:
        found = await self._accounts.first_user()
        return None if found is None else Caller(found[0], self.workspace(*found), frozenset(ALL))


def _same(one: Secret, other: Secret) -> bool:
    return hmac.compare_digest(*(key.reveal().encode("utf-8", "surrogatepass") for key in (one, other)))
