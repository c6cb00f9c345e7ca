"""What the environment says of the gateway, read once. A value that cannot be used is a ConfigError that names it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from appserver.errors import ConfigError
from protocol.base import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_HOST = "127.0.0.1"


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
            database_url=environ.get("GATEWAY_DATABASE_URL", "").strip() or None,
            secret_keys=tuple(
                Secret(key) for one in environ.get("GATEWAY_SECRET_KEYS", "").split(",") if (key := one.strip())
            ),
        )


def _secret(environ: Mapping[str, str], name: str) -> Secret | None:
    value = environ.get(name, "").strip()
    return Secret(value) if value else None


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
