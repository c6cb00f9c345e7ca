"""Describes a credential and its store for a person. Shows no secret: only claims.

Shared by the commands; decides nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from appserver.auth.credentials import Credential
    from appserver.server.account import Account

_UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def kept(account: Account) -> str:
    """Say where the login is kept. That need not be the configured store: "auto" chooses."""
    return f"{account.store.kind} ({account.store.where})"


def whom(credential: Credential) -> str:
    """Name the account in half a sentence."""
    identity = credential.identity
    if not identity.is_chatgpt:
        return "with an API key"
    named = identity.email or identity.user_id or "somebody"
    more = [f"plan {identity.plan}"] if identity.plan else []
    more += [f"account {identity.account_id}"] if identity.account_id else []
    return f"as {named} ({', '.join(more)})" if more else f"as {named}"


def moment(seconds: float | None) -> str | None:
    """Write a time as RFC 3339, or None for one that no calendar has."""
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")
    except (OverflowError, OSError, ValueError):
        return None


def distance(seconds: float) -> str:
    """Say how far off a time is: in 59 minutes, 3 days ago."""
    size = abs(seconds)
    length, unit = next(((length, unit) for length, unit in _UNITS if size >= length), _UNITS[-1])
    count = int(size // length)
    amount = f"{count} {unit}{'' if count == 1 else 's'}"
    return f"in {amount}" if seconds > 0 else f"{amount} ago"
