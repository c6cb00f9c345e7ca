"""Model providers: the built-in ones, and what [model_providers.NAME] defines or changes.

A provider is checked when it is chosen; mistakes in others do not matter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from appserver.settings.values import BUILT_IN_PROVIDER, Provider, TokenCommand
from protocol.base import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from appserver.settings.tables import Table

LOCAL_PROVIDERS = {
    # Servers on the user's own machine: id -> port, as the reference has them.
    "ollama": 11434,
    "lmstudio": 1234,
}

ENV_HEADERS = {"OpenAI-Organization": "OPENAI_ORGANIZATION", "OpenAI-Project": "OPENAI_PROJECT"}
"""Headers of the built-in provider, and the variables that they are read from."""

FOREVER = float("inf")

MAX_RETRIES = 100
"""More retries than this are a mistake: the waits between them would add up to hours."""


def is_known(config: Table, name: str) -> bool:
    """Whether a provider of this name is defined, complete or not."""
    return name == BUILT_IN_PROVIDER or name in LOCAL_PROVIDERS or name in config.table("model_providers").raw()


def read_provider(config: Table, name: str, environ: Mapping[str, str]) -> Provider:
    """Return a known provider. Raises WrongValue if it cannot be used."""
    table = config.table("model_providers").table(name)
    wire_api = table.get("wire_api", str) or "responses"
    if wire_api != "responses":
        raise table.error("wire_api", f'only "responses" is spoken, not "{wire_api}"')
    base_url = table.get("base_url", str) or _usual_base_url(config, name, environ)
    if base_url is None and name != BUILT_IN_PROVIDER:
        raise table.error_here("base_url is missing")
    env_key = table.get("env_key", str)
    key = environ.get(env_key) if env_key else table.get("experimental_bearer_token", str)
    variables = {**(ENV_HEADERS if name == BUILT_IN_PROVIDER else {}), **table.strings("env_http_headers")}
    env_headers = {header: variable for header, variable in variables.items() if environ.get(variable)}
    from_env = {header: environ[variable] for header, variable in env_headers.items()}
    requires_auth = table.get("requires_openai_auth", bool)
    return Provider(
        id=name,
        name=table.get("name", str) or ("OpenAI" if name == BUILT_IN_PROVIDER else name),
        base_url=base_url.rstrip("/") if base_url else None,
        requires_openai_auth=(name == BUILT_IN_PROVIDER) if requires_auth is None else requires_auth,
        api_key=Secret(key) if key else None,
        env_key=env_key,
        env_key_hint=table.get("env_key_instructions", str),
        token_command=_token_command(table),
        headers={**table.strings("http_headers"), **from_env},
        env_headers=env_headers,
        query=table.strings("query_params"),
        stream_idle_timeout=table.seconds("stream_idle_timeout_ms", 300_000.0) / 1000,
        request_max_retries=_retries(table, "request_max_retries", 4),
        stream_max_retries=_retries(table, "stream_max_retries", 5),
    )


def _usual_base_url(config: Table, name: str, environ: Mapping[str, str]) -> str | None:
    """Return the URL of a built-in provider. None for that of the vendor: it depends on how the user signed in."""
    if name == BUILT_IN_PROVIDER:
        return config.get("openai_base_url", str)
    if name not in LOCAL_PROVIDERS:
        return None
    return environ.get("CODEX_OSS_BASE_URL") or (
        f"http://localhost:{environ.get('CODEX_OSS_PORT') or LOCAL_PROVIDERS[name]}/v1"
    )


def _token_command(provider: Table) -> TokenCommand | None:
    table = provider.table("auth")
    if not table.raw():
        return None
    for key in ("env_key", "experimental_bearer_token", "requires_openai_auth"):
        if provider.raw().get(key):
            raise provider.error("auth", f"cannot be combined with {key}")
    command, arguments = table.get("command", str), table.get("args", list) or []
    if not command or not all(isinstance(one, str) for one in arguments):
        raise table.error_here("expected command, a string, and args, a list of strings")
    interval = table.seconds("refresh_interval_ms", 300_000.0, zero=True) / 1000
    return TokenCommand(
        words=(command, *arguments),
        timeout=table.seconds("timeout_ms", 5000.0) / 1000,
        refresh_interval=interval or FOREVER,
        directory=table.get("cwd", str),
    )


def _retries(table: Table, key: str, default: int) -> int:
    value = table.get(key, int)
    if value is not None and value < 0:
        raise table.error(key, "expected a number that is not negative")
    return default if value is None else min(value, MAX_RETRIES)
