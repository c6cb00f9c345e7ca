"""`appserver status`: who is signed in, until when, and where the login is stored. Sends no request, shows no token."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, TypedDict

from appserver import __version__
from appserver.arguments import settings_of
from appserver.auth.credentials import ManagedTokens
from appserver.commands.account import distance, moment
from appserver.commands.output import FAILED, say, say_json, table
from appserver.commands.terminal import log_for_person, with_account
from appserver.session import PROTOCOL_VERSION

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Mapping

    from appserver.auth.credentials import Credential
    from appserver.server.account import Account
    from protocol.account import AuthMode, NeedsLogin


class Store(TypedDict):
    """The store in use: file, keyring or ephemeral, and where that is, for a person to read."""

    kind: str
    where: str


class Status(TypedDict):
    """What `--json` writes. Names are spelled as in the protocol; times are RFC 3339, null where not known.

    version is this program's own, protocolVersion what `--version` tells.
    """

    version: str
    protocolVersion: str
    signedIn: bool
    mode: AuthMode | None
    email: str | None
    planType: str | None
    accountId: str | None
    tokenExpiresAt: str | None
    lastRefresh: str | None
    store: Store
    needsLogin: NeedsLogin | None


def add_options(parser: ArgumentParser) -> None:
    parser.description = "Tell who is signed in. Exit code 0: somebody is; 1: nobody is, or they must sign in again."
    parser.add_argument("--json", action="store_true", help="write JSON")


def run(options: Namespace, environ: Mapping[str, str]) -> int:
    settings = settings_of(options, environ)
    log_for_person(settings, environ, "ERROR")  # a stored login that cannot be used is part of the answer
    return with_account(settings, partial(_tell, as_json=options.json))


async def _tell(account: Account, *, as_json: bool) -> int:
    status = read_status(account)
    if as_json:
        say_json(status)
    else:
        held = account.auth.current()
        say(*table(_rows(status, _expiry(held.credential if held else None))))
    return 0 if status["signedIn"] and status["needsLogin"] is None else FAILED


def read_status(account: Account) -> Status:
    """Collect the status without sending a request."""
    held = account.auth.current()
    credential = held.credential if held else None
    identity = credential.identity if credential else None
    reason = account.auth.needs_login
    return {
        "version": __version__,
        "protocolVersion": PROTOCOL_VERSION,
        "signedIn": credential is not None,
        "mode": credential.mode if credential else None,
        "email": identity.email if identity else None,
        "planType": identity.plan if identity else None,
        "accountId": identity.account_id if identity else None,
        "tokenExpiresAt": moment(_expiry(credential)),
        "lastRefresh": (credential.last_refresh or None) if isinstance(credential, ManagedTokens) else None,
        "store": {"kind": account.store.kind, "where": account.store.where},
        "needsLogin": {"reason": reason} if reason else None,
    }


def _rows(status: Status, expires_at: float | None) -> list[tuple[str, str]]:
    expiry, store, needs = status["tokenExpiresAt"], status["store"], status["needsLogin"]
    rows = [
        ("Signed in", "yes" if status["signedIn"] else "no"),
        ("Mode", status["mode"]),
        ("E-mail", status["email"]),
        ("Plan", status["planType"]),
        ("Account", status["accountId"]),
        ("Token expires", f"{expiry} ({distance((expires_at or 0) - time.time())})" if expiry else None),
        ("Last refresh", status["lastRefresh"]),
        ("Store", f"{store['kind']} ({store['where']})"),
        ("Needs login", needs["reason"] if needs else "no" if status["signedIn"] else "yes: appserver login"),
    ]
    return [(label, value) for label, value in rows if value is not None]


def _expiry(credential: Credential | None) -> float | None:
    return credential.expires_at if credential else None
