"""The `--ws-*` options: which tokens WebSocket clients show, and how a token that is made here is handed over."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from typing import TYPE_CHECKING, NamedTuple

from appserver.errors import ConfigError, ListenError
from appserver.log import warn
from appserver.regular_file import read_regular
from appserver.transport.upgrade import Policy
from appserver.transport.ws_access import CLOCK_SKEW_SECONDS, MIN_SECRET_BYTES, CapabilityToken, SignedBearer
from protocol.base import Secret

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appserver.arguments import Serving
    from appserver.transport.ws_access import Access

TOKEN_BYTES = 32
"""256 bits: more than anybody can try."""

CAPABILITY, SIGNED = "capability-token", "signed-bearer-token"


class Tokens(NamedTuple):
    """What clients have to show."""

    access: Access
    made: Secret | None = None
    """A token that was made now and has to be handed over on stdout."""


def policy(options: Serving, *, has_stdout: bool) -> tuple[Policy, Secret | None]:
    """Return who may connect, and the token to be handed over on stdout if there is one.

    `has_stdout`: whether a token can be handed over there. Raises ConfigError, ListenError.
    """
    tokens = _signed(options) if options.ws_auth == SIGNED else _capability(options, has_stdout=has_stdout)
    return Policy(tokens.access, frozenset(options.ws_allow_origin)), tokens.made


def announce(stdout: int, urls: Sequence[str], token: Secret | None) -> None:
    """Write the first line of stdout, a descriptor: where clients connect, and with what. Raises ListenError."""
    told = {"listening": urls, **({} if token is None else {"token": token.reveal()})}
    try:
        os.write(stdout, json.dumps(told).encode() + b"\n")
    except OSError as exc:
        raise ListenError(f"stdout: the token cannot be handed over: {exc.strerror}") from None


def _capability(options: Serving, *, has_stdout: bool) -> Tokens:
    for name, value in (("shared-secret-file", options.ws_shared_secret_file), ("issuer", options.ws_issuer)):
        if value is not None:
            raise ConfigError(f"--ws-{name} needs --ws-auth {SIGNED}")
    if options.ws_token_file is not None and options.ws_token_sha256 is not None:
        raise ConfigError("--ws-token-file and --ws-token-sha256 exclude each other")
    if options.ws_token_sha256 is not None:
        try:
            digest = bytes.fromhex(options.ws_token_sha256)
        except ValueError:
            digest = b""
        if len(digest) != hashlib.sha256().digest_size:
            raise ConfigError("--ws-token-sha256: expected 64 hexadecimal digits")
        return Tokens(CapabilityToken(digest))
    if options.ws_token_file is not None:
        return Tokens(_access(_token_in(os.path.abspath(options.ws_token_file))))
    if not has_stdout:
        raise ConfigError("--listen ws:// beside stdio:// needs --ws-token-file: stdout belongs to the protocol")
    made = Secret(secrets.token_urlsafe(TOKEN_BYTES))
    return Tokens(_access(made), made)


def _access(token: Secret) -> CapabilityToken:
    return CapabilityToken(hashlib.sha256(token.reveal().encode()).digest())


def _token_in(path: str) -> Secret:
    """Return the token in a file, which is made with a new one if it is missing."""
    try:
        made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return Secret(_read(path, "--ws-token-file").decode("utf-8", "replace"))
    except OSError as exc:
        raise ListenError(f"--ws-token-file: {path}: {exc.strerror}") from None
    token = Secret(secrets.token_urlsafe(TOKEN_BYTES))
    with os.fdopen(made, "w", encoding="ascii") as file:
        file.write(f"{token.reveal()}\n")
    return token


def _signed(options: Serving) -> Tokens:
    if options.ws_shared_secret_file is None:
        raise ConfigError(f"--ws-auth {SIGNED} needs --ws-shared-secret-file")
    if options.ws_token_file is not None or options.ws_token_sha256 is not None:
        raise ConfigError(f"--ws-token-file and --ws-token-sha256 need --ws-auth {CAPABILITY}")
    secret = _read(os.path.abspath(options.ws_shared_secret_file), "--ws-shared-secret-file")
    if len(secret) < MIN_SECRET_BYTES:
        raise ConfigError(f"--ws-shared-secret-file: expected {MIN_SECRET_BYTES} bytes or more")
    skew = CLOCK_SKEW_SECONDS if options.ws_max_clock_skew_seconds is None else options.ws_max_clock_skew_seconds
    return Tokens(SignedBearer(secret, options.ws_issuer, options.ws_audience, skew))


def _read(path: str, option: str) -> bytes:
    """Return what is in a file of secrets, without the white space around it."""
    try:
        found = read_regular(path)
    except OSError as exc:
        raise ListenError(f"{option}: {path}: {exc.strerror}") from None
    if os.name == "posix" and os.stat(path).st_mode & 0o077:
        warn(f"{option}: {path}: other users may read it")
    content = found.data.strip()
    if not content:
        raise ConfigError(f"{option}: {path}: the file is empty")
    return content
