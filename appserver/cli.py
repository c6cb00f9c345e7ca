"""argv and environment to settings to a running server. The only place that reads either, and that exits.

Called as existing clients call the reference: `appserver [-c key=value]... [app-server] [--listen stdio://]`. Each
command has a parser of its own, built when it is asked for; a parent waits while that of `app-server` is.
"""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from appserver import __version__
from appserver.errors import AppServerError, ConfigError

if TYPE_CHECKING:
    from appserver.settings import Settings

EXIT_FAILED = 1
"""Not signed in, or a login or a check has failed."""

EXIT_CONFIG = 2
"""The configuration or the command line cannot be used (as argparse has it)."""

EXIT_INTERRUPTED = 130
"""128 plus SIGINT, where a signal arrives before there is a handler."""

HELP_COLUMNS = 100
"""How wide help is. Measuring the terminal would import shutil at every start."""

DESCRIPTION = """A JSON-RPC app-server over stdio, and the same services for a person at a terminal.

commands:
  app-server            serve a parent on stdin and stdout (the default)
  login                 sign in with a browser, a device code or an API key
  logout                sign out
  status                tell who is signed in
  doctor                look for what keeps this from working
  demo                  show everything, offline, in a few seconds
  fake-backend          serve an issuer and a Responses API on loopback, for tests
  generate-json-schema  write the protocol's JSON Schema

`appserver COMMAND --help` tells the options of a command."""

EXIT_CODES = """exit codes:
  0    it worked; somebody is signed in; no check has failed
  1    it did not work; nobody is signed in; a check has failed
  2    the command line or the configuration cannot be used
  130  interrupted with Ctrl-C"""

OPTIONS_WITH_VALUE = frozenset(("-c", "--config", "--listen", "--port", "--out"))
"""Those whose value is a word of its own, which is no command."""


def main() -> NoReturn:
    """Run the command that argv names."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run a command and return its exit code."""
    command, words = _split(arguments)
    try:
        match command:
            case "app-server":
                return _serve(words)
            case "login" | "logout" | "status" | "doctor":
                return _run_for_person(command, words)
            case "demo":
                return _demo(words)
            case "fake-backend":
                return _fake_backend(words)
            case "generate-json-schema":
                return _generate_schema(words)
            case _:
                _Parser("").error("there is no such command")
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except AppServerError as exc:
        _complain(command, exc.message)
        return EXIT_CONFIG if isinstance(exc, ConfigError) else EXIT_FAILED


def _complain(command: str, problem: str) -> None:
    """Tell on stderr what ends the command: as a log line where a parent reads it, else as people read it."""
    if command == "app-server":
        from appserver.log import log_error

        log_error(problem)
    else:
        sys.stderr.write(f"appserver: {problem}\n")


def _split(arguments: list[str]) -> tuple[str, list[str]]:
    """Return the command and all other words: options may stand on either side of it."""
    is_value = False
    for number, word in enumerate(arguments):
        if not is_value and not word.startswith("-"):
            return word, arguments[:number] + arguments[number + 1 :]
        is_value = not is_value and word in OPTIONS_WITH_VALUE
    return "app-server", arguments


def _serve(words: list[str]) -> int:
    parser = _Parser("", DESCRIPTION, EXIT_CODES)
    parser.add_argument("--version", action="version", version=f"appserver {__version__}")
    parser.add_argument("--listen", default="stdio://", metavar="URL", help="stdio://, the default")
    options = parser.parse(words)
    if options.listen != "stdio://":
        raise ConfigError(f"--listen {options.listen}: only stdio:// is served")
    from appserver.settings import load_settings

    # pydantic would look through every installed distribution for plugins; none is wanted here.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    return serve_stdio(load_settings(os.environ, options.config))


def serve_stdio(settings: Settings) -> int:
    """Serve the parent on stdin and stdout and return the exit code."""
    from appserver.heap import collect_rarely

    collect_rarely()  # first, for the imports that follow
    from appserver.porch import answer_first_lines
    from appserver.stderr import claim_stderr
    from appserver.transport.stdio import Stdio, TransportClosed
    from appserver.wiring import Connection

    stdio = Stdio.claim(settings.max_line_bytes)
    stderr = claim_stderr(settings.log_level)
    connection = Connection(settings)
    connection.check_configuration()
    try:
        if not answer_first_lines(connection, stdio):
            return 0
    except TransportClosed:
        return 0
    import anyio

    from appserver.heap import return_large_blocks
    from appserver.log import set_up_logging

    set_up_logging()
    return_large_blocks()
    code = anyio.run(partial(connection.serve, stdio, owns_process=True))
    if stdio.uses_threads:
        # A thread may be blocked in a read that nothing can end.
        stderr.close()
        os._exit(code)
    return code


def _run_for_person(name: str, words: list[str]) -> int:
    from appserver.commands import command

    chosen, parser = command(name), _Parser(name, epilog=EXIT_CODES)
    chosen.add_options(parser)
    try:
        return chosen.run(parser.parse(words), os.environ)
    except KeyboardInterrupt:
        sys.stderr.write("appserver: cancelled\n")
        return EXIT_INTERRUPTED


def _demo(words: list[str]) -> int:
    _Parser("demo", "Show everything, offline, in a few seconds.").parse(words)
    from appserver.testing.demo import run_demo

    return run_demo()


def _fake_backend(words: list[str]) -> int:
    parser = _Parser("fake-backend", "Serve an issuer and a Responses API on loopback, for tests.")
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one; the URL is printed")
    port = parser.parse(words).port
    import anyio

    from appserver.testing import FakeBackend, run_forever

    def tell(backend: FakeBackend) -> None:
        sys.stdout.write(f"{backend.url}\n")
        sys.stdout.flush()

    anyio.run(run_forever, port, tell)
    return 0


def _generate_schema(words: list[str]) -> int:
    parser = _Parser("generate-json-schema", "Write the protocol's JSON Schema.")
    parser.add_argument("--out", default="schema", metavar="DIR", help="where to write to")
    out = parser.parse(words).out
    from pathlib import Path

    from protocol.schema_export import write_schema

    write_schema(Path(out))
    return 0


class _Parser(argparse.ArgumentParser):
    """Complains in one line, and never repeats an argument: it may be a key that was put in the wrong place."""

    def __init__(self, command: str, description: str | None = None, epilog: str | None = None) -> None:
        prog = f"appserver {command}".rstrip()
        super().__init__(
            prog,
            usage=f"{prog} [options]" if command else "appserver [-c KEY=VALUE]... [command] [options]",
            description=description,
            epilog=epilog,
            formatter_class=_formatter,
            allow_abbrev=False,
        )
        self.add_argument(
            "-c", "--config", action="append", default=[], metavar="KEY=VALUE", help="override a key of config.toml"
        )

    def parse(self, words: list[str]) -> argparse.Namespace:
        """Parse what follows the command, or exit."""
        options, unknown = self.parse_known_args(words)
        if unknown:
            names = [word.partition("=")[0] for word in unknown if word.startswith("--")]
            self.error(f"unknown option {names[0]}" if names else "there is an argument too many")
        return options

    def error(self, message: str) -> NoReturn:
        """Exit. Where argparse repeats an argument, it does so in quotes and at the end."""
        problem = message.partition(" '")[0].rstrip(":").replace("ignored explicit argument", "it takes no value")
        self.exit(EXIT_CONFIG, f"{self.prog}: {problem} (try {self.prog} --help)\n")


def _formatter(prog: str) -> argparse.HelpFormatter:
    return argparse.RawTextHelpFormatter(prog, width=HELP_COLUMNS)
