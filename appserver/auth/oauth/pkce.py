"""PKCE (RFC 7636) and the state parameter (RFC 6749, section 10.12). Pure but for the random source."""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass

from protocol.base import Secret

VERIFIER_BYTES = 64
"""Random bytes of a verifier: 86 characters, within the 43 to 128 of RFC 7636, section 4.1."""

STATE_BYTES = 32


@dataclass(frozen=True, slots=True)
class Pkce:
    """A verifier that stays here and the challenge that is sent ahead."""

    verifier: Secret
    challenge: str


def new_pkce() -> Pkce:
    """Make a verifier and its S256 challenge (RFC 7636, section 4.2)."""
    verifier = secrets.token_urlsafe(VERIFIER_BYTES)
    return Pkce(Secret(verifier), s256_challenge(verifier))


def s256_challenge(verifier: str) -> str:
    """Return the S256 challenge of a verifier, 43 characters."""
    digest = hashlib.sha256(verifier.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def new_state() -> str:
    """Make an unguessable state parameter."""
    return secrets.token_urlsafe(STATE_BYTES)
