"""An account for a program without an event loop: it runs in one, in a thread of its own."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appserver.auth.account import Account


@contextmanager
def in_thread(account: Account) -> Iterator[Account]:
    """Open an account for the length of a `with` block, in an event loop in a thread of its own.

    `with in_thread(Account.open(home)) as account: account.access_token_from_thread()`. Everything else is called
    through `account.from_thread`. Any number of threads may do so.
    """
    from anyio.from_thread import start_blocking_portal  # late: importing the library is cheap

    with start_blocking_portal("asyncio") as portal, portal.wrap_async_context_manager(account):
        yield account
