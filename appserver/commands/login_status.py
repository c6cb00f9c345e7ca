"""`appserver login status`: who is signed in, in the reference's words on stderr.

Clients read them, and the exit code.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from appserver.arguments import settings_of
from appserver.commands.output import FAILED
from appserver.commands.terminal import log_for_person, with_account
from appserver.errors import ConfigError

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Mapping

    from appserver.server.account import Account
    from protocol.base import Secret

SHORTEST_SHOWN = 14
"""Characters of an API key of which some are shown: a shorter one would be given away."""


def add_options(parser: ArgumentParser) -> None:
    parser.description = "Tell who is signed in, as clients ask for it. Exit code 0: somebody is; 1: nobody is."


def run(options: Namespace, environ: Mapping[str, str]) -> int:
    try:
        settings = settings_of(options, environ)
    except ConfigError as exc:
        return _tell(f"Error loading configuration: {exc.message}", FAILED)
    log_for_person(settings, environ, "ERROR")
    return with_account(settings, _status)


async def _status(account: Account) -> int:
    held = account.auth.current()
    if held is None:
        problem = account.auth.problem
        return _tell(f"Error checking login status: {problem}" if problem else "Not logged in", FAILED)
    if held.credential.mode == "apikey":
        return _tell(f"Logged in using an API key - {_shown(held.credential.bearer)}", 0)
    if held.credential.mode == "personalAccessToken":
        return _tell("Logged in using personal access token", 0)
    return _tell("Logged in using ChatGPT", 0)


def _tell(words: str, code: int) -> int:
    sys.stderr.write(f"{words}\n")
    return code


def _shown(key: Secret) -> str:
    """Return the beginning and the end of a key, as many characters as the reference shows."""
    text = key.reveal()
    return "***" if len(text) < SHORTEST_SHOWN else f"{text[:8]}***{text[-5:]}"
