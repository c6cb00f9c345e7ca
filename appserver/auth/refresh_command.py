"""A refresher that runs a command and reads the new access token from its output.

Chosen in config.toml (`[refresher]`, `name = "command"`, `command = ["my-sso", "token"]`), and the example of how
another package supplies a refresher: this module uses nothing that it could not. See docs/refreshers.md.
"""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any

import anyio

from appserver.auth.refresher import RefreshedTokens
from appserver.errors import ConfigError, RefreshError
from appserver.executable import find_executable
from protocol.base import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from appserver.auth.refresher import Refresher, RefreshRequest

DEFAULT_TIMEOUT = 30.0
"""Seconds for the command: it may talk to a network."""

MAX_TOKEN_CHARACTERS = 64 * 1024


class CommandRefresher:
    """Runs a command, without a shell, and takes its output as the token."""

    def __init__(self, command: list[str], timeout: float = DEFAULT_TIMEOUT) -> None:
        self._command = command
        self._timeout = timeout

    async def refresh(self, request: RefreshRequest) -> RefreshedTokens:
        """Return the token that the command prints. Raises RefreshError; its text never holds the output."""
        name, *arguments = self._command
        program = find_executable(name, os.environ)
        if program is None:
            raise RefreshError(f"{name} could not be run: PATH does not lead to it")
        try:
            with anyio.fail_after(self._timeout):
                done = await anyio.run_process([program, *arguments], stderr=subprocess.DEVNULL, check=False)
        except TimeoutError:
            raise RefreshError(f"{name} did not finish within {self._timeout:g}s") from None
        except OSError as exc:
            raise RefreshError(f"{name} could not be run: {exc.strerror}") from None
        if done.returncode != 0:
            raise RefreshError(f"{name} failed with exit code {done.returncode}")
        token = done.stdout.decode("utf-8", "replace").strip()
        if not token or len(token) > MAX_TOKEN_CHARACTERS:
            raise RefreshError(f"{name} printed no token")
        return RefreshedTokens(access_token=Secret(token))


def create(options: Mapping[str, Any]) -> Refresher:
    """Make the refresher from the options under [refresher]: `command`, a list, and `timeout`, in seconds."""
    command, timeout = options.get("command"), options.get("timeout", DEFAULT_TIMEOUT)
    if not isinstance(command, list) or not command or not all(isinstance(word, str) for word in command):
        raise ConfigError("refresher.command: expected a list of strings")
    if not isinstance(timeout, int | float) or isinstance(timeout, bool) or timeout <= 0:
        raise ConfigError("refresher.timeout: expected a number of seconds above 0")
    return CommandRefresher(command, float(timeout))
