"""The command line, and how a mistake in it or in the configuration is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.run import HELLO, lines, run
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
        ('model = "a"\nmodel = \n', ":2:9: Invalid value"),
        ("model = 5", "model: expected str, got int"),
        ('model_provider = "nope"', "model_provider: there is no [model_providers.nope]"),
        ("\ufffe", ":1:1: Invalid statement"),
        ("a = " + "[" * 5000, "nested too deeply"),
        ('[refresher]\nname = "nope"', 'refresher.name: no installed package supplies "nope"'),
    ],
)
def test_with_strict_config_a_mistake_in_the_configuration_is_one_line_and_exit_code_2(
    config: str, place: str, environ: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "config.toml").write_text(config, encoding="utf-8")
    assert place in mistake(environ, "--strict-config")
    assert place in mistake(environ, "app-server", "--strict-config")


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        (["-c", "model"], "-c 'model': expected key=value"),
        (["-c", f"a..b={SECRET}"], "-c 'a..b'"),
        (
            ["--strict-config", "--config", "appserver.max_line_bytes=none"],
            "appserver.max_line_bytes: expected int, got str",
        ),
        (["-C", "/no/such/place"], "-C: No such file or directory"),
        (["-p", "nope", "--strict-config"], "profile: there is neither"),
        (["--listen", "tcp://127.0.0.1:0"], "--listen tcp://127.0.0.1:0: expected stdio://, unix://"),
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


def test_the_help_names_every_command(environ: dict[str, str]) -> None:
    done = run("--help", environ=environ)
    assert done.returncode == 0
    for command in (b"app-server", b"fake-backend", b"generate-json-schema"):
        assert command in done.stdout
