"""argv and environment to settings to a running server. The only place that reads either, and that exits.

Called as existing clients call the reference: `appserver [-c key=value]... [app-server] [--listen stdio://]`.
"""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from appserver import __version__
from appserver.errors import ConfigError

if TYPE_CHECKING:
    from appserver.settings import Settings

EXIT_CONFIG = 2
"""The configuration or the command line cannot be used (as argparse has it)."""

EXIT_INTERRUPTED = 130
"""128 plus SIGINT, where a signal arrives before there is a handler."""


def main() -> NoReturn:
    """Run the command that argv names."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run a command and return its exit code."""
    options = _parser().parse_intermixed_args(arguments)  # -c may stand on either side of the command
    try:
        match options.command:
            case "demo":
                from appserver.testing.demo import run_demo

                return run_demo()
            case "fake-backend":
                return _fake_backend(options.port)
            case "generate-json-schema":
                return _generate_schema(options.out)
            case _:
                return _serve(options)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except ConfigError as exc:
        sys.stderr.write(f"appserver: {exc.message}\n")
        return EXIT_CONFIG


def _serve(options: argparse.Namespace) -> int:
    if options.listen != "stdio://":
        raise ConfigError(f"--listen {options.listen}: only stdio:// is served")
    from appserver.settings import load_settings

    # pydantic would look through every installed distribution for plugins; none is wanted here.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    return serve_stdio(load_settings(os.environ, options.config))


def serve_stdio(settings: Settings) -> int:
    """Serve the parent on stdin and stdout and return the exit code."""
    from appserver.porch import answer_first_lines
    from appserver.transport.stdio import Stdio, TransportClosed
    from appserver.wiring import Connection

    stdio = Stdio.claim(settings.max_line_bytes)
    connection = Connection(settings)
    connection.check_configuration()
    try:
        if not answer_first_lines(connection, stdio):
            return 0
    except TransportClosed:
        return 0
    import anyio

    from appserver.log import set_up_logging

    set_up_logging(settings.log_level)
    code = anyio.run(partial(connection.serve, stdio, owns_process=True))
    if stdio.uses_threads:
        # A thread may be blocked in a read that nothing can end.
        sys.stderr.flush()
        os._exit(code)
    return code


def _fake_backend(port: int) -> int:
    import anyio

    from appserver.testing import FakeBackend, run_forever

    def tell(backend: FakeBackend) -> None:
        sys.stdout.write(f"{backend.url}\n")
        sys.stdout.flush()

    anyio.run(run_forever, port, tell)
    return 0


def _generate_schema(out: str) -> int:
    from pathlib import Path

    from protocol.schema_export import write_schema

    write_schema(Path(out))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "appserver",
        # Given, because argparse would import shutil to measure the terminal for it at every start.
        usage="appserver [-c KEY=VALUE]... [command] [options]",
        description="A JSON-RPC app-server over stdio.",
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument(
        "command",
        nargs="?",
        choices=("app-server", "demo", "fake-backend", "generate-json-schema"),
        default="app-server",
        help="app-server            serve a parent on stdin and stdout (the default)\n"
        "demo                  show everything, offline, in a few seconds\n"
        "fake-backend          serve an issuer and a Responses API on loopback, for tests\n"
        "generate-json-schema  write the protocol's JSON Schema",
    )
    parser.add_argument("--version", action="version", version=f"appserver {__version__}")
    serving = parser.add_argument_group("app-server")
    serving.add_argument(
        "-c",
        "--config",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a key of config.toml",
    )
    serving.add_argument("--listen", default="stdio://", metavar="URL", help="stdio://, the default")
    fake = parser.add_argument_group("fake-backend")
    fake.add_argument("--port", type=int, default=0, help="0, the default, takes a free one and prints the URL")
    schema = parser.add_argument_group("generate-json-schema")
    schema.add_argument("--out", default="schema", metavar="DIR", help="where to write to")
    return parser
