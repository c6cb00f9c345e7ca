"""From layers of configuration and the environment to Settings, read once and frozen.

`cli.py` passes the environment; nothing else reads it. A mistake in a setting is a ConfigError that names the file and
the position, or the key.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from appserver.log_levels import wanted_levels
from appserver.settings.layers import flags_layer, located, merged, profile_layers, request_layer, user_layer
from appserver.settings.options import only_named, read_options
from appserver.settings.providers import is_known, read_provider
from appserver.settings.tables import Table, WrongValue, drop
from appserver.settings.values import (
    BUILT_IN_PROVIDER,
    DEFAULT_CHATGPT_BASE_URL,
    DEFAULT_CLIENT_ID,
    DEFAULT_ISSUER,
    DEFAULT_TOOL_TIMEOUT,
    Options,
    Provider,
    Settings,
)
from appserver.transport.framing import DEFAULT_MAX_LINE_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from appserver.settings.layers import Layer


def home_directory(environ: Mapping[str, str]) -> str:
    """Return the home: APPSERVER_HOME, else CODEX_HOME, else ~/.codex, so that an existing login is found."""
    named = environ.get("APPSERVER_HOME") or environ.get("CODEX_HOME")
    return os.path.abspath(named or os.path.join(os.path.expanduser("~"), ".codex"))


def load_settings(
    environ: Mapping[str, str],
    overrides: Sequence[str] = (),
    values: Mapping[str, Any] | None = None,
    *,
    profile: str | None = None,
    lenient: bool = False,
) -> Settings:
    """Read config.toml in the home and the profile, and apply `key=value` overrides. Raises ConfigError.

    `values`: what other options of the command line choose.
    `lenient`: what cannot be used is left out and noted in `Settings.problems`, but for a malformed override.
    """
    home = home_directory(environ)
    user, flags = user_layer(home), flags_layer(overrides, values or {})
    layers = (user, *_profile(home, profile, user, flags), flags)
    return _resolved(home, layers, environ, lenient=lenient)


def environment_settings(environ: Mapping[str, str]) -> Settings:
    """Return the settings of a program without a home: those of the environment, and the defaults."""
    return _resolved("", (), environ, lenient=False)


def thread_options(settings: Settings, config: Mapping[str, Any] | None) -> Options:
    """Return the options that the `config` of a thread chooses, and no other.

    Raises ConfigError, also for what was wrong with the settings from the start, unless `config` puts that right.
    """
    if not config:
        if settings.problems:
            raise settings.problems[0]
        return Options()
    request = request_layer(config)
    own = (*_profile(settings.home, None, *settings.layers, request), request)
    fresh = _resolved(settings.home, (*settings.layers, *own), settings.environ, lenient=False)
    return only_named(fresh.options, merged(own))


def provider_named(settings: Settings, name: str, config: Mapping[str, Any] | None = None) -> Provider | None:
    """Return a provider, None if there is none with this name. Raises ConfigError if it cannot be used.

    `config`: that of the thread; it may define the provider, or change it.
    """
    if name == settings.provider.id and not config:
        return settings.provider
    layers = (*settings.layers, request_layer(config or {}))
    table = Table(merged(layers))
    try:
        return read_provider(table, name, settings.environ) if is_known(table, name) else None
    except WrongValue as exc:
        raise located(layers, exc) from None


def _profile(home: str, name: str | None, *layers: Layer) -> list[Layer]:
    """Return the layers of the profile that is named, on the command line or by the last layer that names one."""
    named: object = name or next((one.values["profile"] for one in reversed(layers) if "profile" in one.values), None)
    return profile_layers(home, named, layers) if isinstance(named, str) else []


def _resolved(home: str, layers: tuple[Layer, ...], environ: Mapping[str, str], *, lenient: bool) -> Settings:
    problems = [layer.problem for layer in layers if layer.problem is not None]
    if problems and not lenient:
        raise problems[0]
    values = merged(layers)
    while True:
        try:
            settings = _settings(Table(values), home, environ)
        except WrongValue as exc:
            problem = located(layers, exc)
            if not lenient:
                raise problem from None
            problems.append(problem)
            drop(values, exc.key)  # and try again without it
        else:
            return settings._replace(layers=layers, values=values, problems=tuple(problems))


def _settings(config: Table, home: str, environ: Mapping[str, str]) -> Settings:
    config.get("profile", str)  # taken by the layers, if it is a string
    options = read_options(config, environ)
    issuer = (environ.get("CODEX_APP_SERVER_LOGIN_ISSUER") or DEFAULT_ISSUER).rstrip("/")
    ca_variable = next((name for name in ("CODEX_CA_CERTIFICATE", "SSL_CERT_FILE") if environ.get(name)), None)
    refresher = config.table("refresher")
    server = config.table("appserver")
    return Settings(
        home=home,
        environ=environ,
        options=options,
        provider=options.provider or read_provider(config, BUILT_IN_PROVIDER, environ),
        forced_login_method=config.one_of("forced_login_method", "chatgpt", "api"),
        forced_workspaces=_forced_workspaces(config),
        chatgpt_base_url=(config.get("chatgpt_base_url", str) or DEFAULT_CHATGPT_BASE_URL).rstrip("/"),
        issuer=issuer,
        client_id=environ.get("CODEX_APP_SERVER_LOGIN_CLIENT_ID") or DEFAULT_CLIENT_ID,
        credentials_store=config.one_of("cli_auth_credentials_store", "file", "keyring", "auto", "ephemeral") or "file",
        token_url=environ.get("CODEX_REFRESH_TOKEN_URL_OVERRIDE") or f"{issuer}/oauth/token",
        accounts_url=(environ.get("CODEX_AUTHAPI_BASE_URL") or f"{issuer}/api/accounts").rstrip("/"),
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


def _forced_workspaces(config: Table) -> tuple[str, ...]:
    value = config.raw().get("forced_chatgpt_workspace_id")
    if value is None:
        return ()
    named = [value] if isinstance(value, str) else value
    if not isinstance(named, list) or not all(isinstance(one, str) and one for one in named):
        raise config.error("forced_chatgpt_workspace_id", "expected a workspace id or a list of them")
    return tuple(named)


def _max_line_bytes(server: Table) -> int:
    value = server.get("max_line_bytes", int)
    if value is not None and value < 1:
        raise server.error("max_line_bytes", "expected a number of bytes above 0")
    return DEFAULT_MAX_LINE_BYTES if value is None else value
