"""Made-up identities and tokens: unsigned JWTs with the claims that the real issuer's carry. Pure.

Nothing here could be taken for a real credential: the algorithm is "none" and the signature says "fake".
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from dataclasses import asdict, dataclass
from typing import Any, Final

DEFAULT_EMAIL: Final = "user@example.com"
DEFAULT_PLAN: Final = "pro"
AUTH_CLAIM: Final = "https://api.openai.com/auth"
PROFILE_CLAIM: Final = "https://api.openai.com/profile"
_SIGNATURE: Final = "ZmFrZQ"  # "fake"


@dataclass(frozen=True)
class Profile:
    """Who signs in: a user in an account (a workspace), with an email address and a plan."""

    account: str | None = "org-1"
    user: str | None = "user-1"
    email: str | None = DEFAULT_EMAIL
    plan: str | None = DEFAULT_PLAN


@dataclass(frozen=True)
class Grant:
    """What a sign-in or a refresh gives."""

    id_token: str
    access_token: str
    refresh_token: str

    def as_dict(self) -> dict[str, str]:
        """Return the three tokens under their names on the wire."""
        return asdict(self)


def make_jwt(
    *,
    account: str | None = "org-1",
    user: str | None = "user-1",
    email: str | None = DEFAULT_EMAIL,
    plan: str | None = DEFAULT_PLAN,
    expires_in: float | None = 3600,
    **claims: object,
) -> str:
    """Build an unsigned JWT (RFC 7519, section 6). Two calls never give the same one.

    `expires_in` is in seconds from now, and may be negative. None leaves a claim out; `claims` adds top-
    level ones and overrides those above.
    """
    now = int(time.time())
    auth = {"chatgpt_plan_type": plan, "chatgpt_user_id": user, "chatgpt_account_id": account}
    payload = {
        "email": email,
        "iat": now,
        "exp": None if expires_in is None else int(now + expires_in),
        "jti": secrets.token_hex(8),
        AUTH_CLAIM: _present(auth),
        PROFILE_CLAIM: _present({"email": email}),
    }
    header = {"alg": "none", "typ": "JWT"}
    return f"{_segment(header)}.{_segment(_present(payload) | claims)}.{_SIGNATURE}"


def make_grant(profile: Profile, expires_in: float | None = 3600) -> Grant:
    """Make fresh tokens for a profile; `expires_in` seconds is what the access token says of itself."""
    claims = asdict(profile)
    return Grant(
        id_token=make_jwt(**claims),
        access_token=make_jwt(**claims, expires_in=expires_in),
        refresh_token=f"fake-refresh-{secrets.token_hex(8)}",
    )


def code_challenge(verifier: str) -> str:
    """Derive the S256 challenge of a PKCE verifier (RFC 7636, section 4.2)."""
    return _base64url(hashlib.sha256(verifier.encode()).digest())


def _present(claims: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in claims.items() if value is not None}


def _segment(value: dict[str, Any]) -> str:
    return _base64url(json.dumps(value).encode())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
