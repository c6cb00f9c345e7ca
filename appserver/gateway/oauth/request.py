"""Requests to the provider, checked. Pure.

An error before client and redirect URI are known to be good is shown to the person; all others go to the client.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

from appserver import json_text
from appserver.gateway.scopes import ALL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_FIELDS = 64
"""Of a query or a form. There are a dozen."""

MAX_VALUE = 4096
"""Characters of a value. `state` is the client's, and may be long."""

ALIASES = frozenset(("read", "write"))
"""What GPT Actions are often set up with: it stands for all that the client may have."""

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")  # RFC 7636, section 4.1


class Client(NamedTuple):
    """A registered client."""

    id: str
    name: str
    secret_hash: bytes | None
    """None: a public client."""
    scopes: tuple[str, ...]
    redirect_uris: tuple[str, ...]


class Authorization(NamedTuple):
    """A request for authorization that is good, as far as the client goes."""

    client_id: str
    redirect_uri: str
    redirect_uri_given: bool
    """Whether the client has named it: then it must do so again for the token."""
    scopes: tuple[str, ...]
    state: str | None
    challenge: str | None

    def sealed(self) -> bytes:
        """Return it as bytes, for a form."""
        return json_text.encode(self._asdict()).encode()

    @classmethod
    def opened(cls, data: bytes) -> Authorization:
        """Return what was sealed."""
        members = json_text.decode_stored(data.decode())
        return cls(**{**members, "scopes": tuple(members["scopes"])})


class Unusable(Exception):
    """Client or redirect URI are no good. The person is told, and nobody else."""


class OAuthError(Exception):
    """An error for the client (RFC 6749, sections 4.1.2.1 and 5.2)."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error = error
        self.description = description
        self.status = status

    @property
    def members(self) -> dict[str, str]:
        return {"error": self.error, "error_description": self.description}


class Rejected(OAuthError):
    """An error that goes to the client through the person's browser."""

    def __init__(self, error: str, description: str, redirect_uri: str, state: str | None) -> None:
        super().__init__(error, description)
        self.redirect_uri = redirect_uri
        self.state = state


def fields(encoded: str) -> dict[str, list[str]]:
    """Return what a query or a form says. Raises ValueError for too many fields, or values that are no text."""
    found: dict[str, list[str]] = {}
    for name, value in parse_qsl(encoded, keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict"):
        if len(value) > MAX_VALUE or "\0" in value:
            raise ValueError("a value cannot be used")
        if value:  # RFC 6749, section 3.1: one without a value counts as left out
            found.setdefault(name, []).append(value)
    return found


def once(found: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return fields that come once each. Raises ValueError for one that comes twice (RFC 6749, section 3.1)."""
    if any(len(values) > 1 for values in found.values()):
        raise ValueError("a parameter comes twice")
    return {name: values[0] for name, values in found.items()}


def redirect_uri_of(client: Client | None, found: Mapping[str, Sequence[str]]) -> str:
    """Return where to send the person back to. Raises Unusable."""
    if client is None or len(found.get("client_id", ())) != 1:
        raise Unusable("This application is not registered here.")
    given = found.get("redirect_uri", ())
    if not given and len(client.redirect_uris) == 1:
        return client.redirect_uris[0]
    if len(given) != 1 or given[0] not in client.redirect_uris:  # exactly, character by character
        raise Unusable("The application wants you sent to an address that is not registered for it.")
    return given[0]


def authorization(client: Client, redirect_uri: str, found: Mapping[str, Sequence[str]]) -> Authorization:
    """Return the request. Raises Rejected."""
    states = found.get("state", ())
    state = states[0] if len(states) == 1 else None

    def rejected(error: str, description: str) -> Rejected:
        return Rejected(error, description, redirect_uri, state)

    try:
        given = once(found)
    except ValueError as exc:
        raise rejected("invalid_request", str(exc)) from None
    if "response_type" not in given:
        raise rejected("invalid_request", "response_type is missing")
    if given["response_type"] != "code":
        raise rejected("unsupported_response_type", "response_type must be code")
    if given.get("request") or given.get("request_uri"):
        raise rejected("request_not_supported", "request objects are not supported")
    challenge, method = given.get("code_challenge"), given.get("code_challenge_method")
    if challenge is None and (method is not None or client.secret_hash is None):
        raise rejected("invalid_request", "code_challenge is missing")
    if challenge is not None and (method != "S256" or not _CHALLENGE.fullmatch(challenge)):
        raise rejected("invalid_request", "code_challenge_method must be S256, with a challenge of 43 characters")
    scopes = scopes_asked(given.get("scope"), client.scopes)
    if scopes is None:
        raise rejected("invalid_scope", f"some of these can be asked for: {' '.join(client.scopes)}")
    return Authorization(client.id, redirect_uri, "redirect_uri" in given, scopes, state, challenge)


def scopes_asked(text: str | None, allowed: Sequence[str]) -> tuple[str, ...] | None:
    """Return the scopes that are asked for, all that are allowed where none is; None for one that is not allowed."""
    asked = set((text or "").split())
    if asked <= ALIASES:
        return tuple(allowed)
    if not asked <= set(allowed):
        return None
    return tuple(one for one in ALL if one in asked)


def response_uri(redirect_uri: str, members: Mapping[str, str | None]) -> str:
    """Return the redirect URI with the response added to its query."""
    query = urlencode({name: value for name, value in members.items() if value is not None})
    return f"{redirect_uri}{'&' if '?' in redirect_uri else '?'}{query}"


def verifier_fits(challenge: str | None, verifier: str | None) -> bool:
    """Whether a code verifier is the challenge's (RFC 7636, section 4.6). One without a challenge does not fit."""
    if challenge is None or verifier is None:
        return challenge is None and verifier is None
    if not _VERIFIER.fullmatch(verifier):
        return False
    made = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode("ascii")).digest()).rstrip(b"=").decode()
    return hmac.compare_digest(made, challenge)


def token_request(content_type: str, body: bytes) -> dict[str, str]:
    """Return the parameters of a request to the token endpoint: a form, or JSON. Raises OAuthError."""
    try:
        if content_type.partition(";")[0].strip().lower() != "application/json":
            return once(fields(body.decode("utf-8")))
        document: Any = json_text.decode(body)
        if not isinstance(document, dict):
            raise ValueError("it is no object")
        found = {name: value for name, value in document.items() if value is not None and value != ""}
        if not all(_is_text(value) for value in found.values()):
            raise ValueError("a value cannot be used")
    except ValueError:  # of bytes that are no UTF-8, too
        raise OAuthError("invalid_request", "The body is neither a form nor a JSON object that can be used") from None
    return found


def _is_text(value: object) -> bool:
    """Whether a value is a text that a database takes: JSON can also spell half a surrogate pair."""
    if not isinstance(value, str) or len(value) > MAX_VALUE or "\0" in value:
        return False
    return not any("\ud800" <= one <= "\udfff" for one in value)
