"""How clients of the reference start the program and probe it: flags on either side of the command, versions, homes."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from appserver import __version__
from appserver.session import PROTOCOL_VERSION
from tests.e2e.run import HELLO, decoded, lines, request, run

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "sk-very-secret-value"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    home = tmp_path / "home"
    home.mkdir()
    return {"APPSERVER_HOME": str(home), "APPSERVER_LOG": ""}


def thread_started(environ: dict[str, str], *arguments: str) -> Any:  # noqa: ANN401 - a result's JSON
    """Start the program so, start a thread, and return what is in force for it. Nothing is complained of."""
    done = run(*arguments, environ=environ, stdin=lines(HELLO, request(1, "thread/start", ephemeral=True)))
    assert (done.returncode, done.stderr) == (0, b""), done
    hello, thread, *_ = decoded(done.stdout)
    assert (hello["id"], thread["id"]) == (0, 1)
    return thread["result"]


COMMAND = ("app-server",)

FLAGS = (
    ("-s", "read-only", "-a", "never"),
    ("-a", "untrusted"),
    ("--sandbox", "workspace-write", "--ask-for-approval=on-request"),
    ("-s", "danger-full-access", "--add-dir", ".."),
    ("--full-auto",),
    ("--dangerously-bypass-approvals-and-sandbox",),
    ("--yolo", "--search", "--no-daemon"),
    ("--enable", "fast_mode", "--disable", "shell_tool"),
    ("--strict-config",),
    ("--analytics-default-enabled",),
    ("--session-source", "vscode"),
    ("--oss", "--local-provider", "ollama"),
    ("-i", "one.png", "--worktree"),
    ("--stdio",),
    ("--listen", "stdio://"),
    ("-c", 'mcp_servers."a.b".enabled=false'),
)


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("flags", FLAGS, ids=" ".join)
def test_flags_of_the_reference_are_taken_on_either_side_of_the_command(
    flags: tuple[str, ...], side: str, environ: dict[str, str]
) -> None:
    thread_started(environ, *(flags + COMMAND if side == "before" else COMMAND + flags))


@pytest.mark.parametrize(
    "arguments",
    [
        ("-m", "a", "app-server"),
        ("app-server", "--model=a"),
        ("-c", "model=a", "app-server"),
        ("-c", "model=b", "app-server", "--config", "model=a", "--stdio"),
        ("--config=model=b", "--config=model=a"),
        ("-cmodel=a",),
        ("-c", "model=b", "-m", "a"),
        ("-p", "chosen", "app-server"),
        ("app-server", "--profile", "chosen"),
    ],
    ids=" ".join,
)
def test_what_has_a_meaning_is_acted_on(arguments: tuple[str, ...], environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "home" / "chosen.config.toml").write_text('model = "a"', encoding="utf-8")
    assert thread_started(environ, *arguments)["model"] == "a"


def test_threads_work_in_the_directory_that_is_named(tmp_path: Path, environ: dict[str, str]) -> None:
    (tmp_path / "work").mkdir()
    assert thread_started(environ, "-C", str(tmp_path / "work"), "app-server")["cwd"] == str(tmp_path / "work")
    assert thread_started(environ, "app-server", "--cd", str(tmp_path / "work"))["cwd"] == str(tmp_path / "work")
    assert thread_started(environ)["cwd"] == os.getcwd()


def test_what_has_no_meaning_is_told_once_and_only_to_who_wants_to_know(environ: dict[str, str]) -> None:
    arguments = ("-s", "read-only", "-a", "never", "app-server", "-s", SECRET)
    done = run(*arguments, environ={**environ, "APPSERVER_LOG": "info"}, stdin=lines(HELLO))
    told = done.stderr.decode().splitlines()
    assert len([line for line in told if "ignored" in line]) == 1
    assert told[0].endswith(" INFO appserver: ignored, as they have no meaning here: -s, -a")
    assert SECRET not in done.stderr.decode()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--strict-confg",), "unknown option --strict-confg, did you mean --strict-config? (try appserver --help)"),
        (("app-server", f"--modle={SECRET}"), "unknown option --modle, did you mean --model?"),
        (("app-servr",), "there is no such command, did you mean app-server?"),
        (("app-server", "generate-json-shema"), "there is an argument too many"),
        (("status", "--jsn"), "unknown option --jsn, did you mean --json?"),
        ((SECRET,), "there is no such command (try"),
        (("-m",), "expected one argument"),
        (("--listen", "off"), "--listen off: expected stdio://, unix://"),
    ],
)
def test_a_typo_is_refused_with_the_name_that_was_meant(
    arguments: tuple[str, ...], words: str, environ: dict[str, str]
) -> None:
    done = run(*arguments, environ=environ, stdin=lines(HELLO))
    told = done.stderr.decode()
    assert (done.returncode, done.stdout) == (2, b"")
    assert words in told
    assert SECRET not in told
    assert told.count("\n") == 1


@pytest.mark.parametrize("arguments", [("--version",), ("-V",), ("app-server", "--version"), ("-c", "a=b", "-V")])
def test_the_version_on_stdout_is_that_of_the_protocol(arguments: tuple[str, ...], environ: dict[str, str]) -> None:
    done = run(*arguments, environ=environ)
    assert done.returncode == 0
    assert done.stdout.decode().splitlines() == [f"codex-cli {PROTOCOL_VERSION}"]
    assert done.stderr.decode().splitlines() == [f"appserver {__version__}"]


@pytest.mark.parametrize(("command", "index"), [("generate-json-schema", "*.json"), ("generate-ts", "index.ts")])
def test_the_protocol_is_written_as_the_reference_is_asked_for_it(
    command: str, index: str, tmp_path: Path, environ: dict[str, str]
) -> None:
    for number, arguments in enumerate((("--out",), ("--experimental", "--enable", "x", "-o"))):
        out = tmp_path / str(number)
        assert run("app-server", command, *arguments, str(out), environ=environ).returncode == 0
        assert any(out.rglob(index))
    (tmp_path / "file").touch()
    done = run(command, "--out", str(tmp_path / "file" / "below"), environ=environ)
    assert (done.returncode, done.stderr.decode()) == (
        1,
        f"appserver: {tmp_path / 'file' / 'below'}: Not a directory\n",
    )


@pytest.mark.skipif(sys.platform == "win32", reason="a stand-in for the program is a shell script here")
def test_the_typescript_is_formatted_by_the_program_that_is_named(tmp_path: Path, environ: dict[str, str]) -> None:
    formatter = tmp_path / "prettier"
    formatter.write_text('#!/bin/sh\nshift; for file; do echo "// formatted" > "$file"; done\n', encoding="utf-8")
    formatter.chmod(0o700)
    out = tmp_path / "out"
    done = run("generate-ts", "-o", str(out), "-p", str(formatter), environ=environ)
    assert (done.returncode, done.stdout) == (0, b"")
    assert {file.read_text("utf-8") for file in out.iterdir()} == {"// formatted\n"}
    done = run("generate-ts", "-o", str(out), "--prettier", str(tmp_path / "none"), environ=environ)
    assert (done.returncode, done.stderr.decode()) == (1, "appserver: --prettier: No such file or directory\n")


# A configuration that cannot be used


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"model = [", "config.toml:1:10: "),
        (b"model_provider = 5", "config.toml:1:18: model_provider: expected str, got int"),
        (b'model_provider = "nope"', "config.toml:1:18: model_provider: there is no [model_providers.nope]"),
        (b'model = "\xff"', "config.toml: not UTF-8 at byte 9"),
        (b"#" * 100_000_000, "config.toml: it is larger than 1048576 bytes"),
        (b'[refresher]\nname = "nope"', 'refresher.name: no installed package supplies "nope"'),
        (None, "config.toml: it is a directory, not a regular file"),
        ("/dev/zero", "config.toml: it is a device, not a regular file"),
    ],
    ids=["no TOML", "type", "provider", "UTF-8", "large", "refresher", "directory", "device"],
)
def test_whatever_is_wrong_with_the_configuration_a_client_can_sign_in(
    content: bytes | str | None, problem: str, environ: dict[str, str], tmp_path: Path
) -> None:
    config = tmp_path / "home" / "config.toml"
    if isinstance(content, bytes):
        config.write_bytes(content)
    elif content is None:
        config.mkdir()
    elif sys.platform == "win32":
        pytest.skip("there is no such device")
    else:
        config.symlink_to(content)
    asked = (
        request(1, "account/login/start", type="apiKey", apiKey=SECRET),
        request(2, "account/read"),
        request(3, "thread/start"),
    )
    done = run("app-server", environ=environ, stdin=lines(HELLO, {"method": "initialized"}, *asked))
    assert done.returncode == 0
    told = decoded(done.stdout)
    assert [one.get("id", one.get("method")) for one in told[:2]] == [0, "configWarning"]
    assert problem in told[1]["params"]["details"]
    answers = {one["id"]: one for one in told if "id" in one}
    assert answers[2]["result"]["account"] == {"type": "apiKey"}
    refusal = answers[3]["error"]["message"]
    assert refusal.startswith("failed to load configuration: ")
    assert problem in refusal
    assert problem in done.stderr.decode()
    assert SECRET not in (done.stdout + done.stderr).decode()


def test_a_pipe_in_the_place_of_the_configuration_is_not_waited_for(environ: dict[str, str], tmp_path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("there are no such files")
    os.mkfifo(tmp_path / "home" / "config.toml")
    done = run(environ=environ, stdin=lines(HELLO))
    assert "it is a pipe" in decoded(done.stdout)[1]["params"]["details"]
