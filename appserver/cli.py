"""From argv and environment to settings and a running server. Nothing else reads either of them, or exits.

Called as existing clients call the reference: `appserver [-c key=value]... [app-server] [--listen stdio://]`. Each
command has a parser of its own, built when it is asked for; a client waits while that of `app-server` is.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NoReturn

from appserver import __version__
from appserver.arguments import COMMANDS, EXIT_USAGE, STDIO, Serving, serving_at_once, settings_of, split_words
from appserver.errors import AppServerError, ConfigError
from appserver.log import prepare_form
from appserver.log_formats import TEXT, wanted_format
from appserver.session import PROTOCOL_VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appserver.settings import Settings

EXIT_FAILED = 1
"""Not signed in, or a login or a check has failed."""

EXIT_INTERRUPTED = 130
"""128 plus SIGINT, for a signal that arrives before a handler is installed."""

DESCRIPTION = """A JSON-RPC app-server over stdio, and the same services for a person at a terminal.

commands:
  app-server            serve a client on stdin and stdout (the default), or several on sockets
  proxy                 join stdin and stdout to a server that listens on a unix socket
  login                 sign in with a browser, a device code or an API key
  logout                sign out
  status                tell who is signed in
  diagnostics           tell figures about the server that runs
  doctor                look for what keeps this from working
  gateway               serve an OpenAI-compatible API over HTTP; needs the extra `gateway`
  fake-backend          serve an issuer and a Responses API on loopback, for tests
  generate-json-schema  write the protocol's JSON Schema
  generate-ts           write the protocol as TypeScript

`appserver COMMAND --help` tells the options of a command."""

EXIT_CODES = """exit codes:
  0    it worked; somebody is signed in; no check has failed
  1    it did not work; nobody is signed in; a check has failed
  2    the command line or the configuration cannot be used
  130  interrupted with Ctrl-C"""


def main() -> NoReturn:
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    command, words = split_words(arguments)
    try:
        match command:
            case "app-server":
                return _serve(words)
            case "login" | "login status" | "logout" | "status" | "diagnostics" | "doctor" | "proxy":
                return _run_for_person(command, words)
            case "gateway":
                return _gateway(words)
            case "fake-backend":
                return _fake_backend(words)
            case "generate-json-schema":
                from appserver.generate import generate_json_schema

                return generate_json_schema(words)
            case "generate-ts":
                from appserver.generate import generate_typescript

                return generate_typescript(words)
            case _:
                from appserver.parser import Parser, hint

                Parser("").error(f"there is no such command{hint(command, COMMANDS)}")
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except AppServerError as exc:
        _complain(command, exc.message)
        return EXIT_USAGE if isinstance(exc, ConfigError) else EXIT_FAILED


def _complain(command: str, problem: str) -> None:
    """Write the error that ends the command to stderr: as a log line if a client reads it, else for a person."""
    if command == "app-server":
        from appserver.log import log_error

        log_error(problem)
    else:
        sys.stderr.write(f"appserver: {problem}\n")


def _serve(words: list[str]) -> int:
    prepare_form(TEXT)  # until it is known which: a mistake on the command line is logged as well
    options = serving_at_once(words) or _parsed(words)
    if options.version:
        return _tell_version()
    # pydantic would look through every installed distribution for plugins; none is wanted here.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    lenient = not options.strict_config
    prepare_form(options.log_format or wanted_format(os.environ))
    settings = settings_of(options, os.environ, lenient=lenient)
    _go_to(options.cd)  # now: the home and paths in -c may be relative to the directory that we started in
    if all(url == STDIO for url in options.listen):
        return serve_stdio(settings, options.ignored, lenient=lenient)
    from appserver.server.listening import serve_listeners  # late: most servers have one client, on stdio

    return serve_listeners(settings, options, lenient=lenient)


def _parsed(words: list[str]) -> Serving:
    from appserver.parser import Parser

    parser = Parser("", DESCRIPTION, EXIT_CODES)
    parser.add_serving()
    return parser.parse_serving(words)


def _go_to(directory: str | None) -> None:
    """Make this the directory that threads work in which name none. Raises ConfigError."""
    if directory is not None:
        try:
            os.chdir(directory)
        except OSError as exc:
            raise ConfigError(f"-C: {exc.strerror}") from None


def _tell_version() -> int:
    """Tell the protocol's version in the reference's form, which clients read, and ours beside it."""
    sys.stdout.write(f"codex-cli {PROTOCOL_VERSION}\n")
    sys.stderr.write(f"appserver {__version__}\n")
    return 0


def serve_stdio(settings: Settings, ignored: Sequence[str] = (), *, lenient: bool = True) -> int:
    """Serve the client on stdin and stdout and return the exit code.

    `ignored`: options that have no meaning here. `lenient`: start whatever is wrong with the configuration.
    """
    from appserver.memory import collect_rarely

    collect_rarely()  # first, for the imports that follow
    from appserver.log import log_info
    from appserver.server.process import Process
    from appserver.server.serve import Server
    from appserver.server.startup import answer_first_lines
    from appserver.signals import end_at_once
    from appserver.stderr import claim_stderr
    from appserver.transport.base import TransportClosed
    from appserver.transport.stdio import Stdio

    end_at_once()
    stdio = Stdio.claim(settings.max_line_bytes)
    stderr = claim_stderr(settings.log_level)
    if ignored:
        log_info(f"ignored, as they have no meaning here: {', '.join(dict.fromkeys(ignored))}")
    server = Server(settings)
    process = Process(server)
    server.check_configuration(lenient=lenient)
    connection = server.connection(bounded=False)
    try:
        if not answer_first_lines(connection, stdio):
            return 0
    except TransportClosed:
        return 0
    import anyio

    from appserver.log import set_up_logging
    from appserver.memory import return_large_blocks

    set_up_logging()
    return_large_blocks()
    loop = {"loop_factory": server.runtime.loop_pauses.new_event_loop}
    code = anyio.run(process.serve, connection, stdio, backend_options=loop)
    if stdio.uses_threads:
        # A thread may be blocked in a read that cannot be cancelled.
        stderr.close()
        os._exit(code)
    return code


def _run_for_person(name: str, words: list[str]) -> int:
    from appserver.commands import command
    from appserver.parser import Parser

    chosen, parser = command(name), Parser(name, epilog=EXIT_CODES)
    parser.add_configuration()
    chosen.add_options(parser)
    try:
        return chosen.run(parser.parse(words), os.environ)
    except KeyboardInterrupt:
        sys.stderr.write("appserver: cancelled\n")
        return EXIT_INTERRUPTED


def _gateway(words: list[str]) -> int:
    try:
        from appserver.gateway.command import run as run_gateway
    except ModuleNotFoundError as exc:
        raise ConfigError(f"{exc.name} is not installed: pip install 'appserverd[gateway]'") from None
    return run_gateway(words, os.environ)


def _fake_backend(words: list[str]) -> int:
    from appserver.parser import Parser

    parser = Parser("fake-backend", "Serve an issuer and a Responses API on loopback, for tests.")
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one; the URL is printed")
    port = parser.parse(words).port
    import anyio

    from appserver.testing import FakeBackend, run_forever

    def tell(backend: FakeBackend) -> None:
        sys.stdout.write(f"{backend.url}\n")
        sys.stdout.flush()

    anyio.run(run_forever, port, tell)
    return 0
