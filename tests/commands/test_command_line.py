"""The command line itself: commands, options on either side of them, exit codes, and what start-up costs."""

from __future__ import annotations

import os
import re
import signal
import sys
from typing import TYPE_CHECKING

import anyio
import httpx
import pytest

from appserver.arguments import COMMANDS
from tests.commands.running import WAIT_SECONDS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.commands.running import CommandLine

pytestmark = pytest.mark.anyio

SERVING = (
    (),
    ("app-server",),
    ("-c", "model=a", "app-server", "-c", "model=b", "--listen", "stdio://"),
    ("--listen", "stdio://", "--config", "model=a", "app-server"),
    ("--config=model=a", "app-server"),
)


@pytest.mark.parametrize("words", SERVING, ids=" ".join)
async def test_serving_takes_options_on_either_side_of_the_command(
    appserver: CommandLine, words: tuple[str, ...]
) -> None:
    initialize = b'{"id":1,"method":"initialize","params":{"clientInfo":{"name":"tests","version":"1"}}}\n'
    done = await appserver(*words, stdin=initialize)
    assert (done.code, done.err) == (0, "")
    assert '"id":1' in done.out.replace(" ", "")


async def test_the_configuration_is_overridden_on_either_side_of_a_command(appserver: CommandLine) -> None:
    ephemeral = ("-c", "cli_auth_credentials_store=ephemeral")
    for words in ((*ephemeral, "status", "--json"), ("status", "--json", *ephemeral)):
        assert (await appserver(*words)).json["store"]["kind"] == "ephemeral"


USAGE_ERRORS = (
    ("frobnicate",),
    ("status", "--frobnicate"),
    ("logout", "now"),
    ("login", "--device-auth", "--with-api-key"),
    ("-c",),
    ("-c", "model", "status"),
    ("--listen", "ftp://127.0.0.1:1"),
    ("fake-backend", "--port", "x"),
)


@pytest.mark.parametrize("words", USAGE_ERRORS, ids=" ".join)
async def test_what_cannot_be_understood_is_told_in_one_line_and_ends_with_2(
    appserver: CommandLine, words: tuple[str, ...]
) -> None:
    done = await appserver(*words)
    assert (done.code, done.out) == (2, "")
    assert re.fullmatch("(.* ERROR )?appserver.*: .*\n", done.err)


async def test_a_broken_configuration_ends_a_command_with_2(appserver: CommandLine) -> None:
    (appserver.home / "config.toml").write_text("model = ", encoding="utf-8")
    done = await appserver("status")
    assert (done.code, done.out) == (2, "")
    assert re.fullmatch(r"appserver: .*config\.toml:1:9: Invalid value\n", done.err)


async def test_help_names_every_command_and_exit_code(appserver: CommandLine) -> None:
    done = await appserver("--help")
    assert done.code == 0
    for word in COMMANDS:
        assert re.search(rf"^  {word} ", done.out, re.MULTILINE), word
    assert re.findall(r"^  (\d+) ", done.out.partition("exit codes:")[2], re.MULTILINE) == ["0", "1", "2", "130"]


@pytest.mark.parametrize("command", ["login", "logout", "status", "doctor"])
async def test_every_command_has_help_of_its_own(appserver: CommandLine, command: str) -> None:
    done = await appserver(command, "--help")
    assert done.code == 0
    assert done.out.startswith(f"usage: appserver {command} [options]")
    assert "exit codes:" in done.out


async def test_the_schema_is_written_where_asked(appserver: CommandLine, tmp_path: Path) -> None:
    assert (await appserver("--out", str(tmp_path / "schema"), "generate-json-schema")).code == 0
    assert any((tmp_path / "schema").rglob("*.json"))


@pytest.mark.skipif(sys.platform == "win32", reason="there, a process cannot be sent SIGINT alone")
async def test_the_fake_backend_serves_until_interrupted(appserver: CommandLine) -> None:
    async with appserver.started("fake-backend", "--port", "0") as running:
        url = await running.shows(r"^(http://127\.0\.0\.1:\d+)$")
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"{url}/codex/device")).status_code == 200
        running.process.send_signal(signal.SIGINT)
        assert (await running.done()).code == 130


@pytest.mark.skipif(sys.platform == "win32", reason="there, a closed pipe is another error")
@pytest.mark.parametrize("words", [("status",), ("doctor", "--offline")], ids=" ".join)
async def test_a_reader_that_has_gone_is_no_traceback(appserver: CommandLine, words: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        with anyio.fail_after(WAIT_SECONDS):
            done = await anyio.run_process(appserver.command(*words), stdout=writer, check=False, env=appserver.environ)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"appserver: stdout: Broken pipe\n")


async def test_serving_imports_neither_the_other_commands_nor_what_help_needs(appserver: CommandLine) -> None:
    done = await appserver("-c", "model=a", "app-server", PYTHONPROFILEIMPORTTIME="1")
    imported = set(re.findall(r"\| +([\w.]+)$", done.err, re.MULTILINE))
    assert "appserver.server.connection" in imported
    assert not imported & {
        "appserver.commands",
        "appserver.server.workspace",
        "argparse",
        "shutil",
        "getpass",
        "webbrowser",
    }
