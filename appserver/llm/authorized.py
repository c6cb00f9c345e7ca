"""The 401 loop: send with the credential in use, and once more with a new one if it is refused.

Sees credentials through a Protocol of two methods; who renews them, and how often in all, is not its business.
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
    """What a request carries. The generation tells the authority which credential was refused."""

    token: Secret
    account_id: str | None
    is_chatgpt: bool
    generation: int


class Authority(Protocol):
    """Who hands out access."""

    async def access(self) -> Access:
        """Return what to send. Raises AuthError, NotSignedIn if there is nothing."""

    async def renewed(self, refused: Access) -> Access:
        """Return what to send in place of what was refused. Raises AuthError."""


async def authorized(authority: Authority, attempt: Callable[[Access], Awaitable[T]]) -> T:
    """Run attempt with access; after a 401, once more with renewed access. A second 401 is final."""
    access = await authority.access()
    try:
        return await attempt(access)
    except Unauthorized:
        return await attempt(await authority.renewed(access))
