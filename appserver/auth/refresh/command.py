"""A refresher that runs a command and reads the new access token from its output.

Chosen in config.toml (`[refresher]`, `name = "command"`, `command = ["my-sso", "token"]`), and the example of how
another package supplies a refresher: this module uses nothing that it could not. See docs/refreshers.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from appserver.auth.refresh.base import RefreshedTokens
from appserver.auth.refresh.printed_token import printed_token
from appserver.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from appserver.auth.refresh.base import Refresher, RefreshRequest

DEFAULT_TIMEOUT = 30.0
"""Seconds for the command: it may talk to a network."""


class CommandRefresher:
    """Runs a command, without a shell, and takes its output as the token."""

    def __init__(self, command: list[str], timeout: float = DEFAULT_TIMEOUT) -> None:
        self._command = command
        self._timeout = timeout

    async def refresh(self, request: RefreshRequest) -> RefreshedTokens:
        """Return the token that the command prints. Raises RefreshError; its text never holds the output."""
        return RefreshedTokens(access_token=await printed_token(self._command, self._timeout))


def create(options: Mapping[str, Any]) -> Refresher:
    """Make the refresher from the options under [refresher]: `command`, a list, and `timeout`, in seconds."""
    command, timeout = options.get("command"), options.get("timeout", DEFAULT_TIMEOUT)
    if not isinstance(command, list) or not command or not all(isinstance(word, str) for word in command):
        raise ConfigError("refresher.command: expected a list of strings")
    if not isinstance(timeout, int | float) or isinstance(timeout, bool) or timeout <= 0:
        raise ConfigError("refresher.timeout: expected a number of seconds above 0")
    return CommandRefresher(command, float(timeout))
