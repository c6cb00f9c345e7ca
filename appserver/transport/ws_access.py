"""Bearer tokens of clients that connect over TCP: a capability token, or one that another party has signed.

Pure. Every comparison of what a client has sent takes the same time, however much of it is right.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_TOKEN_BYTES = 16 * 1024
"""More than a request's header may have; a bound on what is decoded."""

MIN_SECRET_BYTES = 32
"""A shorter secret could be guessed: HS256 wants as many bytes as its hash has (RFC 7518, section 3.2)."""

CLOCK_SKEW_SECONDS = 30.0
"""How far the clocks of the two sides may be apart."""


class Access(Protocol):
    """Decides who may connect."""

    def allows(self, token: str) -> bool:
        """Whether a bearer token is good."""


class CapabilityToken:
    """Allows one token, of which it knows the SHA-256 digest."""

    def __init__(self, digest: bytes) -> None:
        self._digest = digest

    def allows(self, token: str) -> bool:
        """Whether it is that token."""
        return hmac.compare_digest(hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest(), self._digest)


class SignedBearer:
    """Allows JSON Web Tokens (RFC 7519) that are signed with a shared secret (HS256) and have not expired."""

    def __init__(
        self,
        secret: bytes,
        issuer: str | None = None,
        audience: str | None = None,
        skew: float = CLOCK_SKEW_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`issuer`, `audience`: what `iss` and `aud` must be, if it matters. `skew`: in seconds."""
        self._secret = secret
        self._issuer = issuer
        self._audience = audience
        self._skew = skew
        self._clock = clock

    def allows(self, token: str) -> bool:
        """Whether the signature is right, and the claims are."""
        if len(token) > MAX_TOKEN_BYTES or not token.isascii():
            return False
        signed, _, signature = token.rpartition(".")
        expected = hmac.digest(self._secret, signed.encode(), "sha256")
        found = _decoded(signature)
        if found is None or not hmac.compare_digest(found, expected):
            return False
        header, _, payload = signed.partition(".")
        algorithm = _object(header).get("alg")
        return algorithm == "HS256" and self._claims_hold(_object(payload))

    def _claims_hold(self, claims: dict[str, Any]) -> bool:
        now, expires, begins = self._clock(), claims.get("exp"), claims.get("nbf", 0)
        if not (isinstance(expires, int | float) and isinstance(begins, int | float)):
            return False
        audience = claims.get("aud")
        return bool(
            now < expires + self._skew
            and now >= begins - self._skew
            and (self._issuer is None or claims.get("iss") == self._issuer)
            and (self._audience is None or self._audience in (audience if isinstance(audience, list) else [audience]))
        )


def _decoded(part: str) -> bytes | None:
    try:
        return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None


def _object(part: str) -> dict[str, Any]:
    try:
        found = json.loads(_decoded(part) or b"")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
