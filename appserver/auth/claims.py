"""What a token says of its owner. Pure; signatures are not checked: the backend does that, we only read.

Facts: the claims stand under `https://api.openai.com/auth`, the e-mail address at the top or under
`https://api.openai.com/profile`; `exp` is Unix seconds (RFC 7519, section 4.1.4).
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from typing import Any, NamedTuple

_AUTH = "https://api.openai.com/auth"
_PROFILE = "https://api.openai.com/profile"


# A named tuple, as are the credentials: importing dataclasses would take a tenth of the time to the first answer.
class Claims(NamedTuple):
    """What could be read. A claim of the wrong type counts as missing."""

    email: str | None = None
    plan: str | None = None
    user_id: str | None = None
    account_id: str | None = None
    expires_at: float | None = None


def read_claims(token: str) -> Claims:
    """Read the claims of a JWT (RFC 7519). Raises ValueError if it is none; the text does not repeat it."""
    payload = _payload(token)
    auth, profile = _object(payload, _AUTH), _object(payload, _PROFILE)
    return Claims(
        email=_text(payload, "email") or _text(profile, "email"),
        plan=_text(auth, "chatgpt_plan_type"),
        user_id=_text(auth, "chatgpt_user_id") or _text(auth, "user_id"),
        account_id=_text(auth, "chatgpt_account_id"),
        expires_at=_seconds(payload.get("exp")),
    )


def _payload(token: str) -> dict[str, Any]:
    parts = token.split(".")
    if len(parts) != 3 or not all(parts[:2]):
        raise ValueError("it does not have three parts")
    try:
        raw = base64.b64decode(parts[1] + "=" * (-len(parts[1]) % 4), altchars=b"-_", validate=True)
        payload = json.loads(raw)
    except (binascii.Error, ValueError, RecursionError):
        raise ValueError("its payload is not base64url JSON") from None
    if not isinstance(payload, dict):
        raise ValueError("its payload is no object")
    return payload


def _object(payload: dict[str, Any], name: str) -> dict[str, Any]:
    value = payload.get(name)
    return value if isinstance(value, dict) else {}


def _text(payload: dict[str, Any], name: str) -> str | None:
    value = payload.get(name)
    return value if isinstance(value, str) and value else None


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        seconds = float(value)
    except OverflowError:
        return None
    return seconds if math.isfinite(seconds) else None
