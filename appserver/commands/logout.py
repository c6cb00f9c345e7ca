"""`appserver logout`: end the login on this machine, and tell the issuer unless it is to end here only."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from appserver.arguments import settings_of
from appserver.commands.account import kept, whom
from appserver.commands.output import say
from appserver.commands.terminal import log_for_person, with_account

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Mapping

    from appserver.server.account import Account


def add_options(parser: ArgumentParser) -> None:
    parser.description = "Sign out, and have the issuer revoke the login."
    parser.add_argument(
        "--local", action="store_true", help="do not revoke: the same login may be in use on other machines"
    )


def run(options: Namespace, environ: Mapping[str, str]) -> int:
    """Sign out. That nobody was signed in is no failure."""
    settings = settings_of(options, environ)
    log_for_person(settings, environ, "WARNING")  # a revocation that fails is told as a warning
    return with_account(settings, partial(_log_out, local=options.local))


async def _log_out(account: Account, *, local: bool) -> int:
    held, problem = account.auth.current(), account.auth.problem
    await account.auth.in_order(partial(account.sign_out, revoke=not local))
    if held is not None:
        say(f"Signed out. You were signed in {whom(held.credential)}.")
    elif problem is not None:
        say(f"Nobody was signed in. What could not be used has been removed: {kept(account)}.")
    else:
        say("Nobody was signed in.")
    return 0
