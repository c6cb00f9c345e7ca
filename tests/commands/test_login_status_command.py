"""`login status`: the reference's words and exit codes, which clients read to find out who is signed in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.commands.running import CommandLine

pytestmark = pytest.mark.anyio


async def test_nobody_is_signed_in(appserver: CommandLine) -> None:
    assert await appserver("login", "status") == (1, "", "Not logged in\n")


@pytest.mark.parametrize(
    ("key", "shown"), [("sk-proj-1234567890ABCDE", "sk-proj-***ABCDE"), ("sk-1", "***"), ("sk-1234567890", "***")]
)
async def test_an_api_key_is_told_with_its_ends(appserver: CommandLine, key: str, shown: str) -> None:
    await appserver("login", "--with-api-key", stdin=key.encode())
    assert await appserver("login", "status") == (0, "", f"Logged in using an API key - {shown}\n")


async def test_a_chatgpt_login_is_told_on_either_side_of_options(signed_in: CommandLine) -> None:
    assert await signed_in("login", "status") == (0, "", "Logged in using ChatGPT\n")
    assert await signed_in("-c", "model=x", "login", "-c", "model=y", "status") == (0, "", "Logged in using ChatGPT\n")


async def test_a_login_that_is_not_allowed_or_not_readable_is_none(signed_in: CommandLine) -> None:
    assert (await signed_in("login", "status", "-c", "forced_login_method=api")).code == 1
    (signed_in.home / "auth.json").write_text("{", encoding="utf-8")
    done = await signed_in("login", "status")
    assert done.code == 1
    assert done.err.startswith("Error checking login status: ")


async def test_a_configuration_that_cannot_be_used_is_told_with_1(appserver: CommandLine) -> None:
    (appserver.home / "config.toml").write_text("model = [", encoding="utf-8")
    done = await appserver("login", "status")
    assert done.code == 1
    assert done.err.startswith("Error loading configuration: ")
