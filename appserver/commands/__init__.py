"""The commands for a person at a terminal: login, logout, status, doctor. They use the account that the daemon uses.

`proxy` is for programs: it joins stdio to a server that runs.

Each module says what its options are and runs: returns 0 or FAILED, or raises ConfigError. The environment is handed
in by cli.py, which owns parsing and the other exit codes. Nothing here is imported for the daemon.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Mapping


class Command(Protocol):
    """What a module of this package offers."""

    def add_options(self, parser: ArgumentParser) -> None:
        """Say what can stand on the command line."""

    def run(self, options: Namespace, environ: Mapping[str, str]) -> int:
        """Do it and return the exit code. Raises ConfigError."""


def command(name: str) -> Command:
    """Return the command with this name, importing no other."""
    match name:
        case "login":
            from appserver.commands import login

            return login
        case "login status":
            from appserver.commands import login_status

            return login_status
        case "logout":
            from appserver.commands import logout

            return logout
        case "status":
            from appserver.commands import status

            return status
        case "proxy":
            from appserver.commands import proxy

            return proxy
        case "doctor":
            from appserver.commands import doctor

            return doctor
        case "diagnostics":
            from appserver.commands import diagnostics

            return diagnostics
    raise ValueError(name)
