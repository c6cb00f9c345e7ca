"""Points a daemon at the fake backend: the environment variables and the config.toml that do it.

Knows the names that daemons read; starts none, and looks at no environment itself.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

StrPath = str | os.PathLike[str]


def environ(url: str, home: StrPath) -> dict[str, str]:
    """Build the variables that make a daemon use this home and this issuer."""
    return {
        "CODEX_HOME": os.fspath(home),
        "APPSERVER_HOME": os.fspath(home),
        "CODEX_APP_SERVER_LOGIN_ISSUER": url,
        "CODEX_REFRESH_TOKEN_URL_OVERRIDE": f"{url}/oauth/token",
        "CODEX_REVOKE_TOKEN_URL_OVERRIDE": f"{url}/oauth/revoke",
    }


def write_config(url: str, home: StrPath, provider: Mapping[str, object] | None = None, **overrides: object) -> Path:
    """Write `home`/config.toml and return its path; `home` is made if missing. Raises OSError.

    Each override replaces a top-level key, None removes it; `provider` does the same to the keys of the
    model provider.
    """
    keys: dict[str, object] = {
        "name": "fake",
        "base_url": f"{url}/v1",
        "wire_api": "responses",
        "requires_openai_auth": True,
        "request_max_retries": 0,
        "stream_max_retries": 0,
        **(provider or {}),
    }
    config: dict[str, object] = {
        "model": "fake-model",
        "model_provider": "fake",
        "chatgpt_base_url": f"{url}/backend-api",
        "cli_auth_credentials_store": "file",
        **overrides,
    }
    path = Path(home) / "config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [*_lines(config), "", "[model_providers.fake]", *_lines(keys), ""]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def _lines(table: Mapping[str, object]) -> list[str]:
    return [f"{_string(key)} = {_value(value)}" for key, value in table.items() if value is not None]


def _value(value: object) -> str:
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, Mapping):
        return "{ " + ", ".join(_lines(value)) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    return json.dumps(value)  # booleans and numbers look the same in both


def _string(text: str) -> str:
    """Quote as a TOML basic string: JSON's escapes, and DEL, which only TOML forbids."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")
