"""`appserver gateway`: serves, until a signal asks for the end; or an admin command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from appserver.arguments import settings_of
from appserver.errors import ConfigError
from appserver.gateway import admin
from appserver.gateway.environment import DEFAULT_HOST, Environment
from appserver.gateway.serve import listen, serve
from appserver.log import log_info, prepare_form, set_up_logging
from appserver.log_formats import wanted_format
from appserver.memory import return_large_blocks
from appserver.parser import Parser
from appserver.signals import end_at_once
from appserver.stderr import claim_stderr

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

MAX_PORT = 65535


def run(words: list[str], environ: Mapping[str, str]) -> int:
    """Run the command and return the exit code. Raises AppServerError."""
    prepare_form(wanted_format(environ))
    if words and words[0] in {noun for noun, _ in admin.COMMANDS}:
        return admin.run(words, environ)
    parser = Parser("gateway", "Serve an OpenAI-compatible API over HTTP.")
    parser.add_configuration()
    parser.add_argument("--host", default=DEFAULT_HOST, help=f"the address to listen on; {DEFAULT_HOST}, if not given")
    parser.add_argument("--port", type=int, help="the port; that of the variable PORT, if not given")
    return _serve(parser.parse(words), environ)


def _serve(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    end_at_once()
    settings, environment = settings_of(options, environ), Environment.read(environ)
    port = _port(environ) if options.port is None else options.port
    listener = listen(options.host, port)
    stderr = claim_stderr(settings.log_level)
    set_up_logging()
    return_large_blocks()
    host, port = listener.getsockname()[:2]
    if not environment.public_url:
        shown = f"[{host}]" if ":" in host else host
        environment = environment._replace(public_url=f"http://{shown}:{port}")
    try:
        return anyio.run(serve, settings, environment, listener, lambda: log_info(f"listening on {host}:{port}"))
    finally:
        stderr.close()


def _port(environ: Mapping[str, str]) -> int:
    given = environ.get("PORT", "")
    if not given.isascii() or not given.isdecimal() or int(given) > MAX_PORT:
        raise ConfigError("--port is missing, and the variable PORT names none")
    return int(given)
