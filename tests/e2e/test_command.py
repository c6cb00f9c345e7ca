"""The command line, and how a mistake in it or in the configuration is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from appserver import __version__
from tests.e2e.run import HELLO, decoded, lines, request, run
from tests.log_form import FORM

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "sk-very-secret-value"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"APPSERVER_HOME": str(tmp_path)}


def mistake(environ: dict[str, str], *arguments: str) -> str:
    """Run what cannot be run; nothing is served, and one line says why, in the form of all lines of a server."""
    done = run(*arguments, environ=environ, stdin=lines(HELLO))
    assert done.returncode == 2, done
    assert done.stdout == b""
    told = done.stderr.decode()
    assert FORM.fullmatch(told.removesuffix("\n"))
    assert " ERROR appserver: " in told
    assert "Traceback" not in told
    return told


@pytest.mark.parametrize(
    ("config", "place"),
    [
        ('model = "a"\nmodel = \n', "line 2, column 9"),
        ("model = 5", "model: expected str, got int"),
        ('model_provider = "nope"', "model_provider: there is no [model_providers.nope]"),
        ("\ufffe", "line 1, column 1"),
        ("a = " + "[" * 5000, "nested too deeply"),
        ('[refresher]\nname = "nope"', 'refresher.name: no installed package supplies "nope"'),
    ],
)
def test_a_mistake_in_the_configuration_is_one_line_and_exit_code_2(
    config: str, place: str, environ: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "config.toml").write_text(config, encoding="utf-8")
    assert place in mistake(environ)


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        (["-c", "model"], "-c 'model': expected key=value"),
        (["-c", f"a..b={SECRET}"], "-c 'a..b'"),
        (["--config", "appserver.max_line_bytes=none"], "appserver.max_line_bytes: expected int, got str"),
        (["--listen", "ws://127.0.0.1:0"], "--listen ws://127.0.0.1:0: only stdio:// is served"),
    ],
)
def test_a_mistake_in_an_option_is_one_line_and_exit_code_2(
    arguments: list[str], place: str, environ: dict[str, str]
) -> None:
    told = mistake(environ, *arguments)
    assert place in told
    assert SECRET not in told


def test_a_wrong_log_level_is_one_line_and_exit_code_2(environ: dict[str, str]) -> None:
    assert "APPSERVER_LOG" in mistake({**environ, "APPSERVER_LOG": "loud"})


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["--nonsense"], ["app-server", "nonsense"], ["-c"], ["--listen"]], ids=" ".join
)
def test_a_command_or_option_that_there_is_not_is_refused(arguments: list[str], environ: dict[str, str]) -> None:
    done = run(*arguments, environ=environ)
    assert done.returncode == 2
    assert done.stdout == b""
    assert b"appserver: " in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["app-server"],
        ["app-server", "--listen", "stdio://"],
        ["--listen", "stdio://"],
        ["-c", "model=a", "app-server"],
        ["app-server", "-c", "model=a"],
        ["-c", "model=b", "app-server", "--config", "model=a", "--listen", "stdio://"],
        ["--config=model=b", "--config=model=a", "app-server"],
        ["-cmodel=a"],
    ],
    ids=" ".join,
)
def test_it_is_called_as_the_reference_is_called(arguments: list[str], environ: dict[str, str]) -> None:
    done = run(*arguments, environ=environ, stdin=lines(HELLO, request(1, "thread/start")))
    assert done.returncode == 0, done.stderr
    assert done.stderr == b""
    hello, thread, *_ = decoded(done.stdout)
    assert hello["id"] == 0
    if any("model=a" in argument for argument in arguments):
        assert thread["result"]["model"] == "a"


def test_the_version_is_told(environ: dict[str, str]) -> None:
    done = run("--version", environ=environ)
    assert (done.returncode, done.stdout) == (0, f"appserver {__version__}\n".encode())


def test_the_help_names_every_command(environ: dict[str, str]) -> None:
    done = run("--help", environ=environ)
    assert done.returncode == 0
    for command in (b"app-server", b"demo", b"fake-backend", b"generate-json-schema"):
        assert command in done.stdout
