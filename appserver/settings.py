"""Settings: the home directory, config.toml, -c overrides, and what the environment says, read once and frozen.

Only `cli.py` hands in the environment; nothing else reads it. A mistake in a setting is a ConfigError that names the
file and the position, or the key.
"""

from __future__ import annotations

import os
import tomllib
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from appserver.errors import ConfigError
from appserver.transport.framing import DEFAULT_MAX_LINE_BYTES
from protocol.base import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEFAULT_ISSUER = "https://auth.openai.com"
DEFAULT_CLIENT_ID = "app_EMoamEEZ73f0CkXaXp7hrann"
DEFAULT_CHATGPT_BASE_URL = "https://chatgpt.com/backend-api"
DEFAULT_API_BASE_URL = "https://api.openai.com/v1"
DEFAULT_MODEL = "gpt-6.1-sol"
BUILT_IN_PROVIDER = "openai"

DEFAULT_TOOL_TIMEOUT = 600.0
"""Seconds that a tool of the client's may take: it may run a build, or ask a person."""

MAX_RETRIES = 100
"""More retries than this are a slip of the pen: the waits between them would add up to hours."""

T = TypeVar("T")


NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


# Named tuples, and paths as strings: importing dataclasses and pathlib would take a third of the time to the handshake.
class Provider(NamedTuple):
    """Where model requests go. base_url None: the built-in one, which depends on how the user signed in."""

    id: str
    name: str
    base_url: str | None = None
    requires_openai_auth: bool = True
    api_key: Secret | None = None
    env_key: str | None = None
    """The environment variable that api_key is read from."""
    headers: Mapping[str, str] = NOTHING
    env_headers: Mapping[str, str] = NOTHING
    """Of those in headers that are read from the environment: header -> variable."""
    query: Mapping[str, str] = NOTHING
    stream_idle_timeout: float = 300.0
    """Seconds without a byte after which a stream counts as dead."""
    request_max_retries: int = 4
    """How often a request is sent again that brought no stream."""
    stream_max_retries: int = 5
    """How often an answer is asked for again whose stream broke."""

    def __repr__(self) -> str:
        return f"Provider({self.id!r})"  # headers and query may hold credentials


class Settings(NamedTuple):
    """What the server was told. Times are in seconds."""

    home: str
    model: str | None = None
    provider: Provider = Provider(BUILT_IN_PROVIDER, "OpenAI")
    providers: Mapping[str, Provider] = NOTHING
    reasoning_effort: str | None = None
    forced_login_method: str | None = None
    forced_workspaces: tuple[str, ...] = ()
    chatgpt_base_url: str = DEFAULT_CHATGPT_BASE_URL
    issuer: str = DEFAULT_ISSUER
    client_id: str = DEFAULT_CLIENT_ID
    credentials_store: str = "file"
    token_url: str = f"{DEFAULT_ISSUER}/oauth/token"
    revoke_url: str = f"{DEFAULT_ISSUER}/oauth/revoke"
    ca_file: str | None = None
    ca_variable: str | None = None
    refresher: str | None = None
    refresher_options: Mapping[str, Any] = NOTHING
    refresh_timeout: float = 10.0
    refresh_skew: float = 120.0
    """A token that expires within this is renewed before it is used."""
    background_interval: float = 300.0
    """How often to look for a token that will expire, in the background; 0 is never."""
    background_skew: float = 600.0
    background_external: bool = False
    tool_timeout: float = DEFAULT_TOOL_TIMEOUT
    max_line_bytes: int = DEFAULT_MAX_LINE_BYTES
    log_level: str = "WARNING"

    def __repr__(self) -> str:
        return f"Settings({self.home!r})"  # a refresher's options may hold credentials


def home_directory(environ: Mapping[str, str]) -> str:
    """Return the home: APPSERVER_HOME, else CODEX_HOME, else ~/.codex, so that an existing login is found."""
    named = environ.get("APPSERVER_HOME") or environ.get("CODEX_HOME")
    return os.path.abspath(named or os.path.join(os.path.expanduser("~"), ".codex"))


def load_settings(environ: Mapping[str, str], overrides: Sequence[str] = ()) -> Settings:
    """Read config.toml in the home and apply `key=value` overrides. Raises ConfigError."""
    home = home_directory(environ)
    path = os.path.join(home, "config.toml")
    table = _read(path)
    for override in overrides:
        _override(table, override)
    return _settings(_Table(table, path), home, environ)


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            return tomllib.loads(file.read())
    except FileNotFoundError:
        return {}
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError(f"{path}: {exc}") from None  # the text has line and column
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{path}: not UTF-8 at byte {exc.start}") from None
    except OSError as exc:
        raise ConfigError(f"{path}: {exc.strerror}") from None
    except (ValueError, RecursionError):  # which tomllib lets through
        raise ConfigError(f"{path}: a number is too long, or a value nested too deeply") from None


def _override(table: dict[str, Any], override: str) -> None:
    """Set a dotted key. The value is TOML; what is not is taken as a string, so that quotes are optional."""
    key, found, raw = override.partition("=")
    parts = [part.strip() for part in key.split(".")]
    if not found or not all(parts):
        raise ConfigError(f"-c {key!r:.60}: expected key=value")  # without the value: it may be a credential
    try:
        value = tomllib.loads(f"value = {raw}")["value"]
    except (ValueError, RecursionError):  # also what tomllib lets through: a number that is too long
        value = raw.strip()
    for part in parts[:-1]:
        inner = table.setdefault(part, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"-c {key}: {part} is no table")
        table = inner
    table[parts[-1]] = value


class _Table:
    """A TOML table that is read by key and type, and knows its place for error texts."""

    def __init__(self, values: dict[str, Any], place: str, prefix: str = "") -> None:
        self._values = values
        self._place = place
        self._prefix = prefix

    def get(self, key: str, kind: type[T]) -> T | None:
        """Return a value of the given type, or None if it is not set."""
        value = self._values.get(key)
        if value is None:
            return None
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            try:
                value = float(value)
            except OverflowError:
                raise self.error(key, "the number is too large") from None
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self.error(key, f"expected {kind.__name__}, got {type(value).__name__}")
        return value

    def seconds(self, key: str, default: float, *, zero: bool = False) -> float:
        """Return a duration. It must be above zero, or zero where that has a meaning."""
        value = self.get(key, float)
        if value is not None and not (value > 0 or (zero and value == 0)):
            raise self.error(key, "expected a number above 0")
        return default if value is None else value

    def table(self, key: str) -> _Table:
        """Return a nested table, empty if it is not set."""
        return _Table(self.get(key, dict) or {}, self._place, f"{self._prefix}{key}.")

    def strings(self, key: str) -> dict[str, str]:
        """Return a nested table of strings."""
        inner = self.table(key)
        return {name: inner.get(name, str) or "" for name in inner.raw()}

    def raw(self) -> dict[str, Any]:
        """Return the values as they are."""
        return self._values

    def error(self, key: str, problem: str) -> ConfigError:
        """Return the error for one key."""
        return ConfigError(f"{self._place}: {self._prefix}{key}: {problem}")


def _settings(config: _Table, home: str, environ: Mapping[str, str]) -> Settings:
    providers = {name: _provider(config, name, environ) for name in config.table("model_providers").raw()}
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
        log_level=_log_level(environ),
    )


def _provider(config: _Table, name: str, environ: Mapping[str, str]) -> Provider:
    table = config.table("model_providers").table(name)
    wire_api = table.get("wire_api", str) or "responses"
    if wire_api != "responses":
        raise table.error("wire_api", f'only "responses" is spoken, not "{wire_api}"')
    env_key = table.get("env_key", str)
    key = environ.get(env_key) if env_key else None
    if (base_url := table.get("base_url", str)) is None and name != BUILT_IN_PROVIDER:
        raise table.error("base_url", "is missing")
    env_headers = {
        header: variable for header, variable in table.strings("env_http_headers").items() if environ.get(variable)
    }
    from_env = {header: environ[variable] for header, variable in env_headers.items()}
    requires_auth = table.get("requires_openai_auth", bool)
    return Provider(
        id=name,
        name=table.get("name", str) or name,
        base_url=base_url.rstrip("/") if base_url else None,
        requires_openai_auth=(name == BUILT_IN_PROVIDER) if requires_auth is None else requires_auth,
        api_key=Secret(key) if key else None,
        env_key=env_key,
        headers={**table.strings("http_headers"), **from_env},
        env_headers=env_headers,
        query=table.strings("query_params"),
        stream_idle_timeout=table.seconds("stream_idle_timeout_ms", 300_000.0) / 1000,
        request_max_retries=_retries(table, "request_max_retries", 4),
        stream_max_retries=_retries(table, "stream_max_retries", 5),
    )


def _retries(table: _Table, key: str, default: int) -> int:
    value = table.get(key, int)
    if value is not None and value < 0:
        raise table.error(key, "expected a number that is not negative")
    return default if value is None else min(value, MAX_RETRIES)


def _forced_login_method(config: _Table) -> str | None:
    method = config.get("forced_login_method", str)
    if method not in (None, "chatgpt", "api"):
        raise config.error("forced_login_method", 'expected "chatgpt" or "api"')
    return method


def _forced_workspaces(config: _Table) -> tuple[str, ...]:
    value = config.raw().get("forced_chatgpt_workspace_id")
    if value is None:
        return ()
    named = [value] if isinstance(value, str) else value
    if not isinstance(named, list) or not all(isinstance(one, str) and one for one in named):
        raise config.error("forced_chatgpt_workspace_id", "expected a workspace id or a list of them")
    return tuple(named)


def _credentials_store(config: _Table) -> str:
    chosen = config.get("cli_auth_credentials_store", str) or "file"
    if chosen not in ("file", "keyring", "auto", "ephemeral"):
        expected = 'expected "file", "keyring", "auto" or "ephemeral"'
        raise config.error("cli_auth_credentials_store", f'{expected}, not "{chosen}"')
    return chosen


def _max_line_bytes(server: _Table) -> int:
    value = server.get("max_line_bytes", int)
    if value is not None and value < 1:
        raise server.error("max_line_bytes", "expected a number of bytes above 0")
    return DEFAULT_MAX_LINE_BYTES if value is None else value


def _log_level(environ: Mapping[str, str]) -> str:
    level = (environ.get("APPSERVER_LOG") or "WARNING").upper()
    if level not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise ConfigError("APPSERVER_LOG: expected debug, info, warning or error")
    return level
