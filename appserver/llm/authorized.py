"""Sends a request with the credential in use, and once more with a refreshed one if the backend answers 401.

Gets credentials from an `Authority`, which refreshes them. Does not know how.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from appserver.errors import Unauthorized

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from protocol.base import Secret

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Access:
    """The credential of a request. Its generation tells the authority which one was refused."""

    token: Secret
    account_id: str | None
    is_chatgpt: bool
    generation: int


class Authority(Protocol):
    """Provides the credential for a request."""

    async def access(self) -> Access:
        """Return the credential in use. Raises AuthError; NotSignedIn if there is none."""

    async def refreshed(self, refused: Access) -> Access:
        """Return the credential that replaces a refused one. Raises AuthError."""


async def authorized(authority: Authority, attempt: Callable[[Access], Awaitable[T]]) -> T:
    """Run attempt with access; after a 401, once more with refreshed access. A second 401 is final."""
    access = await authority.access()
    try:
        return await attempt(access)
    except Unauthorized:
        return await attempt(await authority.refreshed(access))
