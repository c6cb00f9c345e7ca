"""The settings of an account in a program: config.toml and the environment, and over them what the program passes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal, get_args

from appserver.errors import ConfigError
from appserver.log import warn
from appserver.settings import environment_settings, load_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from appserver.settings import Settings

StoreKind = Literal["file", "keyring", "auto", "ephemeral"]
"""Where a credential is kept, as `cli_auth_credentials_store` in config.toml says it. See docs/credentials.md."""

_ENDPOINTS = ("CODEX_REFRESH_TOKEN_URL_OVERRIDE", "CODEX_REVOKE_TOKEN_URL_OVERRIDE", "CODEX_AUTHAPI_BASE_URL")
"""Variables that name single endpoints of the issuer: not of another one, which the program names."""


def account_settings(
    home: str | os.PathLike[str] | None,
    environ: Mapping[str, str],
    *,
    reads_config: bool = True,
    store_kind: StoreKind | None = None,
    issuer: str | None = None,
    client_id: str | None = None,
    refresh_skew: float | None = None,
    background_refresh: bool = True,
) -> Settings:
    """Return the settings. None: as config.toml and the environment say; times are in seconds. Raises ConfigError."""
    variables = dict(environ)
    if home is not None:
        variables["APPSERVER_HOME"] = os.fspath(home)
    if issuer is not None:
        variables["CODEX_APP_SERVER_LOGIN_ISSUER"] = issuer
        for name in _ENDPOINTS:
            variables.pop(name, None)
    if client_id is not None:
        variables["CODEX_APP_SERVER_LOGIN_CLIENT_ID"] = client_id
    settings = _configured(variables) if reads_config else environment_settings(variables)
    if store_kind is not None:
        if store_kind not in get_args(StoreKind):
            raise ConfigError(f"store_kind: expected one of {', '.join(get_args(StoreKind))}")
        settings = settings._replace(credentials_store=store_kind)
    if refresh_skew is not None:
        settings = settings._replace(refresh_skew=refresh_skew)
    return settings if background_refresh else settings._replace(background_interval=0.0)


def _configured(environ: Mapping[str, str]) -> Settings:
    """Read config.toml as the server does: a mistake in it is told, and keeps no user from signing in."""
    settings = load_settings(environ, lenient=True)
    for problem in settings.problems:
        warn(f"a setting is not used: {problem.message}")
    return settings
