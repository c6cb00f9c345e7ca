"""initialize: who is there, and who we are.

Held against the protocol by hand: it is answered before pydantic is imported. Touches neither network nor disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from appserver.errors import InvalidParams
from appserver.session import platform_family, platform_os

if TYPE_CHECKING:
    from appserver.session import Session
    from appserver.settings import Settings
    from protocol.handshake import InitializeResult


def initialize(session: Session, settings: Settings, params: object) -> InitializeResult:
    """Begin the session."""
    members = _object(params, "params")
    client = _object(members.get("clientInfo"), "clientInfo")
    capabilities = _object(members.get("capabilities") or {}, "capabilities")
    unwanted = capabilities.get("optOutNotificationMethods") or []
    if not isinstance(unwanted, list) or not all(isinstance(method, str) for method in unwanted):
        raise InvalidParams(
            "Invalid params for initialize: capabilities.optOutNotificationMethods: expected a list of strings"
        )
    session.begin(_text(client, "name"), _text(client, "version"), frozenset(unwanted))
    return {
        "userAgent": session.user_agent,
        "codexHome": str(settings.home),
        "platformFamily": platform_family(),
        "platformOs": platform_os(),
    }


def _object(value: object, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidParams(f"Invalid params for initialize: {name}: expected an object")
    return value


def _text(members: dict[str, Any], name: str) -> str:
    value = members.get(name)
    if not isinstance(value, str):
        raise InvalidParams(f"Invalid params for initialize: clientInfo.{name}: expected a string")
    return value
