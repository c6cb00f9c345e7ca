"""What the environment says of the gateway, read once. A value that cannot be used is a ConfigError that names it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from appserver.errors import ConfigError
from appserver.gateway.redirects import check_redirect_uri
from protocol.base import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_HOST = "127.0.0.1"


class OAuthClient(NamedTuple):
    """A confidential client that is there from the start."""

    id: str
    secret: Secret
    redirect_uris: tuple[str, ...]


class Environment(NamedTuple):
    """Settings of the gateway beside config.toml. Times are in seconds."""

    api_key: Secret | None = None
    """A key with all scopes, for the first user; for clients of a gateway that had just one."""
    openai_api_key: Secret | None = None
    """The credential of users who have none of their own."""
    keepalive: float = 15.0
    max_body_bytes: int = 32 * 1024 * 1024
    shutdown: float = 30.0
    """What running requests get when the server ends."""
    public_url: str = "http://127.0.0.1"
    """The issuer, and the beginning of every URL that is told. Without a slash at the end."""
    refresh_grace: float = 10.0
    """In which a client's refresh token may be used once more."""
    oauth_client: OAuthClient | None = None
    database_url: str | None = None
    """None: SQLite in the home."""
    secret_keys: tuple[Secret, ...] = ()
    """The first encrypts, all decrypt. None: a key is made in the home."""

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Environment:
        """Read the variables. Raises ConfigError."""
        return cls(
            api_key=_secret(environ, "GATEWAY_API_KEY"),
            openai_api_key=_secret(environ, "OPENAI_API_KEY"),
            keepalive=_number(environ, "GATEWAY_KEEPALIVE_SECONDS", 15.0),
            max_body_bytes=int(_number(environ, "GATEWAY_MAX_BODY_BYTES", 32 * 1024 * 1024)),
            shutdown=_number(environ, "GATEWAY_SHUTDOWN_SECONDS", 30.0),
            public_url=_public_url(environ),
            refresh_grace=_number(environ, "GATEWAY_REFRESH_GRACE_SECONDS", 10.0),
            oauth_client=_oauth_client(environ),
            database_url=environ.get("GATEWAY_DATABASE_URL", "").strip() or None,
            secret_keys=tuple(
                Secret(key) for one in environ.get("GATEWAY_SECRET_KEYS", "").split(",") if (key := one.strip())
            ),
        )


def _secret(environ: Mapping[str, str], name: str) -> Secret | None:
    value = environ.get(name, "").strip()
    return Secret(value) if value else None


def _public_url(environ: Mapping[str, str]) -> str:
    url = environ.get("GATEWAY_PUBLIC_URL", "").strip().rstrip("/")
    if url and not (url.startswith(("http://", "https://")) and url.isascii() and url.isprintable() and " " not in url):
        raise ConfigError("GATEWAY_PUBLIC_URL: expected http:// or https:// and a host")
    return url


def _oauth_client(environ: Mapping[str, str]) -> OAuthClient | None:
    client_id, secret = environ.get("OAUTH_CLIENT_ID", "").strip(), _secret(environ, "OAUTH_CLIENT_SECRET")
    redirect_uris = tuple(environ.get("OAUTH_REDIRECT_URIS", "").split())
    if not client_id:
        return None
    if secret is None or not redirect_uris:
        raise ConfigError("OAUTH_CLIENT_ID is set: OAUTH_CLIENT_SECRET and OAUTH_REDIRECT_URIS must be, too")
    for uri in redirect_uris:
        check_redirect_uri(uri)
    return OAuthClient(client_id, secret, redirect_uris)


def _number(environ: Mapping[str, str], name: str, default: float) -> float:
    """Read a number above 0."""
    given = environ.get(name, "").strip()
    if not given:
        return default
    try:
        value = float(given)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ConfigError(f"{name}: expected a number above 0")
    return value
