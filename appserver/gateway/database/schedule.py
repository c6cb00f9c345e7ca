"""When a login is refreshed ahead of its end. Pure but for chance, which spreads the logins out in time."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from appserver.auth.credentials import Credential

AHEAD_SECONDS = 900.0
"""Before its end a login is refreshed at the latest: time for several tries."""

SPREAD_SECONDS = 900.0
"""Over which logins that end together are spread."""


def refresh_at(credential: Credential, chance: Callable[[], float] = random.random) -> float | None:
    """Return when to refresh a credential (Unix seconds), None if it cannot be refreshed or does not end."""
    if credential.expires_at is None or not credential.is_renewable:
        return None
    return credential.expires_at - AHEAD_SECONDS - chance() * SPREAD_SECONDS
