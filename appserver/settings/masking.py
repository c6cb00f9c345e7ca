"""Masks values of a configuration that may be secret, so that it can be shown to a client. Pure.

Errs on the side of hiding: tables of headers, variables and query parameters, arguments of commands, keys whose names
suggest it, user and query of a URL, and any text that looks like a credential.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from appserver.log import redacted

if TYPE_CHECKING:
    from collections.abc import Mapping

MASK = "***"

_SECRET_TABLES = frozenset(("env", "env_vars", "headers", "http_headers", "query_params", "set"))
_SECRET_LISTS = frozenset(("args", "notify"))
_SECRET_KEY = re.compile(r"token|secret|password|passphrase|api_?key|authorization|credential|cookie", re.IGNORECASE)
_SHOWN = frozenset(("cli_auth_credentials_store", "mcp_oauth_credentials_store", "bearer_token_env_var"))
"""Keys that name a place where a secret is kept, and none."""


def masked(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a table that can be shown."""
    return {key: _shown(key, value) for key, value in values.items()}


def _shown(key: str, value: object) -> object:
    if isinstance(value, dict):
        if key == "refresher":  # all but its name goes to it, whatever it is
            return {**_all_masked(value), **_named(value)}
        return _all_masked(value) if key in _SECRET_TABLES else masked(value)
    if isinstance(value, list):
        return [MASK if key in _SECRET_LISTS else _shown(key, one) for one in value]
    if not isinstance(value, str):
        return value if isinstance(value, bool | int | float) or value is None else str(value)  # TOML's dates
    if _SECRET_KEY.search(key) and key not in _SHOWN:
        return MASK
    return redacted(_without_login(value))


def _all_masked(table: dict[str, Any]) -> dict[str, Any]:
    return {key: _all_masked(value) if isinstance(value, dict) else MASK for key, value in table.items()}


def _named(table: dict[str, Any]) -> dict[str, Any]:
    return {"name": table["name"]} if isinstance(table.get("name"), str) else {}


def _without_login(text: str) -> str:
    """Take user, password and query out of a URL."""
    if "://" not in text:
        return text
    return re.sub(r"\?[^#\s]*", f"?{MASK}", re.sub(r"(?<=://)[^/@\s]*@", f"{MASK}@", text))
