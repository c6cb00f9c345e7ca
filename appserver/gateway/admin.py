"""The admin commands: `appserver gateway user add NAME` and the like. They work beside running gateways.

Each prints one JSON object to stdout. A secret is printed once, when it is made.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import anyio

from appserver.arguments import settings_of
from appserver.auth.stores.auth_json import credential_in, parse_document
from appserver.commands.output import say_on_stderr
from appserver.errors import AppServerError, AuthError, ConfigError, RequestError
from appserver.gateway.database.schema import credentials
from appserver.gateway.database.secret_keys import mark_keys
from appserver.gateway.environment import Environment
from appserver.gateway.gateway import Gateway
from appserver.gateway.hashes import hashed_password, new_secret
from appserver.gateway.redirects import check_redirect_uri
from appserver.gateway.scopes import ALL, parsed
from appserver.log import set_up_logging
from appserver.parser import Parser
from protocol.base import Secret

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Awaitable, Callable, Mapping

    Act = Callable[[Gateway, Namespace], Awaitable[dict[str, Any]]]

MAX_INPUT = 1024 * 1024
"""Bytes of stdin that are read: an auth.json takes some KiB."""

SECRET_PREFIX = "sk-client-"  # noqa: S105 - the beginning of one

MIN_PASSWORD = 8
"""Characters (NIST SP 800-63B, section 3.1.1.2)."""


def run(words: list[str], environ: Mapping[str, str]) -> int:
    """Run an admin command and return the exit code. Raises AppServerError."""
    noun, verb = words[0], words[1] if len(words) > 1 else ""
    command = COMMANDS.get((noun, verb))
    if command is None:
        verbs = ", ".join(known for of, known in COMMANDS if of == noun)
        raise ConfigError(f"gateway {noun}: expected one of {verbs}")
    add_options, act = command
    parser = Parser(f"gateway {noun} {verb}")
    parser.add_configuration()
    add_options(parser)
    options = parser.parse(words[2:])
    settings, environment = settings_of(options, environ), Environment.read(environ)
    set_up_logging(settings.log_level)

    async def in_gateway() -> dict[str, Any] | AppServerError:
        async with Gateway.opened(settings, environment) as gateway:
            try:
                return await act(gateway, options)
            except AppServerError as exc:
                return exc  # raised out of the block, its task groups would wrap it

    outcome = anyio.run(in_gateway)
    if isinstance(outcome, AppServerError):
        raise outcome
    sys.stdout.write(json.dumps(outcome) + "\n")
    return 0


# Users


async def _add_user(gateway: Gateway, options: Namespace) -> dict[str, Any]:
    password = _first_line()
    user_id = await gateway.accounts.add_user(options.name, hashed_password(password) if password else None)
    return {"id": user_id, "name": options.name}


async def _set_password(gateway: Gateway, options: Namespace) -> dict[str, Any]:
    password = _first_line()
    if password is None:
        raise RequestError("The password is missing: it is the first line of stdin")
    await gateway.accounts.set_password(options.name, hashed_password(password))
    return {"name": options.name}


async def _list_users(gateway: Gateway, options: Namespace) -> dict[str, Any]:
    return {"users": await gateway.accounts.list_users()}


async def _remove_user(gateway: Gateway, options: Namespace) -> dict[str, Any]:
    await gateway.accounts.remove_user(options.name)
    return {"removed": options.name}


# Credentials


async def _import_credential(gateway: Gateway, options: Namespace) -> dict[str, Any]:
    await gateway.check_keys()
    try:
        credential = credential_in(parse_document(sys.stdin.buffer.read(MAX_INPUT)))
    except (ValueError, AuthError) as exc:
        raise RequestError(f"stdin is no auth.json that can be used: {exc}") from None
    if credential is None:
        raise RequestError("The auth.json on stdin holds no credential")
    await (await gateway.store_of(options.user)).save(credential)
    await gateway.accounts.note("credential.import", options.user)
    return _told(options.user, credential.mode, credential.account_id)


async def _login(gateway: Gateway, options: Namespace) -> dict[str, Any]:
    await gateway.check_keys()
    user_id = await gateway.user_id(options.user)
    account = gateway.users.workspace(user_id, await gateway.accounts.version(user_id) or 0).account
    flow = account.device_login(gateway.session)
    device = await flow.start()
    say_on_stderr("Open this address in a browser, on any device:", "", f"  {device.verification_url}", "")
    say_on_stderr("There, type this code, and give it to nobody else:", "", f"  {device.user_code.reveal()}", "")
    await account.finish_login(flow)
    held = await account.auth.look()
    if held is None:
        raise RequestError("The login is gone: somebody has removed it")
    await gateway.accounts.note("credential.login", options.user)
    return _told(options.user, held.credential.mode, held.credential.account_id)


async def _list_credentials(gateway: Gateway, options: Namespace) -> dict[str, Any]:
    return {"credentials": await gateway.accounts.list_credentials()}


async def _remove_credential(gateway: Gateway, options: Namespace) -> dict[str, Any]:
    await (await gateway.store_of(options.user)).delete(everywhere=True)
    await gateway.accounts.note("credential.remove", options.user)
    return {"removed": options.user}


async def _rotate(gateway: Gateway, options: Namespace) -> dict[str, Any]:
    """Encrypt everything with the first of GATEWAY_SECRET_KEYS, so that the others can be left out."""
    users = await gateway.accounts.list_users()
    rotated = [await gateway.store(user["id"]).reencrypt() for user in users]
    await mark_keys(gateway.database, gateway.place.cipher)
    await gateway.accounts.note("credential.rotate", credentials.name)
    return {"rotated": sum(rotated)}


def _told(user: str, kind: str, account_id: str | None) -> dict[str, Any]:
    return {"user": user, "kind": kind, "account_id": account_id}


# Keys and clients


async def _add_key(gateway: Gateway, options: Namespace) -> dict[str, Any]:
    if any(limit is not None and limit < 1 for limit in (options.rpm, options.tpm)):
        raise RequestError("--rpm, --tpm: expected a number above 0")
    user_id = await gateway.user_id(options.user)
    key_id, key = await gateway.accounts.add_key(user_id, parsed(options.scopes), options.rpm, options.tpm)
    return {"id": key_id, "key": key.reveal()}


async def _list_keys(gateway: Gateway, options: Namespace) -> dict[str, Any]:
    return {"keys": await gateway.accounts.list_keys()}


async def _revoke_key(gateway: Gateway, options: Namespace) -> dict[str, Any]:
    await gateway.accounts.revoke_key(options.id)
    return {"revoked": options.id}


async def _remove_key(gateway: Gateway, options: Namespace) -> dict[str, Any]:
    await gateway.accounts.remove_key(options.id)
    return {"removed": options.id}


async def _add_client(gateway: Gateway, options: Namespace) -> dict[str, Any]:
    for uri in options.redirect_uri:
        check_redirect_uri(uri)
    secret = None if options.public else new_secret(SECRET_PREFIX)
    name = options.name or options.id
    await gateway.accounts.put_client(options.id, name, secret, parsed(options.scopes), options.redirect_uri)
    return {"client_id": options.id, "client_secret": None if secret is None else secret.reveal()}


async def _list_clients(gateway: Gateway, options: Namespace) -> dict[str, Any]:
    return {"clients": await gateway.accounts.list_clients()}


async def _remove_client(gateway: Gateway, options: Namespace) -> dict[str, Any]:
    await gateway.accounts.remove_client(options.id)
    return {"removed": options.id}


async def _list_audit(gateway: Gateway, options: Namespace) -> dict[str, Any]:
    return {"entries": await gateway.accounts.audit_log(options.limit)}


# Options


def _nothing(parser: ArgumentParser) -> None:
    pass


def _name(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the user's")


def _id(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="as it was told when it was made")


def _user(parser: ArgumentParser) -> None:
    parser.add_argument("--user", required=True, metavar="NAME", help="whose it is")


def _scopes(parser: ArgumentParser) -> None:
    parser.add_argument("--scopes", default=" ".join(ALL), help=f"some of {' '.join(ALL)}, by spaces; else all")


def _key(parser: ArgumentParser) -> None:
    _user(parser)
    _scopes(parser)
    parser.add_argument("--rpm", type=int, metavar="N", help="requests per minute")
    parser.add_argument("--tpm", type=int, metavar="N", help="tokens per minute")


def _client(parser: ArgumentParser) -> None:
    parser.add_argument("--id", required=True, help="the client's id")
    parser.add_argument("--name", help="what the consent page calls it")
    _scopes(parser)
    parser.add_argument("--redirect-uri", nargs="+", action="extend", required=True, metavar="URI", help="exact")
    parser.add_argument("--public", action="store_true", help="it cannot keep a secret, so it must use PKCE")


def _limit(parser: ArgumentParser) -> None:
    parser.add_argument("--limit", type=int, default=100, metavar="N", help="how many entries; 100, if not given")


COMMANDS: dict[tuple[str, str], tuple[Callable[[ArgumentParser], None], Act]] = {
    ("user", "add"): (_name, _add_user),
    ("user", "list"): (_nothing, _list_users),
    ("user", "password"): (_name, _set_password),
    ("user", "remove"): (_name, _remove_user),
    ("credential", "import"): (_user, _import_credential),
    ("credential", "login"): (_user, _login),
    ("credential", "list"): (_nothing, _list_credentials),
    ("credential", "remove"): (_user, _remove_credential),
    ("credential", "rotate"): (_nothing, _rotate),
    ("key", "add"): (_key, _add_key),
    ("key", "list"): (_nothing, _list_keys),
    ("key", "revoke"): (_id, _revoke_key),
    ("key", "remove"): (_id, _remove_key),
    ("client", "add"): (_client, _add_client),
    ("client", "list"): (_nothing, _list_clients),
    ("client", "remove"): (_id, _remove_client),
    ("audit", "list"): (_limit, _list_audit),
}


def _first_line() -> Secret | None:
    """Return the password on stdin, None if there is none. Raises RequestError for one that is too short."""
    line = sys.stdin.buffer.readline(MAX_INPUT).decode("utf-8", "replace").rstrip("\r\n")
    if line and len(line) < MIN_PASSWORD:
        raise RequestError(f"A password has {MIN_PASSWORD} characters or more")
    return Secret(line) if line else None
