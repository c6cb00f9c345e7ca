"""From the home directory, config.toml, -c overrides and the environment to Settings, read once.

Only `cli.py` hands in the environment; nothing else reads it. A mistake in a setting is a ConfigError that names the
file and the position, or the key.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from appserver.log_levels import wanted_levels
from appserver.settings.providers import read_provider
from appserver.settings.sources import apply_override, read_file
from appserver.settings.table import Table
from appserver.settings.values import (
    BUILT_IN_PROVIDER,
    DEFAULT_CHATGPT_BASE_URL,
    DEFAULT_CLIENT_ID,
    DEFAULT_ISSUER,
    DEFAULT_TOOL_TIMEOUT,
    Provider,
    Settings,
)
from appserver.transport.framing import DEFAULT_MAX_LINE_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def home_directory(environ: Mapping[str, str]) -> str:
    """Return the home: APPSERVER_HOME, else CODEX_HOME, else ~/.codex, so that an existing login is found."""
    named = environ.get("APPSERVER_HOME") or environ.get("CODEX_HOME")
    return os.path.abspath(named or os.path.join(os.path.expanduser("~"), ".codex"))


def load_settings(environ: Mapping[str, str], overrides: Sequence[str] = ()) -> Settings:
    """Read config.toml in the home and apply `key=value` overrides. Raises ConfigError."""
    home = home_directory(environ)
    path = os.path.join(home, "config.toml")
    table = read_file(path)
    for override in overrides:
        apply_override(table, override)
    return _settings(Table(table, path), home, environ)


def _settings(config: Table, home: str, environ: Mapping[str, str]) -> Settings:
    providers = {name: read_provider(config, name, environ) for name in config.table("model_providers").raw()}
    providers.setdefault(BUILT_IN_PROVIDER, Provider(BUILT_IN_PROVIDER, "OpenAI"))
    chosen = config.get("model_provider", str) or BUILT_IN_PROVIDER
    if chosen not in providers:
        raise config.error("model_provider", f"there is no [model_providers.{chosen}]")
    issuer = (environ.get("CODEX_APP_SERVER_LOGIN_ISSUER") or DEFAULT_ISSUER).rstrip("/")
    ca_variable = next((name for name in ("CODEX_CA_CERTIFICATE", "SSL_CERT_FILE") if environ.get(name)), None)
    refresher = config.table("refresher")
    server = config.table("appserver")
    return Settings(
        home=home,
        model=config.get("model", str),
        provider=providers[chosen],
        providers=providers,
        reasoning_effort=config.get("model_reasoning_effort", str),
        forced_login_method=_forced_login_method(config),
        forced_workspaces=_forced_workspaces(config),
        chatgpt_base_url=(config.get("chatgpt_base_url", str) or DEFAULT_CHATGPT_BASE_URL).rstrip("/"),
        issuer=issuer,
        client_id=environ.get("CODEX_APP_SERVER_LOGIN_CLIENT_ID") or DEFAULT_CLIENT_ID,
        credentials_store=_credentials_store(config),
        token_url=environ.get("CODEX_REFRESH_TOKEN_URL_OVERRIDE") or f"{issuer}/oauth/token",
        revoke_url=environ.get("CODEX_REVOKE_TOKEN_URL_OVERRIDE") or f"{issuer}/oauth/revoke",
        ca_file=environ[ca_variable] if ca_variable else None,
        ca_variable=ca_variable,
        refresher=refresher.get("name", str),
        refresher_options={key: value for key, value in refresher.raw().items() if key != "name"},
        refresh_timeout=server.seconds("refresh_timeout", 10.0),
        refresh_skew=server.seconds("refresh_skew", 120.0),
        background_interval=server.seconds("background_refresh_interval", 300.0, zero=True),
        background_skew=server.seconds("background_refresh_skew", 600.0),
        background_external=server.get("background_refresh_external", bool) or False,
        tool_timeout=server.seconds("tool_timeout", DEFAULT_TOOL_TIMEOUT),
        max_line_bytes=_max_line_bytes(server),
        log_level=wanted_levels(environ),
    )


def _forced_login_method(config: Table) -> str | None:
    method = config.get("forced_login_method", str)
    if method not in (None, "chatgpt", "api"):
        raise config.error("forced_login_method", 'expected "chatgpt" or "api"')
    return method


def _forced_workspaces(config: Table) -> tuple[str, ...]:
    value = config.raw().get("forced_chatgpt_workspace_id")
    if value is None:
        return ()
    named = [value] if isinstance(value, str) else value
    if not isinstance(named, list) or not all(isinstance(one, str) and one for one in named):
        raise config.error("forced_chatgpt_workspace_id", "expected a workspace id or a list of them")
    return tuple(named)


def _credentials_store(config: Table) -> str:
    chosen = config.get("cli_auth_credentials_store", str) or "file"
    if chosen not in ("file", "keyring", "auto", "ephemeral"):
        expected = 'expected "file", "keyring", "auto" or "ephemeral"'
        raise config.error("cli_auth_credentials_store", f'{expected}, not "{chosen}"')
    return chosen


def _max_line_bytes(server: Table) -> int:
    value = server.get("max_line_bytes", int)
    if value is not None and value < 1:
        raise server.error("max_line_bytes", "expected a number of bytes above 0")
    return DEFAULT_MAX_LINE_BYTES if value is None else value
